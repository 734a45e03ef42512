"""What the conformance kit finds: one result for each property of a component."""

from __future__ import annotations

import builtins
import enum
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


class Status(enum.StrEnum):
    """What became of one property."""

    OK = "ok"
    FAILED = "failed"
    NOT_APPLICABLE = "not applicable"


@dataclass(frozen=True)
class Finding:
    """One property of one component, looked at.

    Attributes:
        kind: Kind of the component.
        name: Its full name.
        property: Key of the property, `state`.
        title: The property as a sentence.
        status: Whether it holds.
        what: What is wrong; of what is not applicable, the reason. "" where it holds.
        why: Why it matters.
        fix: How to put it right.
    """

    kind: str
    name: str
    property: str
    title: str
    status: Status
    what: str = ""
    why: str = ""
    fix: str = ""

    @builtins.property
    def component(self) -> str:
        """`optimizer acme/lion`."""
        return f"{self.kind} {self.name}"

    @builtins.property
    def case(self) -> str:
        """`optimizer acme/lion: state is restored to the bit`: how tests and tables name it."""
        return f"{self.component}: {self.title}"

    def text(self) -> str:
        """The failure as it is shown: what, why and how to fix it, a line each."""
        lines = [self.case, f"  what:  {_indented(self.what)}"]
        if self.status is Status.FAILED:
            lines += [f"  why:   {_indented(self.why)}", f"  fix:   {_indented(self.fix)}"]
        return "\n".join(lines)

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "name": self.name,
            "property": self.property,
            "title": self.title,
            "status": str(self.status),
            "what": self.what,
            "why": self.why if self.status is Status.FAILED else "",
            "fix": self.fix if self.status is Status.FAILED else "",
        }


def _indented(text: str) -> str:
    return text.strip().replace("\n", "\n         ")


class NotConforming(AssertionError):
    """A component does not keep its contract; the text says of each failure what, why it matters and how to fix it.

    Attributes:
        findings: The failures.
    """

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        component = self.findings[0].component if self.findings else "component"
        count = f"{len(self.findings)} {'property does' if len(self.findings) == 1 else 'properties do'} not hold"
        super().__init__("\n".join([f"{component}: {count}", *(finding.text() for finding in self.findings)]))


class BrokenError(Exception):
    """Raised by the look at a property: it does not hold.

    Args:
        what: What was seen, with the values.
        fix: How to put it right, where that can be said better than the property itself says it.
    """

    def __init__(self, what: str, *, fix: str = "") -> None:
        self.what, self.fix = what, fix
        super().__init__(what)


class NotApplicableError(Exception):
    """Raised by the look at a property: this component has nothing that it is about; the text says why."""
