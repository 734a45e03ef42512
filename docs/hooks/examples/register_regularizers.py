# zoo_light_head.py; in pyproject.toml: [project.entry-points."zoo.v1"]  light_head = "zoo_light_head"
from zoo.hookspecs import hookimpl


@hookimpl
def register_regularizers(register):
    register("light_head", "zoo_light_head:LightHead", summary="Keeps the values of the head small")


class LightHead:
    """strength * sum of squares of the head's values, added to the loss.

    Args:
        strength: Weight of the penalty.
    """

    def __init__(self, *, strength: float = 1e-3):
        self.strength = strength

    def penalty(self, model):
        return self.strength * sum(values.square().sum() for values in model.head.parameters())
