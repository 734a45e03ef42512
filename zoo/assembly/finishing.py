"""However a run ends, its record says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from zoo.assembly.session import Session
from zoo.assembly.start import now
from zoo.errors import Interrupted, ZooError


@contextmanager
def closing(session: Session) -> Iterator[None]:
    """Records `interrupted` or `failed`, and tells how to go on."""
    try:
        yield
    except (Interrupted, KeyboardInterrupt) as error:
        session.update(status="interrupted", finished=now())
        raise Interrupted(
            f"{error or 'interrupted'}\n  do:      python -m zoo finetune resume={session.folder.path}"
        ) from error
    except Exception as error:
        _record_failure(session)
        if isinstance(error, ZooError):
            session.console.say(f"run     {session.folder.path}")
        raise
    finally:
        if session.accelerator.num_processes > 1:
            session.accelerator.end_training()


def _record_failure(session: Session) -> None:
    """As far as it can be written: the failure itself may be a full disk."""
    try:
        session.update(status="failed", finished=now())
    except ZooError as error:
        session.console.say(f"the record could not be written either: {error}")
