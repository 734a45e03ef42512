# zoo_matrix.py; in pyproject.toml: [project.entry-points."zoo.v1"]  matrix = "zoo_matrix"
from zoo.contracts.importing import ForeignLayer, ForeignModel
from zoo.hookspecs import hookimpl


@hookimpl
def register_importers(register):
    register("matrix", "zoo_matrix:Matrix", summary="One matrix float[classes, inputs] (.npy)", suffixes=(".npy",))


class Matrix:
    def reads(self, path):
        return path.suffix == ".npy"

    def read(self, path, *, definition=None):
        import numpy as np

        weight = np.load(path, allow_pickle=False).astype(np.float32)
        tensors = {"weight": weight, "bias": np.zeros(len(weight), np.float32)}
        return ForeignModel("numpy", (ForeignLayer("matrix", "dense", tensors),), "execution")

    def forward(self, path, *, definition=None):
        return None
