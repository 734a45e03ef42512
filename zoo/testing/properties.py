"""The properties that the conformance kit looks at: what each is called, of which kinds, why, and how to fix it.

The looks themselves are named by `module:function` and imported when they are needed, so this imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pkgutil import resolve_name
from typing import TYPE_CHECKING, cast

from zoo.errors import UserError, name_list
from zoo.kinds import KINDS

if TYPE_CHECKING:
    from zoo.testing.subject import Subject

Look = Callable[["Subject"], None]
"""Looks at one component; raises `BrokenError` or `NotApplicableError`, or returns where the property holds."""

TRAINED = ("model", "head", "loss", "regularizer", "optimizer", "schedule")
"""Kinds that take part in a step of gradient descent."""


@dataclass(frozen=True)
class Property:
    """One thing that holds for every component of some kinds.

    Attributes:
        key: Short name, for `properties=[...]`.
        title: A sentence, which is also the name of its test case.
        why: Why it matters to a user.
        fix: What the author usually has to change.
        looks: Kind to `module:function` of the look at it.
        slow: Whether it takes seconds: `--quick` leaves it out.
    """

    key: str
    title: str
    why: str
    fix: str
    looks: Mapping[str, str]
    slow: bool = False

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds that it applies to, in their usual order."""
        return tuple(kind.name for kind in KINDS if kind.name in self.looks)

    def look(self, subject: Subject) -> None:
        """Looks at one component.

        Raises:
            BrokenError: It does not hold.
            NotApplicableError: The component has nothing that it is about.
        """
        cast(Look, resolve_name(self.looks[subject.entry.kind]))(subject)


def _all(target: str, *, but: Iterable[str] = ()) -> dict[str, str]:
    """The same look at every kind."""
    return {kind.name: target for kind in KINDS if kind.name not in tuple(but)}


def _own(key: str, *kinds: str) -> dict[str, str]:
    """Each kind's own look, in its own module."""
    return {kind: f"zoo.testing.kinds.{kind}:{key}" for kind in kinds}


def _trained(key: str, *kinds: str) -> dict[str, str]:
    """A look at a short training run in which the component takes its place."""
    return dict.fromkeys(kinds, f"zoo.testing.trained:{key}")


PROPERTIES: tuple[Property, ...] = (
    Property(
        "described",
        "summary and source are given",
        "`zoo plugins` and the config help show the summary, and a record of a run quotes the source: without "
        "them nobody can tell what was used.",
        "Pass summary= (one line of 8 to 100 characters, no full stop) and source= (a paper or page) to register.",
        _all("zoo.testing.described:described"),
    ),
    Property(
        "signature",
        "its signature makes a configuration",
        "The signature is the schema of its options: without a type a wrong value gets through, without a plain "
        "default no configuration can be written, and without a line in Args: the help is empty.",
        "Make every option keyword-only, with a type, a plain default that fits the type, and a line in the "
        "docstring's Args: section.",
        _all("zoo.testing.described:signature"),
    ),
    Property(
        "lazy",
        "the hook module imports nothing heavy",
        "Every command imports the hook module, `zoo --help` too; one import of torch there makes all of them seconds "
        "slower for everybody.",
        "Name the target as text, 'module:attr', and import libraries in that module, not in the one with the hooks.",
        _all("zoo.testing.loading:lazy"),
    ),
    Property(
        "import_time",
        "it is imported quickly",
        "Every command waits for the hook module, and every run that uses the component for its own module.",
        "Move work out of the module's top level into the function or __init__ that needs it.",
        _all("zoo.testing.loading:import_time"),
    ),
    Property(
        "builds",
        "it builds what its contract asks for",
        "The framework calls the methods of the contract by name, and passes what the kind supplies by keyword.",
        "Compare it with the contract of its kind in zoo.contracts; options without a default need example values: "
        "check_component(..., options={...}), or the fact example={...} where it is registered.",
        _all("zoo.testing.building:builds"),
    ),
    Property(
        "picklable",
        "it can be sent to workers",
        "Loaders may run in other processes, and what is sent there is pickled; a copy must do what the original does.",
        "Keep no lambda, open file, lock or generator in self; make such things when they are first used, or give "
        "__getstate__.",
        _own("picklable", "dataset", "augmentation"),
    ),
    Property(
        "threads",
        "it works from several threads at once",
        "Images are read by several threads at once; a shared file position or buffer gives one image the pixels of "
        "another.",
        "Open the file in each read, use os.pread, or keep what is shared behind a lock.",
        _own("threads", "dataset"),
    ),
    Property(
        "repeatable",
        "the same seed gives the same result",
        "A run can be repeated, resumed and compared only if everything it draws follows from its seed.",
        "Draw from the generator that is passed (a model and a head: from torch's global one), never from random, "
        "numpy.random or a generator of your own, and keep nothing from one call to the next.",
        {
            **_own("repeatable", "dataset", "augmentation", "model", "head", "strategy", "schedule"),
            **_trained("repeatable", "loss", "regularizer", "optimizer"),
        },
    ),
    Property(
        "distinct",
        "other seeds give other draws",
        "Workers, epochs and images each have a generator of their own; draws that do not come from it repeat, and "
        "training sees the same change again and again.",
        "Draw from the generator that is passed; do not seed one of your own.",
        _own("distinct", "augmentation", "model", "regularizer"),
    ),
    Property(
        "shapes",
        "shapes, types and ranges are those of its contract",
        "What comes next relies on them: a wrong one crashes a run in its middle, or trains on nonsense.",
        "Return what the contract of its kind says; convert at the end where you compute in another type.",
        _own(
            "shapes",
            *("dataset", "augmentation", "model", "weights", "head", "regularizer", "optimizer", "schedule", "loss"),
            *("strategy", "importer", "callback"),
        ),
    ),
    Property(
        "inputs",
        "what it is given stays as it was",
        "The same batch is looked at by regularizers, callbacks and a second pass after it; a change in place, or a "
        "draw from a shared generator, changes the run of everybody else.",
        "Work on a copy: x = x * 2 instead of x *= 2, and keep your own random generator where you draw to watch.",
        _own("inputs", "model", "head", "regularizer", "loss", "callback", "tracker"),
    ),
    Property(
        "gradients",
        "gradients and steps are finite",
        "One NaN spreads to every weight at the next step, and the run is lost.",
        "Guard divisions and roots with a small constant, and use log_softmax or logsumexp instead of log(exp(x)).",
        _own("gradients", "model", "head", "regularizer", "optimizer", "loss"),
    ),
    Property(
        "state",
        "state is restored to the bit",
        "A run that is stopped and resumed must end as if it had never been stopped.",
        "Put everything that is remembered from step to step into state_dict (an optimizer: into self.state, as "
        "tensors or numbers), and take it back in load_state_dict.",
        {
            **_trained("state", "model", "head", "regularizer", "optimizer", "schedule"),
            **_own("state", "callback", "tracker"),
        },
    ),
    Property(
        "bf16",
        "it works under bf16",
        "train.precision=bf16, and auto on most GPUs, runs the network in bfloat16.",
        "Convert where types meet: logits.float(), or other.to(x.dtype); make new tensors by x.new_zeros.",
        _trained("bf16", "model", "head", "loss", "regularizer", "optimizer"),
    ),
    Property(
        "processes",
        "two processes keep equal parameters",
        "On several GPUs each process has its own copy of the weights; once they differ, what is saved is not what was "
        "trained.",
        "Let nothing that changes weights or gradients depend on the process: draw from the generator that is passed, "
        "and do not average over the images of one process alone without all_reduce.",
        _trained("processes", *TRAINED),
        slow=True,
    ),
    Property(
        "acts",
        "it does something",
        "An option that a user sets and that changes nothing is an error here, and so is a component.",
        "Check that its result is used; give example options with which it acts on any data: example={...} where it is "
        "registered.",
        _own(
            "acts",
            *("dataset", "augmentation", "model", "head", "regularizer", "optimizer", "schedule", "loss", "tracker"),
            "command",
        ),
    ),
    Property(
        "refuses",
        "what is not its own is refused, and nothing is made up",
        "Every reader is asked about files and networks of others; a crash there, or a guess, hides who could.",
        "Return False (or None) for what is not yours, and raise UserError for a file of yours that is torn.",
        _own("refuses", "weights", "importer"),
    ),
    Property(
        "no_network",
        "it does not use the network",
        "Nobody asked for it: it fails on machines without a network, and tells others what the user does.",
        "Take what is on the disk; a component that is there to download says so in its name or summary (hub, "
        "download, fetch, online, remote).",
        _all("zoo.testing.conduct:no_network"),
    ),
    Property(
        "no_writes",
        "it writes nothing outside the run's folder",
        "The user's folders are his; what is strewn there is never found again, and two runs overwrite each other's.",
        "Write into the folder that you are told (event.run_dir, run.folder), or through the module tempfile.",
        _all("zoo.testing.conduct:no_writes"),
    ),
    Property(
        "no_prints",
        "it prints nothing",
        "Output on stdout spoils --json and pipes, and on stderr the progress line.",
        "Use the module logging for what helps you, raise UserError for what the user must know, and switch progress "
        "bars off.",
        _all("zoo.testing.conduct:no_prints", but=("command",)),
    ),
)
"""All properties, in the order in which they are looked at."""

BY_KEY: Mapping[str, Property] = {one.key: one for one in PROPERTIES}


def chosen(kind: str, keys: Iterable[str] | None = None, *, quick: bool = False) -> tuple[Property, ...]:
    """The properties of a kind.

    Args:
        kind: Name of the kind.
        keys: Only these; None takes all.
        quick: Leave the slow ones out.

    Raises:
        UserError: There is no such property, or none of this kind.
    """
    of_kind = [one for one in PROPERTIES if kind in one.looks]
    known = [one.key for one in of_kind]
    asked = known if keys is None else list(keys)
    for key in asked:
        if key not in known:
            raise UserError(f"no property {key!r} of a {kind}", where="properties", allowed=name_list(key, known))
    return tuple(one for one in of_kind if one.key in asked and not (quick and one.slow))
