"""Looks at the properties of a component, one by one. Imports no torch by itself."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.registry import Entry, Registry
from zoo.testing.guards import offline
from zoo.testing.properties import Property, chosen
from zoo.testing.results import BrokenError, Finding, NotApplicableError, NotConforming, Status
from zoo.testing.subject import NotBuiltError, Subject


def check_component(
    kind: str,
    name: str,
    *,
    properties: Iterable[str] | None = None,
    options: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> None:
    """Raises where a component does not keep its contract.

    Args:
        kind: Its kind, `optimizer`.
        name: Its bare or full name, `lion` or `acme/lion`.
        properties: Keys of the properties to look at (docs/conformance.md); None looks at all of its kind.
        options: Values for options that have no default, or with which it acts on any data.
        quick: Leave out what starts two processes.

    Raises:
        NotConforming: Some property does not hold; the text says what, why it matters, and how to fix it.
        UserError: There is no such component, property or option.
    """
    found = findings(kind, name, properties=properties, options=options, quick=quick)
    failed = [finding for finding in found if finding.status is Status.FAILED]
    if failed:
        raise NotConforming(failed)


def findings(
    kind: str,
    name: str,
    *,
    properties: Iterable[str] | None = None,
    options: Mapping[str, Any] | None = None,
    quick: bool = False,
) -> tuple[Finding, ...]:
    """What became of each property of a component; see `check_component`.

    Raises:
        UserError: There is no such component, property or option.
    """
    registry = load_plugins().registry
    entry = registry.get(kind, name)
    return tuple(look_at_all(entry, registry, properties=chosen(kind, properties, quick=quick), options=options))


def look_at_all(
    entry: Entry, registry: Registry, *, properties: Iterable[Property], options: Mapping[str, Any] | None = None
) -> Iterator[Finding]:
    """Findings as they come.

    A component that cannot be built fails `builds` alone, where that is looked at, and else every property.
    """
    asked = tuple(properties)
    builds = any(one.key == "builds" for one in asked)
    for one in asked:
        yield look_at(entry, registry, property=one, options=options, blame_building=not builds or one.key == "builds")


def look_at(
    entry: Entry,
    registry: Registry,
    *,
    property: Property,
    options: Mapping[str, Any] | None = None,
    blame_building: bool = False,
) -> Finding:
    """One property of one component.

    Args:
        entry: The component.
        registry: All that is installed.
        property: What to look at.
        options: The author's, over those of the fact `example`.
        blame_building: Whether it fails where the component cannot be built.

    Raises:
        UserError: An option that was given is none of the component's.
    """
    with tempfile.TemporaryDirectory(prefix="zoo-check-", ignore_cleanup_errors=True) as folder:
        subject = Subject(entry, registry, folder=Path(folder).resolve(), options=options or {})
        try:
            with nullcontext() if subject.says_network else offline(subject.package):
                property.look(subject)
        except NotBuiltError as error:
            status = Status.FAILED if blame_building else Status.NOT_APPLICABLE
            return _finding(entry, property, status, what=str(error))
        except NotApplicableError as error:
            return _finding(entry, property, Status.NOT_APPLICABLE, what=str(error))
        except BrokenError as error:
            return _finding(entry, property, Status.FAILED, what=error.what, fix=error.fix)
        except UserError as error:
            if error.where == "options":
                raise
            return _crashed(subject, property, error)
        except Exception as error:
            return _crashed(subject, property, error)
    return _finding(entry, property, Status.OK)


def _crashed(subject: Subject, property: Property, error: Exception) -> Finding:
    try:
        subject.forgive(error)
    except NotApplicableError as reason:
        return _finding(subject.entry, property, Status.NOT_APPLICABLE, what=str(reason))
    return _finding(subject.entry, property, Status.FAILED, what=f"it crashed: {subject.crash(error)}")


def _finding(entry: Entry, property: Property, status: Status, *, what: str = "", fix: str = "") -> Finding:
    return Finding(
        entry.kind,
        entry.full_name,
        property.key,
        property.title,
        status,
        what=what,
        why=property.why,
        fix=fix or property.fix,
    )
