# zoo_dropped.py; in pyproject.toml: [project.entry-points."zoo.v1"]  dropped = "zoo_dropped"
from zoo.hookspecs import hookimpl


@hookimpl
def register_heads(register):
    register("dropped", "zoo_dropped:build", summary="A linear layer behind dropout", source="arXiv:1207.0580")


def build(*, features, classes, p: float = 0.5):
    """z = W dropout(x) + b.

    Args:
        features: Width of the input.
        classes: Number of outputs.
        p: Share of the features that is set to zero in training.
    """
    from torch import nn

    return nn.Sequential(nn.Dropout(p), nn.Linear(features, classes))
