"""`-m`: jobs of their own words and folders, and no other output."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.config.sweep import JobFailed, sweep
from zoo.errors import Interrupted, PluginError, UserError, UserErrors
from zoo.plugins import Plugins

Swept = Callable[..., list[list[str]]]


@pytest.fixture
def jobs(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[object]]:
    """`jobs("optimizer=sgd,adam")`: the words of each job, from an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, job: Callable[[list[str]], object] = list) -> list[object]:
        return sweep(["model=lenet5", *words], plugins, source_for=lambda path: "folder", job=job)

    return run


def without_dir(words: list[str]) -> list[str]:
    return [word for word in words if not word.startswith(("run.dir=", "model="))]


def run_dir(words: list[str]) -> Path:
    return Path(next(word for word in words if word.startswith("run.dir=")).removeprefix("run.dir="))


def test_every_combination_becomes_a_job_in_order(jobs: Swept) -> None:
    found = jobs("optimizer=sgd,adam", "optimizer.lr=1e-3,1e-4", "train.seed=3")

    assert [without_dir(words) for words in found] == [
        ["optimizer=sgd", "optimizer.lr=0.001", "train.seed=3"],
        ["optimizer=sgd", "optimizer.lr=0.0001", "train.seed=3"],
        ["optimizer=adam", "optimizer.lr=0.001", "train.seed=3"],
        ["optimizer=adam", "optimizer.lr=0.0001", "train.seed=3"],
    ]


def test_jobs_have_folders_of_their_own_below_one_sweep(jobs: Swept, tmp_path: Path) -> None:
    found = jobs("train.seed=1,2,3")
    folders = [run_dir(words) for words in found]

    assert [folder.name for folder in folders] == ["0", "1", "2"]
    assert len({folder.parent for folder in folders}) == 1
    sweep_folder = folders[0].parent
    assert sweep_folder.name.endswith("-sweep")
    assert sweep_folder.parent.parent == Path("runs")
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written <= {str(sweep_folder / "multirun.yaml")}
    assert {path.name for path in tmp_path.iterdir()} == {"runs"}


def test_sweep_folder_can_be_named(jobs: Swept) -> None:
    assert [run_dir(words) for words in jobs("run.dir=my ${x} sweep", "train.seed=1,2")] == [
        Path("my ${x} sweep/0"),
        Path("my ${x} sweep/1"),
    ]
    assert run_dir(jobs("run.root=elsewhere")[0]).parts[0] == "elsewhere"
    assert not Path("runs").exists()


@pytest.mark.parametrize("words", [("run.dir=taken",), ("run.root=taken",)])
def test_sweep_folder_that_cannot_be_made_is_a_user_error(jobs: Swept, tmp_path: Path, words: tuple[str, ...]) -> None:
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(UserError, match="cannot be written") as caught:
        jobs(*words)
    assert "run.dir=" in str(caught.value)


def test_two_sweeps_in_one_second_keep_apart(jobs: Swept, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped = {"%Y-%m-%d": "2026-01-31", "%H-%M-%S-sweep": "12-00-00-sweep"}
    monkeypatch.setattr("zoo.config.sweep.time.strftime", lambda text, *_: stopped.get(text, ""))
    first, second = run_dir(jobs()[0]).parent, run_dir(jobs()[0]).parent
    assert second.name == f"{first.name}-2"


def test_lists_and_choices_are_swept_as_wholes(jobs: Swept) -> None:
    found = jobs("augmentations=[flip],[flip,rotate]")
    assert [without_dir(words) for words in found] == [["augmentations=[flip]"], ["augmentations=[flip,rotate]"]]


def test_paths_travel_unchanged(jobs: Swept) -> None:
    for name in ("a,b", "it's [c]", "${x}"):
        Path(name).mkdir()
    assert [without_dir(words) for words in jobs("data=a,b", "weights=w (1), ${y}")] == [
        ["data=a,b", "weights=w (1)"],
        ["data=a,b", "weights=${y}"],
    ]
    assert without_dir(jobs("data=./it's [c]")[0]) == ["data=./it's [c]"]
    assert without_dir(jobs("data=${x}")[0]) == ["data=${x}"]


def test_paths_and_names_can_be_swept_together(jobs: Swept) -> None:
    Path("my photos").mkdir()
    found = jobs("data=my photos,digits", "weights=auto,none")

    assert [without_dir(words) for words in found] == [
        ["data=my photos", "weights=auto"],
        ["data=my photos", "weights=none"],
        ["data=digits", "weights=auto"],
        ["data=digits", "weights=none"],
    ]


def test_search_path_reaches_every_job(jobs: Swept) -> None:
    file = Path("conf/optimizer/slow.yaml")
    file.parent.mkdir(parents=True)
    file.write_text("defaults: [adamw, _self_]\nlr: 1e-5\n")
    assert without_dir(jobs("hydra.searchpath=[conf]", "optimizer=slow")[0]) == [
        "optimizer=slow",
        "hydra.searchpath=[conf]",
    ]


def test_everything_wrong_is_shown_before_any_job_runs(jobs: Swept, tmp_path: Path) -> None:
    started: list[list[str]] = []
    with pytest.raises(UserErrors) as raised:
        jobs("optimizer=sgd,sgdd", "train.epochs=3,many", "data=./nothere", "optimizr=x", job=started.append)

    assert {error.what for error in raised.value.errors} == {
        "unknown optimizer 'sgdd'",
        "train.epochs='many' does not fit",
        "data='./nothere' is a path that does not exist",
        "unknown key 'optimizr'",
    }
    assert started == []
    assert list(tmp_path.iterdir()) == []


def test_range_is_expanded_and_intervals_need_another_sweeper(jobs: Swept) -> None:
    assert [without_dir(words) for words in jobs("train.seed=range(0,3)")] == [
        ["train.seed=0"],
        ["train.seed=1"],
        ["train.seed=2"],
    ]
    with pytest.raises(UserError, match="does not support sweep type"):
        jobs("optimizer.lr=interval(0.1,1)")


def test_failing_job_is_named_and_the_others_run(jobs: Swept, capfd: pytest.CaptureFixture[str]) -> None:
    done: list[str] = []

    def job(words: list[str]) -> None:
        if "train.seed=2" in words:
            raise UserError("no good", where="here")
        done.append(words[1])

    with pytest.raises(
        JobFailed, match=r"job 1 \(model=lenet5 train\.seed=2\) failed:\nno good\n  where:   here"
    ) as raised:
        jobs("train.seed=1,2,3", job=job)
    assert done == ["train.seed=1", "train.seed=3"]
    assert raised.value.exit_code == 2
    assert capfd.readouterr().err == ""


def test_several_failing_jobs_are_counted(jobs: Swept) -> None:
    def job(words: list[str]) -> None:
        raise PluginError("broken")

    with pytest.raises(JobFailed, match=r"(?s)job 0 .*broken\n3 of 3 jobs failed") as raised:
        jobs("train.seed=1,2,3", job=job)
    assert raised.value.exit_code == 3


def test_interrupted_job_ends_the_sweep(jobs: Swept) -> None:
    started: list[list[str]] = []

    def job(words: list[str]) -> None:
        started.append(words)
        raise Interrupted("saved; resume=x goes on")

    with pytest.raises(Interrupted, match="saved"):
        jobs("train.seed=1,2,3", job=job)
    assert len(started) == 1


def test_hydra_neither_logs_nor_moves(jobs: Swept, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    handlers = list(logging.getLogger().handlers)
    seen = []
    jobs("train.seed=1,2", job=lambda words: seen.append(Path.cwd()))

    assert logging.getLogger().handlers == handlers
    assert set(seen) == {tmp_path}
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err == ""


def test_other_launchers_are_chosen_by_name(jobs: Swept) -> None:
    assert len(jobs("hydra/launcher=basic", "hydra/sweeper=basic", "hydra.sweeper.max_batch_size=1", "train.seed=1,2"))
    with pytest.raises(UserError, match="hydra/launcher"):
        jobs("hydra/launcher=nothing")
