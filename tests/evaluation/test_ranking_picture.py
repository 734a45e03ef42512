"""Accuracy against latency: everything named, nothing cut off."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from zoo.contracts.evaluation import Interval
from zoo.evaluation import ranking_picture
from zoo.evaluation.ranking_picture import Point, draw_ranking


def point(name: str, score: float, latency_ms: float, *, whole: bool = True) -> Point:
    return Point(name, Interval(score, score - 0.03, min(1.0, score + 0.02)), latency_ms, whole)


POINTS = (
    point("resnet18", 0.9, 12.0),
    point("tf_efficientnet_lite0", 0.9, 12.2),
    point("convnext_tiny.in12k_ft_in1k", 0.95, 80.0),
    point("lenet5", 0.4, 0.6),
    point("slow_and_bad", 0.5, 200.0),
    point("early", 0.7, 30.0, whole=False),
)


@pytest.fixture
def figures(monkeypatch):
    kept = []
    to_png = ranking_picture.png

    def keep(figure):
        kept.append(figure)
        return to_png(figure)

    monkeypatch.setattr(ranking_picture, "png", keep)
    return kept


def drawn(points, take="resnet18"):
    return draw_ranking(points, take=take, what="accuracy", where="a CPU, 2 threads")


def test_draw_ranking_names_every_network_once_without_overlap(figures):
    drawn(POINTS)
    axes = figures[0].axes[0]
    texts = [text for text in axes.texts if text.get_text()]
    assert sorted(text.get_text() for text in texts) == sorted(p.name for p in POINTS)
    boxes = [text.get_window_extent(figures[0].canvas.get_renderer()) for text in texts]
    assert not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])
    assert "2 threads" in axes.get_xlabel()
    assert [text.get_text() for text in texts if text.get_weight() == "bold"] == ["resnet18"]


def test_draw_ranking_front_goes_through_those_that_nobody_beats(figures):
    drawn(POINTS)
    (front,) = [line for line in figures[0].axes[0].lines if line.get_linestyle() == "--"]
    assert front.get_xdata().tolist() == [0.6, 12.0, 80.0]
    assert front.get_ydata().tolist() == [0.4, 0.9, 0.95]


def test_draw_ranking_leaves_a_white_margin():
    for points in (POINTS, POINTS[:1], [point("a", 1.0, 3.0), point("b", 0.0, 3.0)]):
        pixels = np.asarray(Image.open(io.BytesIO(drawn(points, take=points[0].name))).convert("RGB"))
        for edge in (pixels[:8], pixels[-8:], pixels[:, :8], pixels[:, -8:]):
            assert (edge == 255).all()
        assert (pixels < 200).any()


def test_draw_ranking_shows_names_with_signs_of_mathematics_as_they_are(figures):
    drawn([point("a$b_{c}$", 0.5, 1.0)], take="")
    assert figures[0].axes[0].texts[0].get_text() == "a$b_{c}$"
