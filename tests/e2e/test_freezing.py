"""Freezing the first stages, as a user does it."""

from safetensors.torch import load_file
from support.e2e import TINY, run, run_here


def test_frozen_stages_keep_their_values_to_the_bit_and_the_others_move(tmp_path, photos):
    first, second = tmp_path / "first", tmp_path / "second"
    run("finetune", *TINY, f"data={photos}", "strategy=full", "train.epochs=1", f"run.dir={first}")
    words = [word for word in TINY if not word.startswith(("model=", "weights="))]
    freezing = ("strategy=full", "strategy.freeze_stages=2", "train.epochs=2", f"run.dir={second}")
    done = run("finetune", f"model={first}", *words, f"data={photos}", *freezing)
    assert "2 of 4 stages: c1, c3" in done.stdout + done.stderr
    before, after = (load_file(folder / "model" / "model.safetensors") for folder in (first, second))
    same = {name.partition(".")[0] for name in before if before[name].equal(after[name])}
    assert {"c1", "s2", "c3", "s4"} <= same
    assert not same & {"c5", "f6"}


def test_more_stages_than_there_are_is_refused_and_leaves_no_folder(tmp_path, photos):
    where = tmp_path / "run"
    words = ("strategy=full", "strategy.freeze_stages=5", f"run.dir={where}")
    done = run_here("finetune", *TINY, f"data={photos}", *words, code=2)
    assert "allowed: 0 to 4" in done.stderr
    assert not where.exists()


def test_what_holds_a_backbone_near_its_start_is_refused_where_all_of_it_is_frozen(tmp_path, photos):
    first = tmp_path / "first"
    run("finetune", *TINY, f"data={photos}", "strategy=full", "train.epochs=1", f"run.dir={first}")
    words = [word for word in TINY if not word.startswith(("model=", "weights="))]
    head_alone = (f"model={first}", *words, f"data={photos}", "strategy=full", "strategy.freeze_stages=4")
    done = run_here("finetune", *head_alone, "regularizers=[l2sp]", f"run.dir={tmp_path / 'second'}", code=2)
    assert "l2sp on a frozen backbone has no effect" in done.stderr
    run("finetune", *head_alone, "regularizers=[mixup]", "train.epochs=1", f"run.dir={tmp_path / 'third'}")
