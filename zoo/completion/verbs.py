"""Whole command lines: verbs, their sub-words, flags and keys, read from what each verb says of itself.

A verb of a plugin is completed like one of zoo's own: by the fact `usage` with which it was registered, and by a
dictionary `KEYS` and a text `USAGE` where its module has them.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from zoo.completion.candidates import Candidate, Found, beginning
from zoo.completion.config_words import ConfigWords, given_values
from zoo.completion.names import names_of_kind
from zoo.completion.source_files import found
from zoo.disabled import disabled_names
from zoo.kinds import BY_GROUP, KINDS
from zoo.plugins import DISTRIBUTION, Plugins
from zoo.registry import Entry

_FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
_KEY = re.compile(r"(?<![\w.])([a-z][\w.]*)=([^\s\]|]*)")
_FLAG_WITH_WORD = re.compile(r"(--[a-z]+) (\w+)")
_FLAG_AND_VALUE = re.compile(r"\[-[^]]*\]|--[a-z]+ [A-Z]\S*")
_PATHS = ("PATH", "DIR", "FILE", "FOLDER")
_CHOICES = re.compile(r"\s\s+([\w.-]+(?:, [\w.-]+)*(?:,? or [\w.-]+)?)(?= *(?:[(:;]|$))")


@dataclass(frozen=True)
class Spec:
    """What a verb takes.

    Attributes:
        forms: Its words in each way of calling it, without keys and flags: `("show", "NAME")`.
        keys: Key to what is said of it.
        flags: `--json`.
        of_flags: Flag to the word that stands behind it in the usage: `job`, or `KIND` for one of a list.
        config: Whether it takes the words of a configuration.
    """

    forms: tuple[tuple[str, ...], ...] = ()
    keys: dict[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    of_flags: dict[str, str] = field(default_factory=dict)
    config: bool = False


def complete(words: Sequence[str], current: str, *, plugins: Plugins) -> Found:
    """What the last word of a command line may become.

    Args:
        words: What stands before it, without the name of the program.
        current: What of it is there, without quotes.
        plugins: What is installed.
    """
    if not words:
        verbs = [Candidate(entry.name, entry.summary) for entry in plugins.registry.entries("command")]
        more = [Candidate("--help", "what there is"), Candidate("--version")]
        return Found(beginning(current, [*verbs, *more] if current.startswith("-") else verbs))
    entries = [e for e in plugins.registry.entries("command") if words[0] in (e.name, e.full_name)]
    if not entries:
        return Found()
    spec = spec_of(entries[0])
    if words[-1] in spec.of_flags:
        return Found(tuple(_of_flag(spec.of_flags[words[-1]], current)))
    if current.startswith("-"):
        flags = [flag for flag in spec.flags if flag not in words]
        return Found(beginning(current, (Candidate(flag) for flag in flags)))
    return _of_verb(entries[0], spec, words=words[1:], current=current, plugins=plugins)


def spec_of(entry: Entry) -> Spec:
    """What a verb takes, from its usage and from its module's source."""
    usage = str(entry.facts.get("usage", entry.name))
    module, _, _ = entry.offer.target.partition(":")
    text = usage + "\n" + _text(module, "USAGE").replace("python -m zoo", "")
    keys = {key: value for key, value in _KEY.findall(usage) if key not in ("group", "key")}
    keys |= _dictionary(module, "KEYS")
    flags = _FLAG.findall(text) + ["--json"] * bool(keys)
    flags = list(dict.fromkeys([*flags, "--help"]))
    return Spec(tuple(_forms(usage)), keys, tuple(flags), dict(_FLAG_WITH_WORD.findall(usage)), "key=value" in usage)


def _forms(usage: str) -> Iterable[tuple[str, ...]]:
    """`show NAME` of `plugins show NAME`; `a|b` of a closed list is one way each."""
    for way in usage.split(" | "):
        words = [word.strip("[]") for word in _FLAG_AND_VALUE.sub("", way).split()[1:]]
        plain = [word for word in words if word and "=" not in word and not word.startswith("-") and word != "..."]
        first = plain[0].split("|") if plain and plain[0].islower() else plain[:1]
        yield from (((one, *plain[1:]) for one in first) if first else [()])


def _of_verb(entry: Entry, spec: Spec, *, words: Sequence[str], current: str, plugins: Plugins) -> Found:
    """The next sub-word, a value of a key, or a key."""
    plain = [word for word in words if "=" not in word and not word.startswith("-")]
    given = given_values(words)
    config = ConfigWords(plugins, given=given, sweeps=bool({"-m", "--multirun"} & set(words)))
    key, equals, value = current.partition("=")
    if equals and key in spec.keys and not (spec.config and key in BY_GROUP):
        return _of_key(key, value, spec=spec, plugins=plugins)
    if equals:
        return config.complete(current) if spec.config else Found()
    candidates, path = _sub_words(entry, spec, plain=plain, plugins=plugins)
    if plain or not all(form and form[0].islower() for form in spec.forms):  # else a sub-word comes first
        candidates += [Candidate(f"{k}=", a, whole=False) for k, a in spec.keys.items() if k not in given]
        candidates += config.complete(current).candidates if spec.config else ()
    return Found(beginning(current, candidates), current if path else None)


def _sub_words(entry: Entry, spec: Spec, *, plain: Sequence[str], plugins: Plugins) -> tuple[list[Candidate], bool]:
    """Words without `=` that may come next, and whether a path may."""
    candidates: list[Candidate] = []
    path = False
    for form in spec.forms:
        if len(form) <= len(plain) or any(a != b and b.islower() for a, b in zip(plain, form, strict=False)):
            continue
        word = form[len(plain)]
        path = path or any(place in word for place in _PATHS)
        names = [word] if word.islower() else _positional(entry, plain, plugins=plugins)
        candidates += [Candidate(name) for name in names]
    return candidates + [
        Candidate(name) for name in _repeated(entry, plain, plugins=plugins) if name not in plain
    ], path


def _of_key(key: str, value: str, *, spec: Spec, plugins: Plugins) -> Found:
    """Values of a verb's own key, as far as what is said of it lists them."""
    said, before = spec.keys[key], f"{key}="
    kind = {"model": "model", "data": "dataset", "reader": "importer"}.get(key)
    listed = _CHOICES.search(said)
    if kind is not None:
        names = names_of_kind(kind, plugins, full="/" in value and key != "data")
    elif said.split()[:1] in (["yes"], ["no"]):
        names = ["yes", "no"]
    elif said.split()[:1] in (["true"], ["false"]):
        names = ["true", "false"]
    else:
        several = re.split(r",? or |, ", listed[1]) if listed else []
        names = several if len(several) > 1 else []
    path = any(place in said for place in _PATHS) or (key == "model" and value[:1] in ("/", ".", "~"))
    words = (Candidate(f"{before}{name}") for name in names)
    return Found(beginning(f"{before}{value}", words), value if path else None, before)


def _of_flag(word: str, current: str) -> list[Candidate]:
    """What stands behind a flag: the word that its usage gives, or a kind of component, one of several with commas."""
    if word != "KIND":
        return [Candidate(word)] if word.islower() and word.startswith(current) else []
    done, comma, part = current.rpartition(",")
    return [Candidate(f"{done}{comma}{kind.name}") for kind in KINDS if kind.name.startswith(part)]


def _positional(entry: Entry, plain: Sequence[str], *, plugins: Plugins) -> list[str]:
    """Names that may stand where a verb of zoo's says NAME or PATTERN."""
    asked = (entry.full_name, plain[0] if plain else "")
    if asked in (("zoo/models", ""), ("zoo/models", "show")):
        return names_of_kind("model", plugins)
    if asked == ("zoo/plugins", "show"):
        components = [entry.name for kind in KINDS if kind.group for entry in plugins.registry.entries(kind.name)]
        return [*_plugin_names(plugins), *components]
    if asked == ("zoo/plugins", "check"):
        return _plugin_names(plugins)
    return []


def _repeated(entry: Entry, plain: Sequence[str], *, plugins: Plugins) -> list[str]:
    """Names of which a sub-word takes several."""
    if entry.full_name != "zoo/plugins" or not plain:
        return []
    if plain[0] == "enable":
        return sorted(disabled_names())
    strangers = [p.origin for p in plugins.plugins if p.origin.distribution != DISTRIBUTION]
    return [n for o in strangers for n in (o.plugin, o.distribution)] if plain[0] == "disable" else []


def _plugin_names(plugins: Plugins) -> list[str]:
    return [plugin.origin.plugin for plugin in plugins.plugins]


def _text(module: str, name: str) -> str:
    """A text constant of a module; of an f-string what is constant in it."""
    hit = found(name, module, depth=2)
    if hit is None:
        return ""
    if isinstance(hit[0], ast.JoinedStr):
        return "".join(str(part.value) for part in hit[0].values if isinstance(part, ast.Constant))
    return str(hit[0].value) if isinstance(hit[0], ast.Constant) else ""


def _dictionary(module: str, name: str) -> dict[str, str]:
    """A dictionary of text in a module, where it is written out."""
    hit = found(name, module, depth=2)
    if hit is None or not isinstance(hit[0], ast.Dict):
        return {}
    pairs = zip(hit[0].keys, hit[0].values, strict=True)
    return {
        str(key.value): str(value.value) if isinstance(value, ast.Constant) else ""
        for key, value in pairs
        if isinstance(key, ast.Constant)
    }
