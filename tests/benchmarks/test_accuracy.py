"""The pure parts of benchmarks/accuracy: the budget's arithmetic, intervals from wrong images, sets, the table."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

HOME = Path(__file__).parents[2] / "benchmarks" / "accuracy"


def module(name: str, folder: Path = HOME):
    """A module of the benchmark, which imports its neighbours as a script does."""
    before = list(sys.path)
    sys.path[:0] = [str(folder), str(HOME), str(HOME.parent)]
    try:
        return importlib.import_module(name)
    finally:
        sys.path[:] = before


common, sides, sets, tables, accuracy, fewshot = (
    module("common", HOME / "opponents"),
    module("sides"),
    module("sets"),
    module("tables"),
    module("accuracy"),
    module("fewshot"),
)


def row(side: str, seed: int, wrong: list[str], *, count: int = 10, seconds: float = 100.0) -> dict:
    return {
        "side": side,
        "seed": seed,
        "wrong": wrong,
        "count": count,
        "accuracy": 1 - len(wrong) / count,
        "seconds": seconds,
        "peak_gb": 1.0,
    }


def test_epochs_fill_the_seconds_to_the_last() -> None:
    assert common.fitting_epochs(430, epoch_s=100, val_s=10) == pytest.approx(3.9)  # 390 + 4 * 10
    assert common.fitting_epochs(330, epoch_s=100, val_s=10) == pytest.approx(3.0)
    assert common.fitting_epochs(0, epoch_s=100, val_s=10, least=0.1) == 0.1


def test_a_frozen_epoch_is_as_long_a_part_as_the_others() -> None:
    found = common.fitting_epochs(300, epoch_s=100, val_s=10, frozen_s=40)
    assert found == pytest.approx(3 * (300 - 40) / 340)
    part = found / 3
    assert part * (40 + 3 * 100) + 4 * 10 == pytest.approx(300)


@given(
    left=st.floats(1, 2000),
    epoch=st.floats(1, 500),
    val=st.floats(0.1, 50),
    frozen=st.one_of(st.just(0.0), st.floats(1, 300)),
)
def test_the_budget_is_never_overdrawn_and_no_whole_epoch_is_left(left, epoch, val, frozen) -> None:
    epochs = common.fitting_epochs(left, epoch_s=epoch, val_s=val, frozen_s=frozen)
    begun = int(np.ceil(epochs))
    if begun:
        taken = epochs / begun * frozen + epochs * epoch + (begun + (frozen > 0)) * val
        assert taken <= left * (1 + 1e-6)
    whole = int(epochs) + 1
    assert frozen + whole * epoch + (whole + (frozen > 0)) * val > left * (1 - 1e-6)


def test_the_trial_leaves_warming_up_out() -> None:
    marks = [0.0, 9.0, 18.0, 20.0, 22.0, 24.0, 27.0]  # gaps 9, 9, 2, 2, 2, 3
    assert common.seconds_an_image(marks, 4) == pytest.approx(0.5)


def test_the_words_of_an_opponent(tmp_path) -> None:
    for name in ("a", "b"):
        (tmp_path / "train" / name).mkdir(parents=True)
        (tmp_path / "train" / name / "1.png").touch()
    words = [str(tmp_path), "3", "--epochs", "1.5", "--no-mirror", "--speed", '{"precision": "fp32", "layout": "x"}']
    job = common.read_job(["first", "second"], words)
    assert (job.recipe, job.batch, job.mirror, job.affordable(), job.speed.layout) == ("first", 2, False, 1.5, "x")


def test_a_job_without_budget_is_refused(tmp_path) -> None:
    (tmp_path / "train").mkdir()
    with pytest.raises(SystemExit, match="--seconds or --epochs"):
        common.read_job(["first"], [str(tmp_path), "0"]).affordable()


def test_every_recipe_that_is_tuned_exists_in_its_script() -> None:
    assert set(sides.OPPONENTS) == set(sides.RECIPES)
    for side, script in sides.OPPONENTS.items():
        text = (HOME / "opponents" / script).read_text()
        assert all(f'"{recipe}":' in text for recipe in sides.RECIPES[side]), side


def test_wrong_images_of_predictions(tmp_path) -> None:
    file = tmp_path / "test.csv"
    file.write_text('"file","ok","label"\n"/x/test/cat/1.png","true","cat"\n"/x/test/cat/2.png","true","dog"\n')
    assert sides.wrong_images(file) == (["cat/2.png"], 2)


def test_shares_right_pair_images_over_common_seeds() -> None:
    rows = [row("a", 0, ["x"]), row("a", 1, []), row("a", 2, ["y"]), row("b", 0, ["x", "y"]), row("b", 1, ["x"])]
    a, b = tables.shares_right(rows, ["a", "b"])
    assert sorted(a) == [0.5] + [1.0] * 9
    assert sorted(b) == [0.0, 0.5] + [1.0] * 8
    assert a.mean() == pytest.approx(0.95)


def test_sides_without_a_common_seed_are_refused() -> None:
    with pytest.raises(ValueError, match="no seed in common"):
        tables.shares_right([row("a", 0, []), row("b", 1, [])], ["a", "b"])


def test_other_test_images_are_refused() -> None:
    with pytest.raises(ValueError, match="other test images"):
        tables.shares_right([row("a", 0, []), row("b", 0, [], count=11)], ["a", "b"])


def test_a_difference_has_its_sign_and_its_interval_both_ways() -> None:
    rows = [row("a", 0, ["x"], count=50), row("b", 0, [f"{i}" for i in range(20)], count=50)]
    ahead, behind = tables.difference(rows, "a", "b"), tables.difference(rows, "b", "a")
    assert ahead.value == pytest.approx(19 / 50)
    assert behind.value == pytest.approx(-19 / 50)
    assert 0 < ahead.low < ahead.value < ahead.high
    assert (behind.low, behind.high) == pytest.approx((-ahead.high, -ahead.low))


def test_the_table_is_sorted_and_verdicts_say_who_loses() -> None:
    rows = [
        row("zoo default", 0, ["x"], count=50),
        row("good", 0, [], count=50),
        row("bad", 0, [f"{i}" for i in range(20)], count=50, seconds=50.0),
        row("same", 0, ["z"], count=50),
    ]
    lines = tables.table(rows)
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]][0::3] == ["good", "bad"]
    assert "0.9800 (0.9800 to 0.9800)" in next(line for line in lines if "zoo default" in line)
    good, bad, same = tables.verdicts(rows)
    assert good.startswith("zoo default LOSES to good by 2.0 points (within the interval")
    assert bad.startswith("zoo default WINS against bad by 38.0 points (the images tell them apart; in seeds 0 it had")
    assert "is level with same" in same


def test_the_plot_is_written(tmp_path) -> None:
    rows = [row("zoo default", seed, ["x"] * (seed > 0)) for seed in range(3)] + [row("other", 0, ["x", "y"])]
    assert tables.draw_sides(rows, tmp_path / "plot.png", title="t").stat().st_size > 5000


def test_zoo_goes_first_until_its_time_is_known() -> None:
    names, known = ["zoo default", "a", "b"], [row("zoo default", 0, [], seconds=7.0)]
    assert accuracy.ordered(names, seed=1, rows=[]) == names
    assert accuracy.ordered(names, seed=1, rows=known) == names[::-1]
    assert accuracy.ordered(names, seed=2, rows=known) == names
    assert accuracy.budget(known) == 7.0
    with pytest.raises(SystemExit, match="give --seconds"):
        accuracy.budget([])


def test_digits_are_the_same_each_time_and_splits_apart(tmp_path) -> None:
    counts = {"train": 2, "validation": 1, "test": 3}
    one, two = (sets.write_digits(tmp_path / name, counts=counts) for name in ("one", "two"))
    files = sorted(file.relative_to(one) for file in one.rglob("*.png"))
    assert len(files) == 60
    assert len({file.name for file in files}) == 60  # an index occurs in one split
    assert all((one / file).read_bytes() == (two / file).read_bytes() for file in files)


def test_few_images_change_training_alone(tmp_path) -> None:
    folder = sets.write_digits(tmp_path / "all", counts={"train": 5, "validation": 2, "test": 2})
    few = [
        sets.few_images(sides.Photos("d", folder), tmp_path / f"few{seed}", count=2, seed=seed).folder
        for seed in (0, 1)
    ]
    assert [len(list((few[0] / split).rglob("*.png"))) for split in ("train", "validation", "test")] == [20, 20, 20]
    drawn = [{file.name for file in (place / "train").rglob("*.png")} for place in few]
    assert drawn[0] != drawn[1]


def test_further_seeds_repeat_the_epochs_of_the_first_and_leave_no_seconds_in_the_table() -> None:
    rows = [row("zoo default", 0, []), row("loop", 0, ["a"]) | {"epochs": 3.5}]
    assert accuracy.first_epochs(rows, "loop") == 3.5
    with pytest.raises(SystemExit, match="other has no row"):
        accuracy.first_epochs(rows, "other")
    later = [row("zoo default", 1, [], seconds=900) | {"as_first": True}]
    later += [row("loop", 1, ["a"], seconds=900) | {"as_first": True, "epochs": 3.5}]
    lines = tables.table([*rows, *later])
    assert [line.split("|")[5].strip() for line in lines[2:]] == ["100 (100 to 100)"] * 2


def test_zoo_s_runs_of_another_result_are_taken_over_where_they_are_missing(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(accuracy, "RESULTS", tmp_path)
    other = [row(tables.ZOO, 0, ["a"]), row(tables.ZOO, 1, ["b"]), row("plain loop", 1, [])]
    (tmp_path / "clothing.json").write_text(json.dumps({"rows": other}))
    assert accuracy.taken_over("clothing", [row(tables.ZOO, 0, [])]) == [other[1]]
    assert accuracy.taken_over("nothing", []) == []


def test_the_few_shot_opponent_has_the_seconds_of_zoo_s_slowest_side_on_the_same_images() -> None:
    rows = [row(side, seed, [], seconds=s) | {"per_class": count} for side, seed, count, s in (
        (tables.ZOO, 0, 100, 300.0), ("zoo lpft", 0, 100, 310.0), ("zoo probe", 1, 100, 900.0),
        (tables.ZOO, 0, 5, 800.0), (fewshot.FASTAI, 0, 100, 999.0),
    )]  # fmt: skip
    assert fewshot.budget(rows, seed=0, count=100) == 310
    assert fewshot.budget(rows, seed=2, count=100) == fewshot.LEAST_S
