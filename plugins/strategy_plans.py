"""The strategies that train the head alone, or everything: pure functions of what is known of data and network."""

from __future__ import annotations

from dataclasses import dataclass

from zoo_plugins.strategy_recipe import FIT_HEAD, Count, Factor, NormKeepingRecipe, Recipe, Share, first_stages

from zoo.contracts.data import DataFacts
from zoo.contracts.model import NetworkFacts
from zoo.contracts.training import Phase, Plan


class LinearProbe:
    """Fits the head on features of the frozen backbone, which are computed once."""

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """One phase."""
        return Plan("probe", (FIT_HEAD,), "the backbone stays as it is; only the head is fitted")


@dataclass(frozen=True, kw_only=True)
class FullFineTune(NormKeepingRecipe):
    """Trains the whole network from the start, with a fresh head.

    Source: Yosinski et al., "How transferable are features in deep neural networks?", arXiv:1411.1792. The moving
    average, crops, smoothing and decay by stage are additions (benchmarks/).

    Args:
        freeze_stages: So many of the network's stages from the input are frozen; `zoo models show` lists them. Saves
            time and memory where the early features fit.
    """

    freeze_stages: Count = 0

    def training(self, facts: DataFacts, network: NetworkFacts, *, pretrained: bool) -> Phase:
        """The phase in which everything is trained."""
        frozen = first_stages(network, self.freeze_stages)
        return self.keeping(facts, "finetune", pretrained=pretrained, frozen=frozen)

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """One phase."""
        reason = "everything is trained from the start, with a fresh head"
        return Plan("full", (self.training(facts, network, pretrained=pretrained),), reason)


@dataclass(frozen=True, kw_only=True)
class ProbeThenFineTune(FullFineTune):
    """Fits the head on frozen features, then trains everything from there.

    A fresh head sends large, wrong gradients through the network and distorts what it knows; a fitted one does not. The
    options are those of the second phase, the same as `full` has.

    Source: Kumar et al., "Fine-Tuning can Distort Pretrained Features", arXiv:2202.10054.
    """

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """Two phases."""
        reason = "the head is fitted on frozen features, then everything is trained"
        return Plan("lpft", (FIT_HEAD, self.training(facts, network, pretrained=pretrained)), reason)


@dataclass(frozen=True, kw_only=True)
class FromScratch(Recipe):
    """Trains all values from random ones.

    Source: He et al., "Delving deep into rectifiers", arXiv:1502.01852, for the starting values; Tan and Le,
    "EfficientNetV2", arXiv:2104.00298, section 4, for images that grow in the course of training (`start_px`).
    Regularization does not grow with them here.

    Args:
        epochs: Passes over the training images.
        start_px: Side of the training images in the first epochs, below the network's own input; it grows to that in
            equal steps. Small images are quicker. null: full size from the start.
    """

    epochs: Factor = 30
    lr_factor: Factor = 2.0
    ema_decay: Share = 0.99
    crop_scale: tuple[float, float] | None = (0.5, 1.0)
    start_px: int | None = None

    def plan(self, facts: DataFacts, *, network: NetworkFacts, pretrained: bool, must_train: bool = False) -> Plan:
        """One phase."""
        phase = self.phase(facts, "scratch", start_px=self.start_px)
        return Plan("scratch", (phase,), "all values start at random")
