"""What a run was made of and what came out of it, as one JSON file that needs no code to be read."""

from __future__ import annotations

import platform as system
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

from zoo.contracts.data import BadFile, DataBundle, Task
from zoo.contracts.model import LoadReport
from zoo.errors import UserError
from zoo.files import read_json, to_plain, write_json
from zoo.machine import usable_cores
from zoo.registry import Entry
from zoo.wrapping import Wrapper

FORMAT = 1
"""Generation of record.json. A reader refuses a later one."""

DISTRIBUTIONS = (
    "zoo",
    "torch",
    "torchvision",
    "timm",
    "accelerate",
    "albumentations",
    "numpy",
    "pillow",
    "safetensors",
    "scikit-learn",
    "hydra-core",
    "pluggy",
)
"""Distributions whose versions can change a result."""


@dataclass(frozen=True)
class Environment:
    """Where a run took place.

    Attributes:
        versions: Distribution to version, of those that can change a result.
        device: As torch names it, with the name of the GPU where there is one.
        processes: Number of training processes.
    """

    versions: Mapping[str, str]
    python: str
    platform: str
    device: str
    cores: int
    processes: int = 1

    @classmethod
    def here(cls, *, device: str, processes: int = 1, also: Iterable[str] = ()) -> Environment:
        """This machine and what is installed on it.

        Args:
            device: Device of the run.
            processes: Number of training processes.
            also: Distributions beside the usual ones: those of the third-party plugins in use.
        """
        versions: dict[str, str] = {}
        for name in (*DISTRIBUTIONS, *also):
            try:
                versions[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
        return cls(versions, system.python_version(), system.platform(), device, usable_cores(), processes)


@dataclass(frozen=True)
class ComponentUse:
    """A component that the run used, and who offered it."""

    kind: str
    name: str
    plugin: str
    distribution: str
    version: str

    @classmethod
    def of(cls, entry: Entry) -> ComponentUse:
        """From the registry."""
        origin = entry.origin
        return cls(entry.kind, entry.full_name, origin.plugin, origin.distribution, origin.version)


@dataclass(frozen=True)
class WrapperUse:
    """A wrapper that acted in the run.

    Attributes:
        kind, name: The component around which it was put.
        target: Its function.
    """

    kind: str
    name: str
    target: str
    plugin: str
    distribution: str
    version: str

    @classmethod
    def of(cls, wrapper: Wrapper, entry: Entry) -> WrapperUse:
        """Of one component, from the registry."""
        origin = wrapper.origin
        return cls(entry.kind, entry.full_name, wrapper.target, origin.plugin, origin.distribution, origin.version)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What makes it the same wrapper, whatever its version."""
        return self.kind, self.name, self.target, self.plugin


@dataclass(frozen=True)
class DataUse:
    """Which images a run saw.

    Attributes:
        fingerprint: Hash over contents, labels and splits.
        splits: Split to number of images.
        quarantined: Files that were left out, with the reason.
    """

    name: str
    location: str
    task: Task
    classes: tuple[str, ...]
    channels: int
    fingerprint: str
    splits: Mapping[str, int]
    quarantined: tuple[BadFile, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, bundle: DataBundle) -> DataUse:
        """From what the data stage hands on."""
        return cls(
            name=bundle.name,
            location=bundle.location,
            task=bundle.task,
            classes=bundle.classes,
            channels=bundle.channels,
            fingerprint=bundle.fingerprint,
            splits={split: len(indices) for split, indices in bundle.splits.items()},
            quarantined=bundle.quarantined,
            notes=bundle.notes,
        )


@dataclass(frozen=True)
class RunRecord:
    """Everything that is needed to say what a run was, and to do it again.

    Attributes:
        status: `running`, `finished`, `interrupted` or `failed`.
        started: Local time with its offset, ISO 8601.
        finished: The same for the end, or None.
        model: Full name of the model.
        components: Everything from the registry that took part, with its origin.
        wrappers: What other plugins put around it, the innermost of each component first; None before that was known.
        weights: What happened to the pretrained weights; None before they were loaded.
        seed: Everything random follows from it.
        choices: What was measured or decided by a rule and is kept on resume (threads, precision, a fitted schedule).
        timings: Stage to seconds.
        scores: Split to plain scores.
        config: The resolved configuration.
        origins: Dotted key of the configuration to where its value came from.
        overrides: The command line as it was given.
    """

    status: str
    started: str
    environment: Environment
    model: str
    seed: int
    components: tuple[ComponentUse, ...] = ()
    data: DataUse | None = None
    weights: LoadReport | None = None
    finished: str | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    config: Mapping[str, Any] = field(default_factory=dict)
    origins: Mapping[str, str] = field(default_factory=dict)
    overrides: tuple[str, ...] = ()
    wrappers: tuple[WrapperUse, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, the format's generation first."""
        plain: dict[str, Any] = to_plain(self)
        return {"format": FORMAT, **plain}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunRecord:
        """The inverse of `to_dict`.

        Raises:
            UserError: A later generation wrote it, or parts are missing.
        """
        check_format(values, FORMAT, what="the run's record")
        try:
            rest = {key: value for key, value in values.items() if key != "format"}
            return cls(
                **rest
                | {
                    "environment": Environment(**rest["environment"]),
                    "components": tuple(ComponentUse(**item) for item in rest["components"]),
                    "data": None if rest["data"] is None else _data_use(rest["data"]),
                    "weights": None if rest["weights"] is None else _load_report(rest["weights"]),
                    "overrides": tuple(rest["overrides"]),
                    "wrappers": _wrapper_uses(rest.get("wrappers")),
                }
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UserError(f"the run's record is damaged: {type(error).__name__}: {error}") from error

    def save(self, path: Path) -> Path:
        """Replaces record.json in one step.

        Raises:
            UserError: The disk is full, or the folder cannot be written. The old record is still there.
        """
        return write_json(path, self.to_dict())

    @classmethod
    def load(cls, path: Path) -> RunRecord:
        """Reads record.json.

        Raises:
            UserError: It is missing, damaged, or from a later version.
        """
        values = read_json(path)
        if not isinstance(values, dict):
            raise UserError("the run's record is damaged: it holds no object", where=str(path))
        return cls.from_dict(values)


def check_format(values: Mapping[str, Any], known: int, *, what: str) -> None:
    """Refuses what a later version of zoo has written.

    Raises:
        UserError: There is no `format`, or it is above `known`.
    """
    found = values.get("format")
    if not isinstance(found, int) or isinstance(found, bool) or found < 1:
        raise UserError(f"{what} does not say its format ({found!r})", allowed=f"1 to {known}")
    if found > known:
        raise UserError(
            f"{what} has format {found}; this zoo reads up to {known}",
            allowed=f"1 to {known}",
            do="install the version of zoo that wrote it, or a later one",
        )


def _data_use(values: Mapping[str, Any]) -> DataUse:
    return DataUse(
        **{
            **values,
            "task": Task(values["task"]),
            "classes": tuple(values["classes"]),
            "quarantined": tuple(BadFile(**item) for item in values["quarantined"]),
            "notes": tuple(values["notes"]),
        }
    )


def _wrapper_uses(values: Iterable[Mapping[str, Any]] | None) -> tuple[WrapperUse, ...] | None:
    return None if values is None else tuple(WrapperUse(**item) for item in values)


def _load_report(values: Mapping[str, Any]) -> LoadReport:
    lists = {key: tuple(value) for key, value in values.items() if isinstance(value, list)}
    return LoadReport(**{**values, **lists})
