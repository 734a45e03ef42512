"""Strategies on the command line: several phases and adapters, killed and gone on with, used afterwards."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support.e2e import TINY, assert_same, metrics, run, run_here, start, wait_for_step

GRADUAL = ("strategy=gradual", "train.epochs=4", "train.batch_size=8", "regularizers=[dropout]")
VIT = (
    "model=vit_tiny_patch16_224", "model.image_size=32", "train.threads=1", "train.loader_threads=1",
    "train.precision=fp32",
)  # fmt: skip
LORA = (
    *VIT, "strategy=lora", "strategy.probe_first=false", "strategy.dropout=0.1", "train.epochs=2", "train.batch_size=8",
)  # fmt: skip


def plan_of(folder: Path) -> dict:
    return json.loads((folder / "record.json").read_text())["choices"]["plan"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory, photos) -> Path:
    """A gradual run of two phases that was never stopped."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    run("finetune", f"data={photos}", *TINY, *GRADUAL, f"run.dir={folder}")
    return folder


def test_gradual_trains_its_phases_in_turn_and_the_record_has_the_plan(whole):
    assert [row["phase"] for row in metrics(whole)] == ["probe", "gradual-1", "gradual-1", "gradual-2", "gradual-2"]
    plan = plan_of(whole)
    assert plan["strategy"] == "gradual"
    assert [phase["frozen"] for phase in plan["phases"]] == [[], [0, 1], []]
    assert sum(phase["epochs"] for phase in plan["phases"]) == 4


def kill_in(folder: Path, photos: Path, *words: str, phase: int, step: int) -> None:
    """Starts a run and kills it once a checkpoint of that phase and step is there, then goes on."""
    process = start("finetune", f"data={photos}", *words, "train.save_every_steps=1", f"run.dir={folder}")
    wait_for_step(process, folder, step, phase=phase)
    process.kill()
    process.wait()
    process.stderr.close()
    run("finetune", f"resume={folder}")


@pytest.mark.slow
@pytest.mark.parametrize(("phase", "step"), [(1, 3), (1, 8), (2, 0), (2, 5)])
def test_gradual_killed_in_any_phase_ends_in_the_same_bits(tmp_path, photos, whole, phase, step):
    kill_in(tmp_path / "run", photos, *TINY, *GRADUAL, phase=phase, step=step)
    assert_same(tmp_path / "run", whole)


@pytest.fixture(scope="module")
def pretrained(tmp_path_factory, photos) -> Path:
    """A transformer that knows the photos a little."""
    folder = tmp_path_factory.mktemp("pretrained") / "run"
    words = ("weights=none", "strategy=scratch", "train.epochs=1", "train.batch_size=8", f"run.dir={folder}")
    run("finetune", f"data={photos}", *VIT, *words)
    return folder


@pytest.fixture(scope="module")
def adapted(tmp_path_factory, photos, pretrained) -> Path:
    """It again, with adapters trained and merged, never stopped."""
    folder = tmp_path_factory.mktemp("adapted") / "run"
    run("finetune", f"data={photos}", *LORA, f"weights={pretrained}", f"run.dir={folder}")
    return folder


@pytest.mark.slow
def test_adapters_are_merged_into_a_plain_network_that_is_used_like_any_other(tmp_path, photos, pretrained, adapted):
    import timm

    before, after = (load_file(folder / "model" / "model.safetensors") for folder in (pretrained, adapted))
    assert before.keys() == after.keys()
    changed = {name for name in before if not before[name].equal(after[name])}
    layers = ("qkv", "proj", "fc1", "fc2")
    assert {name for name in changed if not name.startswith("head.")} == {
        name for name in before if name.endswith(tuple(f"{layer}.weight" for layer in layers)) and "blocks" in name
    }
    timm.create_model(f"local-dir:{adapted / 'model'}", pretrained=True)
    scored = json.loads(run("evaluate", f"run={adapted}", "--json").stdout.splitlines()[-1])
    record = json.loads((adapted / "record.json").read_text())
    assert scored["loss"] == pytest.approx(record["scores"]["test"]["loss"], rel=1e-6)
    assert plan_of(adapted)["phases"][0]["adapters"]["rank"] == 8
    done = run("predict", f"run={adapted}", f"images={photos / 'red'}", "--json")
    assert done.stdout
    words = (*VIT[1:], "strategy=full", "train.epochs=0.2", f"run.dir={tmp_path / 'next'}")
    run("finetune", f"model={adapted}", f"data={photos}", *words)


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 6])
def test_adapters_killed_in_training_end_in_the_same_bits(tmp_path, photos, pretrained, adapted, step):
    kill_in(tmp_path / "run", photos, *LORA, f"weights={pretrained}", phase=0, step=step)
    assert_same(tmp_path / "run", adapted)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("strategy=lora", "weights=none", "model=vit_tiny_patch16_224"), "nothing to adapt"),
        (("strategy=lora", "model=resnet18", "weights=starter"), "strategy.layers=conv"),
        (("strategy=surgical", "strategy.count=9", "model=lenet5", "weights=none"), "allowed: 1 to 3"),
        (("strategy=norm", "model=lenet5", "weights=none"), "no normalisation layers"),
    ],
)
def test_what_a_strategy_cannot_do_is_said_and_leaves_no_folder(tmp_path, photos, words, said):
    where = tmp_path / "run"
    done = run_here("finetune", f"data={photos}", *words, f"run.dir={where}", code=2)
    assert said in done.stderr
    assert not where.exists()
