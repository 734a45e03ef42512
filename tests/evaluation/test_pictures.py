from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from zoo.contracts.data import Task
from zoo.contracts.evaluation import Outputs, Scores
from zoo.evaluation import pictures
from zoo.evaluation.calibration import reliability
from zoo.evaluation.metrics import score
from zoo.evaluation.pictures import draw_confusion, draw_curves, draw_label_table, draw_reliability


def outputs_of(classes: int, count: int) -> Outputs:
    rng = np.random.default_rng(0)
    targets = rng.integers(0, classes, count)
    logits = rng.normal(size=(count, classes)).astype(np.float32)
    logits[np.arange(count), targets] += 2
    return Outputs(logits, targets, np.arange(count), 0.5)


def scores_of(classes: int, *, count: int = 300, length: int = 10) -> Scores:
    names = [f"{k} {'n' * length}" for k in range(classes)]
    return score(outputs_of(classes, count), split="test", classes=names, task=Task.SINGLE_LABEL)


def label_scores(labels: int) -> Scores:
    rng = np.random.default_rng(0)
    targets = (rng.random((40, labels)) < 0.3).astype(np.float32)
    logits = (rng.normal(size=targets.shape) + 2 * targets - 1).astype(np.float32)
    names = [f"label {k}" for k in range(labels)]
    return score(Outputs(logits, targets, np.arange(40), 0.1), split="val", classes=names, task=Task.MULTI_LABEL)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


@pytest.fixture
def figures(monkeypatch):
    """The figures as they are drawn, before they become bytes."""
    kept = []
    to_png = pictures.png

    def keep(figure):
        kept.append(figure)
        return to_png(figure)

    monkeypatch.setattr(pictures, "png", keep)
    return kept


@pytest.mark.parametrize("classes", [2, 3, 10, 20, 21, 60])
def test_draw_confusion_leaves_a_white_margin_so_that_no_word_is_cut(classes):
    picture = pixels(draw_confusion(scores_of(classes, length=40)))
    for edge in (picture[:8], picture[-8:], picture[:, :8], picture[:, -8:]):
        assert (edge == 255).all()


@pytest.mark.parametrize("classes", [2, 10, 20, 21, 60, pytest.param(200, marks=pytest.mark.slow)])
def test_draw_confusion_labels_do_not_overlap(classes, figures):
    draw_confusion(scores_of(classes, count=2 * classes))
    axes = figures[0].axes[0]
    renderer = figures[0].canvas.get_renderer()
    boxes = [label.get_window_extent(renderer) for label in axes.get_yticklabels()]
    assert len(boxes) == classes
    tops = sorted((box.y0, box.y1) for box in boxes)
    assert all(low[1] <= high[0] + 1 for low, high in itertools.pairwise(tops))
    columns = axes.get_xticklabels()
    assert len(columns) == classes
    assert all(label.get_fontsize() >= 6.5 for label in [*columns, *axes.get_yticklabels()])


def test_draw_confusion_writes_counts_up_to_twenty_classes(figures):
    for classes, expected in ((20, True), (21, False)):
        draw_confusion(scores_of(classes))
        counts = [text.get_text() for text in figures[-1].axes[0].texts]
        confusion = scores_of(classes).confusion
        assert sorted(counts) == (sorted(map(str, confusion[confusion > 0])) if expected else [])


def test_draw_confusion_colours_are_shares_of_the_row(figures):
    scores = scores_of(3, count=50)
    draw_confusion(scores)
    shown = figures[0].axes[0].images[0].get_array()
    np.testing.assert_allclose(shown, scores.confusion / scores.confusion.sum(axis=1, keepdims=True))


def test_draw_confusion_of_more_than_200_classes_counts_them_instead(figures):
    picture = pixels(draw_confusion(scores_of(201, count=400)))
    assert max(picture.shape) < 4000
    assert len(figures[0].axes[0].get_yticklabels()) < 50


def test_draw_confusion_of_a_class_without_images_is_white_there():
    outputs = Outputs(np.eye(3, dtype=np.float32)[[0, 1]], np.array([0, 1]), np.arange(2), 0.0)
    scores = score(outputs, split="val", classes=list("abc"), task=Task.SINGLE_LABEL)
    assert pixels(draw_confusion(scores)).size


def test_draw_confusion_shortens_long_names_in_the_middle(figures):
    names = [f"a long name that all classes share, number {k}" for k in range(3)]
    draw_confusion(score(outputs_of(3, 30), split="val", classes=names, task=Task.SINGLE_LABEL))
    shown = [label.get_text() for label in figures[0].axes[0].get_yticklabels()]
    assert len(set(shown)) == 3
    assert all(len(name) <= 28 and "…" in name for name in shown)


@pytest.mark.parametrize(
    ("name", "expected"), [("a\n\tb  c", "a b c"), ("\x1b[1m", "?[1m"), ("\udce9", "?"), (" ", "?"), ("衣 服", "衣 服")]
)
def test_printable_keeps_what_can_be_shown(name, expected):
    assert pictures.printable(name) == expected


def test_draw_confusion_title_gives_split_and_accuracy(figures):
    scores = scores_of(4)
    draw_confusion(scores)
    title = figures[0].axes[0].get_title()
    assert title.startswith("test: ")
    assert f"{100 * scores.accuracy.value:.1f} % of 300 images right" in title


@pytest.mark.parametrize("labels", [1, 5, 40])
def test_draw_label_table_shows_every_count(labels, figures):
    scores = label_scores(labels)
    picture = pixels(draw_label_table(scores))
    assert (picture[:8] == 255).all()
    cells = [text.get_text() for text in figures[0].axes[0].texts]
    assert len(cells) == 7 * labels
    (_, wrong), (missed, found) = scores.confusion[0]
    assert cells[:4] == [str(scores.per_class[0].support), str(found), str(missed), str(wrong)]
    assert cells[6] == ("–" if np.isnan(scores.per_class[0].f1) else f"{100 * scores.per_class[0].f1:.0f} %")


def test_draw_label_table_of_many_labels_shows_the_weakest(figures, monkeypatch):
    monkeypatch.setattr(pictures, "NAMED_CLASSES", 20)
    scores = label_scores(25)
    draw_label_table(scores)
    axes = figures[0].axes[0]
    assert "the 20 of 25 labels" in axes.get_title()
    assert len(axes.get_yticklabels()) == 20
    best = max(scores.per_class, key=lambda entry: -1 if np.isnan(entry.f1) else entry.f1)
    assert best.name not in [label.get_text() for label in axes.get_yticklabels()]


def test_draw_reliability_names_the_error(figures):
    found = reliability(outputs_of(4, 100), task=Task.SINGLE_LABEL)
    draw_reliability(found, title="val")
    assert f"{100 * found.ece:.1f} %" in figures[0].axes[0].get_title()


def curve_rows(phase: str, epochs: int, **more) -> list[dict]:
    return [{"phase": phase, "step": 10 * e, "epoch": float(e), "val_loss": 1 / e} | more for e in range(1, epochs + 1)]


def lines_of(figure, panel: int = 0) -> dict[str, tuple[list, list]]:
    axes = figure.axes[panel]
    return {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.get_lines()}


def test_draw_curves_has_one_panel_for_each_thing_measured(figures):
    draw_curves(curve_rows("full", 3, lr=0.1))
    assert [axes.get_title() for axes in figures[0].axes] == ["loss", "learning rate"]
    assert lines_of(figures[0])["validation"] == ([1, 2, 3], [1, 1 / 2, 1 / 3])


def test_draw_curves_goes_on_where_a_phase_counts_again(figures):
    draw_curves(curve_rows("first", 2) + curve_rows("second", 3))
    x, _ = lines_of(figures[0])["validation"]
    assert x == [1, 2, 3, 4, 5]
    dotted = [line for line in figures[0].axes[0].get_lines() if line.get_linestyle() == ":"]
    assert [line.get_xdata()[0] for line in dotted] == [2.5]


def test_draw_curves_uses_steps_where_no_row_has_an_epoch(figures):
    draw_curves([{"step": 5, "val_accuracy": 0.5}, {"step": 9, "val_accuracy": 0.6}])
    assert lines_of(figures[0])["validation"][0] == [5, 9]
    assert figures[0].axes[0].get_xlabel() == "step"


def test_draw_curves_leaves_gaps_for_what_is_missing(figures):
    rows = [
        {"epoch": 1, "val_loss": 1.0, "train_loss": None},
        {"epoch": 2, "val_loss": float("nan"), "train_loss": 0.5},
        {"epoch": 3, "val_loss": 0.5, "train_loss": "text"},
        {"note": "no place"},
    ]
    draw_curves(rows)
    found = lines_of(figures[0])
    assert found["validation"] == ([1, 3], [1.0, 0.5])
    assert found["training"] == ([2], [0.5])


def test_draw_curves_of_a_single_epoch_has_whole_ticks(figures):
    draw_curves(curve_rows("full", 1))
    ticks = figures[0].axes[0].get_xticks()
    assert all(float(tick).is_integer() for tick in ticks)


def test_draw_curves_without_anything_is_none():
    assert draw_curves([]) is None
    assert draw_curves([{"epoch": 1, "seconds": 3.0}]) is None


def test_pictures_need_no_pyplot():
    import subprocess
    import sys

    code = "import sys, zoo.evaluation.report; sys.exit('matplotlib.pyplot' in sys.modules or 'torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
