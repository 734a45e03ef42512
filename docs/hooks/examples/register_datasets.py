# zoo_flags.py; in pyproject.toml: [project.entry-points."zoo.v1"]  flags = "zoo_flags"
from zoo.contracts.data import Sample, Task
from zoo.hookspecs import hookimpl


@hookimpl
def register_datasets(register):
    register("flags", "zoo_flags:Flags", summary="Flags of two halves, one above or beside the other")


class Flags:
    name, location, task, classes = "flags", "flags (drawn)", Task.SINGLE_LABEL, ("above", "beside")

    def __init__(self, *, images: int = 100):
        self.images = images

    def samples(self):
        return [Sample(f"flag-{i}", (self.classes[i % 2],), size_bytes=768) for i in range(self.images)]

    def read(self, key):
        import numpy as np

        number = int(key.removeprefix("flag-"))
        colours = np.random.default_rng(number).integers(0, 256, (2, 3), dtype=np.uint8)
        halves = np.repeat(colours, 8, axis=0)  # uint8[16, 3]
        return np.broadcast_to(halves[:, None] if number % 2 == 0 else halves[None], (16, 16, 3))
