"""How a component behaves while it does its work: no network, no files of its own, no output."""

from __future__ import annotations

from pkgutil import resolve_name

from zoo.testing.guards import Watched, watching
from zoo.testing.loading import probe
from zoo.testing.results import BrokenError, NotApplicableError
from zoo.testing.subject import Subject


def no_network(subject: Subject) -> None:
    """Sockets are closed while it is imported, built and used."""
    if _may_use_network(subject):
        raise NotApplicableError("its name or summary says that it uses the network")
    asked = probe(subject.entry, subject.registry).network + _used(subject).network
    if asked:
        raise BrokenError(f"it asked the network for {_few(asked)}")


def no_writes(subject: Subject) -> None:
    """Files are watched while it is imported, built and used."""
    if _may_use_network(subject):
        raise NotApplicableError("its name or summary says that it fetches files, which it keeps")
    written = probe(subject.entry, subject.registry).writes + _used(subject).writes
    if written:
        raise BrokenError(f"it wrote {_few(written)}")


def no_prints(subject: Subject) -> None:
    """Both streams are read while it is imported, built and used."""
    printed = probe(subject.entry, subject.registry).printed + _used(subject).printed
    if printed.strip():
        raise BrokenError(f"it printed {printed.strip()[:200]!r}")


def _may_use_network(subject: Subject) -> bool:
    """Whether it says so; sources of weights are told at each call, and here they are told not to."""
    return subject.says_network and subject.entry.kind != "weights"


def _used(subject: Subject) -> Watched:
    """What is seen while the component does its work once; its own module is imported before."""
    kind = subject.entry.kind
    use = resolve_name(f"zoo.testing.kinds.{kind}:use")
    if kind != "command":
        subject.options()
    with watching(
        allowed=(subject.run_dir,),
        temporary=subject.temporary,
        elsewhere=subject.elsewhere,
        package=subject.package,
    ) as found:
        try:
            use(subject)
        except Exception:
            if not found.network:  # what it does without the network is no failure beside that it asked for it
                raise
    return found


def _few(items: list[str]) -> str:
    distinct = list(dict.fromkeys(items))
    return ", ".join(distinct[:3]) + (f", and {len(distinct) - 3} more" if len(distinct) > 3 else "")
