"""`optimizer.lr=measure`: the rate is in the record, the curve in the report, and a resumed run goes on with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.e2e import TINY, assert_same, run, start, wait_for_step

WORDS = ("finetune", "data=digits", *TINY, "train.epochs=0.6", "train.save_every_steps=2")


def choices(folder: Path) -> dict[str, object]:
    return json.loads((folder / "record.json").read_text())["choices"]


@pytest.mark.slow
def test_measured_rate_is_shown_recorded_and_kept_by_resume(tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    said = run(*WORDS, "optimizer.lr=measure", f"run.dir={whole}").stdout
    rate = choices(whole)["lr 0 scratch"]
    assert 1e-5 < rate < 1
    assert f"lr      {rate:.2g} for scratch, measured over" in said
    lines = (whole / "report" / "learning-rate-scratch.csv").read_text().splitlines()
    assert lines[0] == "rate,smoothed_loss"
    assert len(lines) > 10
    assert (whole / "report" / "learning-rate-scratch.png").read_bytes().startswith(b"\x89PNG")
    process = start(*WORDS, "optimizer.lr=measure", f"run.dir={broken}")
    wait_for_step(process, broken, 5)
    process.kill()
    process.wait()
    assert choices(broken)["lr 0 scratch"] == rate
    run("finetune", f"resume={broken}")
    assert_same(whole, broken)


def test_short_phase_from_random_values_measures_nothing(tmp_path):
    run(*WORDS, f"run.dir={tmp_path / 'run'}")
    assert not [key for key in choices(tmp_path / "run") if key.startswith("lr ")]
