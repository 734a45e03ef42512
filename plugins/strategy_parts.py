"""The strategies that train a part of the network: stage after stage, chosen stages, biases, norms, adapters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge
from zoo_plugins.strategy_recipe import (
    FIT_HEAD,
    Count,
    Decay,
    Factor,
    NormKeepingRecipe,
    Share,
    StagedRecipe,
    first_stages,
    refuse_network,
)

from zoo.contracts.data import DataFacts
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import LowRank, Phase, Plan
from zoo.errors import UserError

Ones = Annotated[int, Ge(1)]


@dataclass(frozen=True, kw_only=True)
class _FromProbe:
    """A recipe whose training begins with a fitted head.

    Args:
        probe_first: Fit the head on frozen features before; else it starts at random.
    """

    probe_first: bool = True

    def after_probe(self, *phases: Phase) -> tuple[Phase, ...]:
        """The phases, behind the one that fits the head."""
        return (FIT_HEAD, *phases) if self.probe_first else phases


@dataclass(frozen=True, kw_only=True)
class GradualUnfreezing(_FromProbe, NormKeepingRecipe):
    """Trains the stages nearest to the head first, and thaws the others one group after the other.

    The head is trained in all phases; each phase has the same share of the epochs, and a schedule and a moving average
    of its own. Without `probe_first` the first phase trains the head alone, as the paper has it.

    Source: Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", arXiv:1801.06146, section
    3.3, with its discriminative rates (`stage_decay`; there 1 / 2.6). Deviations: the head is fitted to its optimum
    first, and stages of a network take the place of the layers of a language model.

    Args:
        stages_at_once: So many stages are thawed with each phase.
        freeze_stages: So many stages from the input are never thawed.
    """

    stages_at_once: Ones = 2
    freeze_stages: Count = 0

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """A phase for each group of stages, from the head on."""
        last, count = len(first_stages(network, self.freeze_stages)), len(network.stages)
        if not count:
            raise UserError(
                f"{network.name} has no stages that could be thawed one after the other",
                where="strategy=gradual",
                do=["strategy=lpft, to train everything behind a fitted head", "or strategy=full"],
            )
        if last == count:
            raise UserError(
                f"all {count} stages of {network.name} are frozen: nothing is left to thaw",
                where=f"strategy.freeze_stages={self.freeze_stages}",
                allowed=f"0 to {count - 1}",
                do="to train the head alone: strategy=probe",
            )
        depths = [*range(count - self.stages_at_once, last, -self.stages_at_once), last]
        depths = depths if self.probe_first else [count, *depths]
        epochs = self.passes(facts) / len(depths)
        phases = [
            self.keeping(facts, f"gradual-{k}", pretrained=pretrained, epochs=epochs, frozen=tuple(range(depth)))
            for k, depth in enumerate(depths, start=1)
        ]
        reason = f"{count - last} of {count} stages are thawed from the head on, {self.stages_at_once} with each phase"
        return Plan("gradual", self.after_probe(*phases), reason)


@dataclass(frozen=True, kw_only=True)
class Surgical(_FromProbe, NormKeepingRecipe):
    """Trains a few stages, and the head; the others stay frozen.

    Which fit depends on what has changed: the first where the pixels look otherwise (noise, another sensor), those in
    the middle for other parts of things, the last for other labels.

    Source: Lee et al., "Surgical Fine-Tuning Improves Adaptation to Distribution Shifts", arXiv:2210.11466. Deviation:
    the labels are others here, so the head is fitted first and trained too.

    Args:
        which: Where the trained stages lie.
        count: How many there are.
    """

    which: Literal["first", "middle", "last"] = "last"
    count: Ones = 1

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """The head, then the chosen stages."""
        stages = len(network.stages)
        if self.count >= stages:
            raise UserError(
                f"{self.count} of {stages} stages of {network.name} would be trained, which leaves none frozen",
                where=f"strategy.count={self.count}",
                allowed=f"1 to {stages - 1}" if stages > 1 else "no number for this network",
                do="to train everything: strategy=lpft",
            )
        start = {"first": 0, "middle": (stages - self.count) // 2, "last": stages - self.count}[self.which]
        trained = range(start, start + self.count)
        frozen = tuple(number for number in range(stages) if number not in trained)
        names = ", ".join(network.stages[number] for number in trained)
        reason = f"of {stages} stages only the {self.which} are trained ({names}), and the head"
        phase = self.keeping(facts, "surgical", pretrained=pretrained, frozen=frozen)
        return Plan("surgical", self.after_probe(phase), reason)


@dataclass(frozen=True, kw_only=True)
class BiasOnly(_FromProbe, NormKeepingRecipe):
    """Trains all biases, the shifts of norms among them, and the head.

    Source: Ben Zaken et al., "BitFit: Simple Parameter-efficient Fine-tuning for Transformer-based Masked
    Language-models", arXiv:2106.10199. Rates are ten times those of a training of everything, as there.
    """

    lr_factor: Factor = 10.0
    stage_decay: Decay = 1.0

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """The head, then the biases with it."""
        if not network.biases:
            refuse_network(network, "bitfit", lacks="biases")
        phase = self.keeping(facts, "bitfit", pretrained=pretrained, parameters="bias")
        return Plan("bitfit", self.after_probe(phase), f"the biases of {network.name} are trained, and the head")


@dataclass(frozen=True, kw_only=True)
class NormOnly(_FromProbe, NormKeepingRecipe):
    """Trains the scales and shifts of all normalisation layers, and the head.

    Source: Frankle et al., "Training BatchNorm and Only BatchNorm", arXiv:2003.00152; for pretrained networks
    Mudrakarta et al., "K for the Price of 1", arXiv:1810.10703. Deviation: BatchNorm keeps its statistics
    (`freeze_norm`).
    """

    lr_factor: Factor = 10.0
    stage_decay: Decay = 1.0

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """The head, then the norms with it."""
        if not network.norm_layers:
            refuse_network(network, "norm", lacks="normalisation layers")
        phase = self.keeping(facts, "norm", pretrained=pretrained, parameters="norm")
        reason = f"scales and shifts of {network.norm_layers} norms are trained, and the head"
        return Plan("norm", self.after_probe(phase), reason)


@dataclass(frozen=True, kw_only=True)
class LowRankAdapters(_FromProbe, StagedRecipe):
    """Adds a low-rank product to chosen layers and trains it with the head; all else is frozen.

    A layer computes W x + alpha / rank * B A x, with B zero at the start; at the end W + alpha / rank * B A takes the
    place of W, so that the saved model is a plain network. Needs the library peft.

    Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models", arXiv:2106.09685. Rates are ten times those
    of a training of everything: Schulman et al. 2025, "LoRA Without Regret", thinkingmachines.ai/blog/lora.

    Args:
        rank: Rows of A and columns of B.
        alpha: Size of what is added; with twice the rank its factor is 2.
        dropout: Share of an adapter's inputs that are set to zero in training, in [0, 1).
        layers: Kinds of layers that are adapted; convolutions with groups or dilation never are.
        targets: Ends of the names of the layers, such as `[qkv,attn.proj]`; auto: all outside the head.
    """

    lr_factor: Factor = 10.0
    stage_decay: Decay = 1.0
    rank: Ones = 8
    alpha: Factor = 16.0
    dropout: Share = 0.0
    layers: Literal["linear", "conv", "all"] = "linear"
    targets: Literal["auto"] | tuple[str, ...] = "auto"

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """The head, then the adapters with it."""
        if not pretrained:
            raise UserError(
                "there is nothing to adapt: with weights=none the layers that adapters are added to hold random values",
                where="strategy=lora",
                do=["strategy=scratch", "or pretrained weights: leave weights out, or weights=PATH"],
            )
        linear, conv = network.linear_layers, network.conv_layers
        if not {"linear": linear, "conv": conv, "all": linear + conv}[self.layers]:
            other = {"linear": conv, "conv": linear, "all": 0}[self.layers]
            way = () if not other else (f"strategy.layers={'conv' if self.layers == 'linear' else 'linear'}",)
            kinds = {"linear": "linear layers", "conv": "convolutions that can be adapted", "all": "layers to adapt"}
            refuse_network(network, "lora", lacks=kinds[self.layers], also=way)
        adapters = LowRank(
            rank=self.rank,
            alpha=self.alpha,
            dropout=self.dropout,
            layers=self.layers,
            targets=None if self.targets == "auto" else tuple(self.targets),
        )
        reason = f"adapters of rank {self.rank} are trained, and the head; at the end they are merged"
        return Plan("lora", self.after_probe(self.phase(facts, "lora", adapters=adapters, freeze_norm=True)), reason)
