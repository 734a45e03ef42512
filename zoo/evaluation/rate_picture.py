"""The picture of a range test: loss over learning rates, with the one that was chosen."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.evaluation.pictures import canvas, open_frame, png


def draw_rate_curve(rates: Sequence[float], losses: Sequence[float], *, chosen: float) -> bytes:
    """A PNG: the smoothed training loss over rising rates, on a logarithmic axis.

    Args:
        rates: Learning rates, rising, above 0.
        losses: The loss at each.
        chosen: Marked by a line and its value.
    """
    figure, axes = canvas(5.2, 3.2)
    axes.plot(rates, losses, color="#2166ac", linewidth=1.5)
    axes.axvline(chosen, color="#d6701d", linewidth=1.2)
    axes.annotate(
        f"{chosen:.2g}", (chosen, max(losses)), xytext=(4, -2), textcoords="offset points", color="#d6701d", fontsize=9
    )
    axes.set_xscale("log")
    axes.set_title("range test", fontsize=11)
    axes.set_xlabel("learning rate", fontsize=9)
    axes.set_ylabel("training loss, smoothed", fontsize=9)
    axes.tick_params(labelsize=8)
    axes.grid(axis="y", color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    open_frame(axes)
    return png(figure)
