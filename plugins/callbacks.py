"""Hook module of the built-in callbacks. Imports nothing heavy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.hookspecs import hookimpl

if TYPE_CHECKING:
    from zoo.plugins import Register

HOME = "zoo_plugins.watching"


@hookimpl
def register_callbacks(register: Register) -> None:
    """Offers what stops a run, and what shows how it goes."""
    register(
        "stop_when",
        f"{HOME}.stop_when:StopWhen",
        summary="Ends training where a measure reaches a target, or no longer gets better",
        source="Prechelt 1998, Early Stopping - But When?",
        needs_training=True,
        example={"patience": 1},
    )
    register(
        "batch_picture",
        f"{HOME}.batch_picture:BatchPicture",
        summary="Pictures of the first training batches as the network sees them, in the report",
        source="https://docs.ultralytics.com/yolov5/tutorials/train_custom_data (train_batch0.jpg)",
        needs_training=True,
    )
    register(
        "worst",
        f"{HOME}.worst:Worst",
        summary="The answers that are wrong with most confidence, in the report as a picture and a table",
        source="https://docs.fast.ai/interpret.html (plot_top_losses)",
    )
