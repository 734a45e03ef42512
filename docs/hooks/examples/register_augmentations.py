# zoo_negative.py; in pyproject.toml: [project.entry-points."zoo.v1"]  negative = "zoo_negative"
from zoo.hookspecs import hookimpl


@hookimpl
def register_augmentations(register):
    register("negative", "zoo_negative:Negative", summary="Turns some images into their negatives")


class Negative:
    """The negative of an image.

    Args:
        p: Share of images that are changed.
    """

    def __init__(self, *, p: float = 0.5):
        self.p = p

    def __call__(self, image, rng):
        return 255 - image if rng.random() < self.p else image
