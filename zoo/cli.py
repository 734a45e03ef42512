"""The command line: finds the verb, hands it its words, and shows errors. Imports no torch."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Mapping, Sequence

from zoo.errors import PluginError, UserError, ZooError, name_list
from zoo.kinds import KINDS
from zoo.plugins import DISTRIBUTION, Plugins, load_plugins
from zoo.registry import Entry

QUIET: Mapping[str, str] = {
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "GRADIO_ANALYTICS_ENABLED": "False",
}
"""Switches that keep libraries from talking to the network when they are imported. What the user set stands."""

COMPLETE = "_complete"
"""The word with which a shell asks for completions; it is no verb, and help does not list it."""

ALLOCATOR = "glibc.malloc.hugetlb=1"
"""Huge pages for large tensors: glibc reads this before the program starts, so it takes one re-exec."""


def script() -> None:
    """Entry point of `zoo` and `python -m zoo`."""
    sys.exit(main(sys.argv[1:]))


def main(argv: Sequence[str]) -> int:
    """Runs one command line and returns its exit code.

    0 done, 2 the user's input, 3 a plugin, 1 a defect of zoo, 130 interrupted with the state saved.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    _print_any_name()
    try:
        return _run(list(argv))
    except ZooError as error:
        if os.environ.get("ZOO_STRICT") == "1" and error.__cause__ is not None:
            _show("".join(traceback.format_exception(error.__cause__)).rstrip())
        _show(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _show("interrupted")
        return 130
    except BrokenPipeError:  # `zoo plugins | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception:
        _show(traceback.format_exc().rstrip())
        _show("zoo: this is a defect of zoo, not of your input; the lines above say where")
        return 1


def _print_any_name() -> None:
    """Lets file names that are no valid Unicode be printed, with the bytes that mean nothing as `\\udce9`."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure") and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")


def _run(argv: list[str]) -> int:
    if argv[:1] == [COMPLETE]:
        from zoo.completion.entry import main as complete

        return complete(argv[1:])
    plugins = load_plugins()
    if not plugins.registry.entries("command"):
        raise UserError(
            "zoo is not installed here: none of its own plugins was found",
            where=f"the Python of {sys.prefix}",
            do="run `pip install .` (or `pip install -e .`) in zoo's folder",
        )
    if not argv or argv[0] in ("-h", "--help", "help"):
        _out(help_text(plugins))
        _warn_of_failures(plugins)
        _warn_of_slow(plugins)
        return 0
    if argv[0] in ("-V", "--version"):
        from zoo import __version__

        _out(f"zoo {__version__}")
        return 0
    entry = _verb(plugins, argv[0])
    words = argv[1:]
    if entry.facts.get("computes") and not {"-h", "--help", "--cfg"} & set(words):
        keep_memory(argv)
    if entry.full_name != "zoo/plugins":  # which says more of it
        _warn_of_slow(plugins)
    command = entry.load()
    try:
        code = int(command(words) or 0)
        _leave_names(plugins)
        return code
    except ZooError:
        raise
    except Exception as error:
        if entry.origin.distribution == DISTRIBUTION:
            raise
        raise PluginError(
            f"the command {entry.full_name} failed: {type(error).__name__}: {error}\n  plugin:  {entry.origin}\n"
            "  do:      ZOO_STRICT=1 shows where"
        ) from error


def _verb(plugins: Plugins, verb: str) -> Entry:
    """The command of this name.

    Raises:
        UserError: There is none; plugins that failed to load, and may have brought it, are quoted.
    """
    if plugins.registry.has("command", verb):
        return plugins.registry.get("command", verb)
    raise UserError(
        f"unknown verb {verb!r}",
        where="command line",
        allowed=name_list(verb, plugins.registry.names("command")),
        do=["`python -m zoo --help` says what each does", *plugins.registry.not_loaded()],
    )


def help_text(plugins: Plugins) -> str:
    """What `zoo --help` prints: the verbs, and how to go on."""
    entries = plugins.registry.entries("command")
    width = max(len(entry.name) for entry in entries)
    verbs = "\n".join(f"  {entry.name:<{width}}  {entry.summary}" for entry in entries)
    return (
        "zoo: fine-tune a pretrained image network on your own images\n\n"
        "  python -m zoo finetune model=resnet18 data=my/photos\n\n"
        f"verbs:\n{verbs}\n\n"
        "`python -m zoo VERB --help` says more of one verb; `zoo plugins` lists what is installed."
    )


def keep_memory(argv: Sequence[str]) -> None:
    """Starts this command again with huge pages switched on in the C library, on Linux, once.

    Convolutions allocate and free tens of megabytes a layer; with small pages the kernel spends more time zeroing
    and mapping them than the processor on arithmetic. `ZOO_KEEP_MEMORY=0` leaves everything as it is.
    """
    if sys.platform != "linux" or os.environ.get("ZOO_KEEP_MEMORY", "1") == "0":
        return
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "glibc.malloc.hugetlb" in tunables or sys.argv[1:] != list(argv):
        return  # set already, or called from a program whose process is not ours to replace
    environment = os.environ | {"GLIBC_TUNABLES": f"{tunables}:{ALLOCATOR}" if tunables else ALLOCATOR}
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def _warn_of_failures(plugins: Plugins) -> None:
    for failed in plugins.registry.failed:
        _show(f"warning: plugin {failed.origin} was left out: {failed.reason}")


def _warn_of_slow(plugins: Plugins) -> None:
    """Names plugins for which this command had to wait; of several processes only the first does."""
    if os.environ.get("RANK", "0") != "0":
        return
    for plugin in plugins.plugins:
        if plugin.slows:
            _show(
                f"warning: plugin {plugin.origin} takes {plugin.cost}: its author should import inside the target; "
                f"`zoo plugins disable {plugin.origin.plugin}` leaves it out"
            )


def _leave_names(plugins: Plugins) -> None:
    """Leaves the names of libraries that this command imported anyway, for tab completion, which imports none."""
    providers = [provider for kind in KINDS for provider in plugins.registry.providers(kind.name)]
    if any(p.light_names is None and p.target.partition(":")[0] in sys.modules for p in providers):
        from zoo.completion.names import leave_names

        leave_names(plugins)


def _out(text: str) -> None:
    sys.stdout.write(text + "\n")


def _show(text: str) -> None:
    sys.stderr.write(text + "\n")
