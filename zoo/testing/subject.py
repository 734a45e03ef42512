"""The component that is looked at: its example options, how it is built, and folders for it to work in."""

from __future__ import annotations

import re
import traceback
from collections.abc import Mapping
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from zoo.config import schema
from zoo.errors import PluginError, UserError, name_list
from zoo.registry import Entry, Registry
from zoo.testing.results import NotApplicableError

EXAMPLE = "example"
"""The fact with example options: a mapping, or `module:function` of a function that is handed an empty folder, writes
there what is needed, and returns the mapping."""

NETWORK_WORDS = frozenset(
    (
        *("download", "downloads", "downloaded", "fetch", "fetches", "fetched"),
        *("hub", "online", "remote", "http", "https", "s3"),
    )
)
"""Words in a name or summary by which a component says that it uses the network."""


class NotBuiltError(NotApplicableError):
    """It could not be built, which is a failure of the property `builds`; of the others none can be looked at."""


class Subject:
    """One component, and what is needed to try it.

    Attributes:
        entry: The component.
        registry: All that is installed.
        run_dir: The folder of a run that it is told of; there it may write.
        temporary: What the module tempfile uses meanwhile.
        elsewhere: The current folder meanwhile; there it may not write.
    """

    def __init__(self, entry: Entry, registry: Registry, *, folder: Path, options: Mapping[str, Any]) -> None:
        """Takes a component, an empty folder, and options that the author chose for it."""
        self.entry, self.registry, self._chosen = entry, registry, dict(options)
        self.run_dir, self.temporary, self.elsewhere = folder / "run", folder / "tmp", folder / "elsewhere"
        self._examples = folder / "example"
        for made in (self.run_dir, self.temporary, self.elsewhere, self._examples):
            made.mkdir()
        self._given: dict[str, Any] | None = None

    @property
    def package(self) -> str:
        """The package in which its code lies."""
        return self.entry.offer.target.partition(":")[0].partition(".")[0]

    @property
    def of_library(self) -> bool:
        """Whether a provider offers it: then its name and its options' descriptions are those of the library."""
        return self.entry.full_name not in {entry.full_name for entry in self.registry.entries(self.entry.kind)}

    @property
    def says_network(self) -> bool:
        """Whether its name or summary says that it uses the network, or a fact `network` does."""
        words = f"{self.entry.name} {self.entry.summary}".lower()
        return bool(self.entry.facts.get("network")) or bool(NETWORK_WORDS & set(re.findall(r"[a-z0-9]+", words)))

    def given(self) -> dict[str, Any]:
        """Options that differ from the defaults: those of the fact `example`, then the author's.

        Raises:
            UserError: One is no option of it.
            NotBuiltError: The fact `example` cannot be read.
        """
        if self._given is None:
            example = self.entry.facts.get(EXAMPLE, {})
            if isinstance(example, str):
                try:
                    example = resolve_name(example)(self._examples)
                except Exception as error:
                    raise NotBuiltError(f"the fact example={example!r} crashed: {self.crash(error)}") from error
            if not isinstance(example, Mapping):
                raise NotBuiltError(f"the fact example is {example!r}: neither a mapping nor 'module:function'")
            self._given = {**example, **self._chosen}
        return dict(self._given)

    def options(self, *, acting: bool = False) -> dict[str, Any]:
        """All options that it takes itself, as a run passes them.

        Args:
            acting: With the probability `p` at 1, where it has one and nobody chose another.

        Raises:
            UserError: One that was given is no option of it, or does not fit its type.
            NotBuiltError: One has no default, and no example.
        """
        given, found = self.given(), {}
        known = {option.name: option for option in self._readable()}
        for name in given:
            if name not in known:
                raise UserError(
                    f"{self.entry.kind} {self.entry.full_name} has no option {name!r}",
                    where="options", allowed=name_list(name, known),
                )  # fmt: skip
        for name, option in known.items():
            if name not in given and option.required:
                raise NotBuiltError(f"its option {name!r} has no default, and no example value was given")
            value = given[name] if name in given else schema.plain(option.default)
            if acting and name == "p" and name not in given and isinstance(value, int | float) and 0 < value < 1:
                value = 1.0
            try:
                found[name] = schema.convert(value, option.annotation)
            except ValueError as error:
                if name not in given:  # the property `signature` tells of a default that does not fit its own type
                    found[name] = option.default
                    continue
                raise UserError(f"{name}={value!r} does not fit", where="options", allowed=option.type_name) from error
        return self.entry.split(found)[0]

    def _readable(self) -> tuple[schema.Option, ...]:
        try:
            return schema.options(self.entry)
        except PluginError as error:
            raise NotBuiltError(str(error)) from error

    def build(self, *, acting: bool = False, **supplied: Any) -> Any:
        """Builds it as a run does.

        Args:
            acting: See `options`.
            **supplied: What the framework supplies for its kind.

        Raises:
            NotBuiltError: It crashed, or refuses its own options.
            NotApplicableError: A library that it needs is not installed, or it needs the network.
        """
        options = self.options(acting=acting)
        try:
            return self.entry.build(**{**options, **supplied})
        except Exception as error:
            self.forgive(error)
            raise NotBuiltError(f"it cannot be built: {self.crash(error)}") from error

    def forgive(self, error: BaseException) -> None:
        """Raises where an error only says that this machine lacks something.

        Raises:
            NotApplicableError: A library that it asks for with an error of its own, or the network where it says so.
        """
        causes = list(_causes(error))
        said = error.what if isinstance(error, UserError) else str(error)
        if isinstance(error, UserError) and (
            any(isinstance(cause, ImportError) for cause in causes) or any("pip install" in way for way in error.do)
        ):
            raise NotApplicableError(f"it cannot be used here: {said}") from error
        if self.says_network and any(isinstance(cause, OSError) for cause in causes):
            raise NotApplicableError(f"it says that it uses the network, which is not here: {said}") from error

    def crash(self, error: BaseException) -> str:
        """An error in one line, with the innermost line of the component's own code."""
        said = traceback.format_exception_only(error)[-1].strip()
        frames = [
            (frame.f_code.co_filename, line)
            for frame, line in traceback.walk_tb(error.__traceback__)
            if str(frame.f_globals.get("__name__", "")).partition(".")[0] == self.package
        ]
        return f"{said} ({frames[-1][0]}, line {frames[-1][1]})" if frames else said


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
