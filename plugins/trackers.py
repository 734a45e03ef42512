"""Hook module of the built-in trackers. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

HOME = "zoo_plugins.tracking"


@hookimpl
def register_trackers(register: Register) -> None:
    """Offers files in the run's folder, and the libraries that draw curves. None of them asks the network by itself."""
    register(
        "csv",
        f"{HOME}.curve_files:Csv",
        summary="A table in the run's folder: one row a step, one column a curve",
        source="RFC 4180",
    )
    register(
        "jsonl",
        f"{HOME}.curve_files:JsonLines",
        summary="Lines of JSON in the run's folder: step, name and value",
        source="https://jsonlines.org",
    )
    register(
        "tensorboard",
        f"{HOME}.tensorboard_tracker:TensorBoard",
        summary="Event files for TensorBoard in the run's folder",
        source="https://www.tensorflow.org/tensorboard",
    )
    register(
        "mlflow",
        f"{HOME}.mlflow_tracker:MLflow",
        summary="MLflow: a database in the run's folder, or a tracking server that an option names",
        source="https://mlflow.org/docs/latest/ml/tracking",
    )
    register(
        "wandb",
        f"{HOME}.wandb_tracker:Wandb",
        summary="Weights & Biases: offline in the run's folder, or online where an option says so",
        source="https://docs.wandb.ai/ref/python/sdk/functions/init",
    )
    register(
        "trackio",
        f"{HOME}.trackio_tracker:Trackio",
        summary="Trackio: a database in the run's folder, or a Space that an option names",
        source="https://huggingface.co/docs/trackio",
    )
