# zoo_gentle/__init__.py; in pyproject.toml: [project.entry-points."zoo.v1"]  gentle = "zoo_gentle"
# and [tool.setuptools.package-data]  "zoo_gentle.conf" = ["**/*.yaml"]
from zoo.hookspecs import hookimpl


@hookimpl
def register_config_dirs(register):
    register("zoo_gentle.conf")  # zoo_gentle/conf/__init__.py is empty; the YAML lies below it
