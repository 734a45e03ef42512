"""What a new plugin may hold: for each kind a small component that works, how it is offered and how it is used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from zoo.kinds import BY_NAME, KINDS

CONFIG_DIRS, WRAPPERS, CONFIG_DEFAULTS = "config_dirs", "wrappers", "config_defaults"
"""What a plugin may bring beside components: YAML, something around others' components, and other defaults."""

LIBRARIES: Mapping[str, str] = {
    "annotated_types": "annotated-types>=0.6",
    "numpy": "numpy>=2.0",
    "torch": "torch>=2.11",
}
"""What components import, and the requirement that brings it; zoo's own are the same."""


@dataclass(frozen=True)
class Part:
    """One kind's share of a new plugin. Texts may hold `$name` and the like (`zoo.scaffold.tree`).

    Attributes:
        kind: Name of the kind; its templates are `KIND.py.tmpl` and `test_KIND.py.tmpl`. What is no component has a
            template of its hook, `hook_KIND.py.tmpl`.
        what: The component in a few words, for the README.
        summary: Its one line in `zoo plugins`.
        use: The command line that uses it.
        attribute: What its module defines.
        source: Paper or page that it follows, or None.
        facts: Fact to its value, as both stand in the hook.
        libraries: What its module imports beside zoo.
    """

    kind: str
    what: str
    summary: str
    use: str
    attribute: str = "$title"
    source: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)
    libraries: tuple[str, ...] = ("annotated_types",)

    @property
    def hook(self) -> str:
        """Name of the hook that offers it."""
        return f"register_{BY_NAME[self.kind].hook}" if self.kind in BY_NAME else f"register_{self.kind}"

    @property
    def is_component(self) -> bool:
        """Whether it is a component, which users choose or zoo looks up by its name."""
        return self.kind in BY_NAME

    @property
    def has_module(self) -> bool:
        """Whether it needs a module of its own, `KIND.py`."""
        return self.is_component or self.kind == WRAPPERS


_PARTS = (
    Part(
        "dataset",
        "a data set: stripes in noise",
        "Gray images of horizontal and vertical stripes in noise; needs no file and no network",
        "python -m zoo finetune data=$choice",
        libraries=("annotated_types", "numpy"),
    ),
    Part(
        "augmentation",
        "an augmentation: bright values inverted",
        "Inverts all values from a drawn threshold on",
        "python -m zoo finetune 'augmentations=[$choice]'",
        source="arXiv:1805.09501 (Cubuk et al. 2019, AutoAugment)",
        libraries=("annotated_types", "numpy"),
    ),
    Part(
        "model",
        "a network: three convolutions",
        "Three convolutions with batch norm, for small images",
        "python -m zoo finetune model=$choice weights=none",
        attribute="build",
        source="arXiv:1312.4400 (Lin et al. 2013, Network in network)",
        facts={"library": '"$namespace"', "input_px": "32"},
        libraries=("annotated_types", "torch"),
    ),
    Part(
        "weights",
        "a source of weights: a folder that a variable names",
        "Files ARCH.safetensors in the folder that ${constant}_WEIGHTS names",
        "${constant}_WEIGHTS=FOLDER python -m zoo finetune model=resnet18 weights=$choice",
        facts={"rank": "5"},
        libraries=(),
    ),
    Part(
        "head",
        "a head: a linear layer on normalised features",
        "A linear layer on features of mean 0 and variance 1",
        "python -m zoo finetune head=$choice",
        source="arXiv:1607.06450 (Ba et al. 2016)",
        libraries=("annotated_types", "torch"),
    ),
    Part(
        "regularizer",
        "a regularizer: gradients without their mean",
        "Takes the mean out of the gradient of each output unit",
        "python -m zoo finetune 'regularizers=[$choice]'",
        source="arXiv:2004.01461 (Yong et al. 2020)",
        libraries=("annotated_types", "torch"),
    ),
    Part(
        "optimizer",
        "an optimizer: descent by the sign of the momentum",
        "Descent by the sign of the momentum: every weight moves by the same length",
        "python -m zoo finetune optimizer=$choice",
        source="arXiv:1802.04434 (Bernstein et al. 2018)",
        facts={"lr": "1e-4"},
        libraries=("annotated_types", "torch"),
    ),
    Part(
        "schedule",
        "a schedule: the full rate, then down to 0",
        "The full rate, then evenly down to 0 at the end",
        "python -m zoo finetune schedule=$choice",
        source="arXiv:2405.18392 (Haegele et al. 2024)",
    ),
    Part(
        "loss",
        "a loss: cross entropy with a correction",
        "Cross entropy plus a share of one minus the probability of the right class",
        "python -m zoo finetune loss=$choice",
        source="arXiv:2204.12511 (Leng et al. 2022)",
        facts={"tasks": '("single_label",)', "soft_targets": "True"},
        libraries=("annotated_types", "torch"),
    ),
    Part(
        "strategy",
        "a strategy: the head, then the deepest stages",
        "Fits the head, then trains it with the stages nearest to it",
        "python -m zoo finetune strategy=$choice",
        source="arXiv:1411.1792 (Yosinski et al. 2014)",
    ),
    Part(
        "callback",
        "a callback: stops at a target",
        "Ends a phase once the validation accuracy reaches a target, and reports it",
        "python -m zoo finetune 'callbacks=[$choice]'",
        facts={"needs_training": "True"},
    ),
    Part(
        "tracker",
        "a tracker: curves as a table",
        "Writes curves and scores into a table of comma-separated values",
        "python -m zoo finetune 'trackers=[$choice]'",
    ),
    Part(
        "importer",
        "an importer: networks of ConvNetJS",
        "ConvNetJS networks as JSON (.json)",
        "python -m zoo convert source=net.json model=NAME out=FOLDER reader=$choice",
        source="https://github.com/karpathy/convnetjs",
        facts={"suffixes": '(".json",)', "sample": '"$package.importer:write_sample"'},
        libraries=("numpy",),
    ),
    Part(
        "command",
        "a command: the best validation of each run",
        "print the best validation of each run",
        "python -m zoo $choice RUN",
        attribute="main",
        facts={"usage": '"$name RUN [RUN ...]"'},
        libraries=(),
    ),
    Part(
        CONFIG_DIRS,
        "an experiment: written as YAML",
        "",
        "python -m zoo finetune experiment=$name",
        libraries=(),
    ),
    Part(
        WRAPPERS,
        "a wrapper: a schedule that keeps a floor",
        "Never below a tenth of the full rate",
        "python -m zoo finetune schedule=cosine",
        libraries=(),
    ),
    Part(
        CONFIG_DEFAULTS,
        "a default: more patience with runs that get no better",
        "",
        "python -m zoo explain config",
        libraries=(),
    ),
)

PARTS: Mapping[str, Part] = {part.kind: part for part in _PARTS}
"""Every kind that `--kind` takes, to what it brings."""

ORDER = (*(kind.name for kind in KINDS), CONFIG_DIRS, WRAPPERS, CONFIG_DEFAULTS)
"""In which order the parts of one plugin stand."""
