# zoo_crown.py; in pyproject.toml: [project.entry-points."zoo.v1"]  crown = "zoo_crown"
from zoo.contracts.training import Phase, Plan
from zoo.hookspecs import hookimpl


@hookimpl
def register_strategies(register):
    register("crown", "zoo_crown:Crown", summary="Trains the last stage and the head")


class Crown:
    """One phase, in which all stages but the last are frozen.

    Args:
        epochs: Passes over the training images.
    """

    def __init__(self, *, epochs: float = 4):
        self.epochs = epochs

    def plan(self, facts, *, network, pretrained, must_train=False):
        frozen = tuple(range(len(network.stages) - 1))
        return Plan("crown", (Phase("crown", "train", self.epochs, frozen=frozen),), f"{len(frozen)} stages are frozen")
