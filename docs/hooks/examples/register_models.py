# zoo_glance.py; in pyproject.toml: [project.entry-points."zoo.v1"]  glance = "zoo_glance"
from zoo.hookspecs import hookimpl


@hookimpl
def register_models(register):
    register("glance", "zoo_glance:build", summary="One layer, averaged over all places", library="glance", input_px=32)


def build(*, classes, channels, image_size, width: int = 32):
    from torch import nn

    from zoo.contracts.model import Model, ModelSpec, Stage
    from zoo.imaging.preprocess import Preprocess

    module = nn.Sequential()
    module.look = nn.Sequential(nn.Conv2d(channels, width, 7), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    module.head = nn.Linear(width, classes)
    stages = (Stage("look", ("look.0.weight", "look.0.bias")),)
    half = (0.5,) * channels
    preprocess = Preprocess(image_size or 32, mean=half, std=half)
    spec = ModelSpec("glance/glance", "glance", "glance", "head", width, stages, preprocess, args={"width": width})
    return Model(module, spec)
