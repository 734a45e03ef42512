# zoo_knee.py; in pyproject.toml: [project.entry-points."zoo.v1"]  knee = "zoo_knee"
from zoo.hookspecs import hookimpl


@hookimpl
def register_schedules(register):
    register("knee", "zoo_knee:Knee", summary="The full rate, then evenly down to 0", source="arXiv:2003.03977")


class Knee:
    """1 up to `at`, then evenly down to 0.

    Args:
        at: Share of the phase where the rate begins to fall.
    """

    def __init__(self, *, at: float = 0.5):
        self.at = at

    def __call__(self, progress):
        return min(1.0, (1.0 - progress) / (1.0 - self.at))
