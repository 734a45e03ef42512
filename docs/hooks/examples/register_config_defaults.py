# zoo_house.py; in pyproject.toml: [project.entry-points."zoo.v1"]  house = "zoo_house"
from zoo.hookspecs import hookimpl


@hookimpl
def register_config_defaults(register):
    register("schedule", "linear", reason="all of our runs fall evenly")
    register("train.patience", 3, reason="our machine is shared")
