# zoo_infinity.py; in pyproject.toml: [project.entry-points."zoo.v1"]  infinity = "zoo_infinity"
from zoo.hookspecs import hookimpl


@hookimpl
def register_optimizers(register):
    register("infinity", "zoo_infinity:build", summary="Adam by largest gradients", source="arXiv:1412.6980", lr=5e-4)


def build(params, *, lr: float, betas: tuple[float, float] = (0.9, 0.999), weight_decay: float = 0.0):
    """Adam with the infinity norm in the place of the second moment.

    Args:
        betas: Decays of the mean gradient and of the largest one.
        weight_decay: Added to the gradient as weight_decay * w.
    """
    import torch

    return torch.optim.Adamax(params, lr=lr, betas=betas, weight_decay=weight_decay)
