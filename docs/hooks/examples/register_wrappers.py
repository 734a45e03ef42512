# zoo_floor.py; in pyproject.toml: [project.entry-points."zoo.v1"]  floor = "zoo_floor"
from zoo.hookspecs import hookimpl


@hookimpl
def register_wrappers(register):
    register("schedule", "zoo/cosine", "zoo_floor:wrap", summary="Never below a tenth of the full rate")


def wrap(component, *, name):
    return lambda progress: max(0.1, component(progress))
