"""However a run ends, its record says so."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from zoo.assembly.blame import plugin_error
from zoo.assembly.session import Session
from zoo.assembly.start import now
from zoo.errors import Interrupted, UserError, ZooError
from zoo.registry import Entry

_WRITTEN_FIRST = frozenset({"config.yaml", "overrides.yaml", "record.json"})


@contextmanager
def closing(session: Session) -> Iterator[None]:
    """Records `interrupted` or `failed`, and tells how to go on."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        _tell_of_break(session, error)
        session.update(status="interrupted", finished=now())
        raise Interrupted(
            f"{error or 'interrupted'}\n  do:      python -m zoo finetune resume={session.folder.path}"
        ) from error
    except Exception as error:
        if isinstance(error, UserError) and _nothing_done(session):
            _take_away(session)
            raise
        _tell_of_break(session, error)
        _record_failure(session)
        session.console.say(f"run     {session.folder.path}")
        crashed = plugin_error(error, _entries(session))
        if crashed is None:
            raise
        raise crashed from error
    finally:
        if session.accelerator.num_processes > 1:
            session.accelerator.end_training()


def _tell_of_break(session: Session, error: BaseException) -> None:
    """Callbacks learn why the run ends; one that fails in that is named and hides nothing."""
    for failed in session.told.broken(error):
        session.console.say(f"warning: {failed}")


def _entries(session: Session) -> list[Entry]:
    """What was chosen, and what a rule or a recipe chose that is wrapped."""
    names = [(component.kind, component.name) for component in session.config.components()]
    names += [(use.kind, use.name) for use in session.record.wrappers or ()]
    return [session.registry.get(kind, name) for kind, name in dict.fromkeys(names)]


def _nothing_done(session: Session) -> bool:
    """Whether the folder holds only what was written when it was made."""
    try:
        return not session.resumed and {file.name for file in session.folder.path.iterdir()} <= _WRITTEN_FIRST
    except OSError:
        return False


def _take_away(session: Session) -> None:
    """Removes the folder of a run that was refused before anything was computed."""
    if not session.main:
        return
    for name in _WRITTEN_FIRST:
        (session.folder.path / name).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the day's folder goes only where no other run is in it
        session.folder.path.rmdir()
        if session.config.run.dir is None:
            session.folder.path.parent.rmdir()


def _record_failure(session: Session) -> None:
    """As far as it can be written: the failure itself may be a full disk."""
    try:
        session.update(status="failed", finished=now())
    except ZooError as error:
        session.console.say(f"the record could not be written either: {error}")
