"""The files of a new plugin: their texts from the templates, and how they get onto the disk."""

from __future__ import annotations

import builtins
import json
import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from string import Template

from zoo.errors import UserError
from zoo.files import write_error
from zoo.scaffold.names import Names
from zoo.scaffold.parts import CONFIG_DEFAULTS, CONFIG_DIRS, LIBRARIES, WRAPPERS, Part

IN_EXPERIMENTS: Mapping[str, str] = {
    "optimizer": "/optimizer: {}",
    "schedule": "/schedule: {}",
    "loss": "/loss: {}",
    "augmentation": "/augmentations: [{}]",
    "regularizer": "/regularizers: [{}]",
}
"""Kinds of which a shipped experiment takes the plugin's own, and how."""


HANDED: Mapping[str, str] = {
    CONFIG_DIRS: "RegisterConfigDir",
    WRAPPERS: "RegisterWrapper",
    CONFIG_DEFAULTS: "RegisterDefault",
}
"""What the hooks that offer no components are handed."""


@dataclass(frozen=True)
class NewPlugin:
    """Everything that decides what is written.

    Attributes:
        parts: One for each kind, in the order of the kinds.
        author: Who holds the rights.
        year: Since when.
        choices: Kind to what users write for its component: the bare name where nobody else has it, else the full one.
    """

    names: Names
    parts: tuple[Part, ...]
    author: str
    year: int
    choices: Mapping[str, str]

    @property
    def components(self) -> tuple[Part, ...]:
        """The parts that are components."""
        return tuple(part for part in self.parts if part.is_component)

    @property
    def ships_yaml(self) -> bool:
        """Whether it has a folder of YAML."""
        return any(part.kind == CONFIG_DIRS for part in self.parts)

    def filled(self, text: str, **more: str) -> str:
        """A text with the plugin's names in the places of `$name`, `$package`..."""
        names = self.names
        values = {
            "distribution": names.distribution,
            "package": names.package,
            "namespace": names.namespace,
            "name": names.namespace,
            "full_name": names.full_name,
            "title": self._title(),
            "constant": names.constant,
            "author": self.author,
            "year": str(self.year),
        }
        return Template(text).substitute(values | more)

    def use(self, part: Part) -> str:
        """The command line that uses one part."""
        return self.filled(part.use, choice=self.choices.get(part.kind, self.names.namespace))

    def _title(self) -> str:
        """Name of the classes; longer where a module has or imports the plain one."""
        title = self.names.title
        texts = [template(f"{test}{part.kind}.py") for part in self.components for test in ("", "test_")]
        words = set(re.findall(r"\w+", " ".join(texts)))
        taken = title in words or keyword.iskeyword(title) or hasattr(builtins, title)
        return f"{title}Component" if taken else title


def template(name: str) -> str:
    """The text of a template."""
    return resources.files("zoo.scaffold").joinpath("templates", f"{name}.tmpl").read_text(encoding="utf-8")


def render(plugin: NewPlugin) -> dict[str, str]:
    """Every file by its path in the new folder, in the order in which they are worth reading."""
    package = plugin.names.package
    files = {
        "README.md": plugin.filled(template("README.md"), **_readme_parts(plugin)),
        "pyproject.toml": plugin.filled(template("pyproject.toml"), **_project_parts(plugin)),
        "LICENSE": plugin.filled(template("LICENSE")),
        ".gitignore": plugin.filled(template("gitignore")),
        ".github/workflows/ci.yml": plugin.filled(template("ci.yml")),
        f"{package}/__init__.py": f'"""The plugin {plugin.names.namespace} for zoo."""\n',
        f"{package}/hooks.py": _hooks(plugin),
    }
    for part in plugin.parts:
        if part.has_module:
            files[f"{package}/{part.kind}.py"] = plugin.filled(template(f"{part.kind}.py"))
    if plugin.ships_yaml:
        experiment = plugin.filled(template("experiment.yaml"), settings=_settings(plugin))
        files[f"{package}/conf/__init__.py"] = f'"""YAML of {plugin.names.distribution}; the folder is a package."""\n'
        files[f"{package}/conf/experiment/{plugin.names.namespace}.yaml"] = experiment
    if plugin.components:
        components = "".join(f'    "{part.kind}": "{plugin.names.full_name}",\n' for part in plugin.components)
        files["tests/test_conformance.py"] = plugin.filled(template("test_conformance.py"), components=components)
    for part in plugin.parts:
        files[f"tests/test_{part.kind}.py"] = plugin.filled(template(f"test_{part.kind}.py"))
    return files


def write(files: Mapping[str, str], folder: Path) -> None:
    """Writes all files below a folder that is new or empty; nothing that is there is touched.

    Raises:
        UserError: There is something already, or the folder cannot be written.
    """
    try:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise UserError(
                f"{str(folder)!r} is there already, and it was left as it is",
                where=f"DIR={folder}",
                allowed="a folder that does not exist, or is empty",
                do="name another folder behind the name, or move this one away",
            )
        for path, text in files.items():
            file = folder / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with file.open("x", encoding="utf-8", newline="\n") as stream:
                stream.write(text)
    except OSError as error:
        raise write_error(error, folder) from error


def _offers(plugin: NewPlugin) -> str:
    """What it brings, as the rest of a sentence."""
    words = [part.what.partition(":")[0] for part in plugin.parts]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _hooks(plugin: NewPlugin) -> str:
    """The module of hooks: one function a kind."""
    handed = [HANDED[part.kind] for part in plugin.parts if not part.is_component]
    handed = ["zoo.plugins.Register"] * bool(plugin.components) + [f"zoo.registering.{name}" for name in handed]
    modules = sorted({name.rpartition(".")[0] for name in handed})
    types = [
        f"    from {module} import {', '.join(sorted(n.rpartition('.')[2] for n in handed if n.startswith(module)))}\n"
        for module in modules
    ]
    functions = []
    for part in plugin.parts:
        if part.is_component:
            functions.append(plugin.filled(template("hook.py"), **_hook_parts(plugin, part)))
        else:
            functions.append(plugin.filled(template(f"hook_{part.kind}.py")))
    head = plugin.filled(template("hooks.py"), types="".join(types))
    return head + "".join(f"\n\n{function}" for function in functions)


def _hook_parts(plugin: NewPlugin, part: Part) -> dict[str, str]:
    lines = [f'summary="{part.summary}",']
    lines += [f'source="{part.source}",'] if part.source else []
    lines += [f"{fact}={value}," for fact, value in part.facts.items()]
    return {
        "hook": part.hook,
        "kind": part.kind,
        "attribute": plugin.filled(part.attribute),
        "details": plugin.filled("".join(f"        {line}\n" for line in lines)),
    }


def _project_parts(plugin: NewPlugin) -> dict[str, str]:
    libraries = sorted({library for part in plugin.parts for library in part.libraries})
    packages = [plugin.names.package, *([f"{plugin.names.package}.conf"] if plugin.ships_yaml else [])]
    data = f'\n[tool.setuptools.package-data]\n"{packages[-1]}" = ["**/*.yaml"]\n' if plugin.ships_yaml else ""
    return {
        "offers": _offers(plugin),
        "author_quoted": json.dumps(plugin.author, ensure_ascii=False),
        "dependencies": ", ".join(f'"{LIBRARIES[library]}"' for library in libraries),
        "packages": ", ".join(f'"{package}"' for package in packages),
        "package_data": data,
    }


def _readme_parts(plugin: NewPlugin) -> dict[str, str]:
    package = plugin.names.package
    rows = [
        f"| `{package}/{part.kind}.py` | {part.what}; imported when it is used |"
        for part in plugin.parts
        if part.has_module
    ]
    if plugin.ships_yaml:
        rows.append(f"| `{package}/conf/` | YAML that adds options and experiments; the folder is a package |")
    if plugin.components:
        rows.append("| `tests/test_conformance.py` | what zoo asks of every component, property by property |")
    uses = "\n".join(f"    {plugin.use(part)}" for part in plugin.parts)
    options = plugin.filled(template("README_options.md")) if plugin.components else ""
    return {"offers": _offers(plugin), "uses": uses, "rows": "\n".join(rows), "options": options}


def _settings(plugin: NewPlugin) -> str:
    """What the experiment sets: the plugin's own components, or something for it to differ by."""
    chosen = [IN_EXPERIMENTS[p.kind].format(plugin.names.full_name) for p in plugin.parts if p.kind in IN_EXPERIMENTS]
    if not chosen:
        return "defaults:\n  - override /optimizer: sgd\n\noptimizer:\n  momentum: 0.8\n"
    return "defaults:\n" + "".join(f"  - override {line}\n" for line in chosen)
