"""A finished run becomes a published model that others find, check, use and train on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from support.e2e import TINY, command, hashes, run
from support.hub import hub_stand

import zoo
from zoo.cli import main
from zoo.config.compose import configure
from zoo.data.shorthand import source_name_for
from zoo.errors import UserError
from zoo.plugins import load_plugins

FILES = {"README.md", "config.json", "model.safetensors", "record.json", "zoo.json"}


@pytest.fixture(scope="module")
def trained(tmp_path_factory, photos) -> Path:
    folder = tmp_path_factory.mktemp("anna's home") / "run"
    run("finetune", f"data={photos}", *TINY, "train.epochs=8", f"run.dir={folder}")
    return folder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory, trained) -> Path:
    """A zoo with one model, for tests that only look."""
    folder = tmp_path_factory.mktemp("zoo")
    zoo.publish(trained, to=folder, name="colours", license="cc0-1.0")
    return folder


@pytest.fixture
def bench(shelf, tmp_path) -> Path:
    """A copy of that zoo, for tests that change it."""
    return Path(shutil.copytree(shelf, tmp_path / "bench"))


def flip_a_bit(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def read(word: str, *more: str):
    return configure([f"model={word}", *more], load_plugins(only=[]), source_for=source_name_for)


def test_a_published_model_is_whole_and_leaks_no_place(trained, photos, tmp_path, capsys):
    before = hashes(trained)
    assert main(["publish", f"run={trained}", f"to={tmp_path / 'zoo'}", "description=Three colours.", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    folder = tmp_path / "zoo" / f"lenet5-{photos.name}"
    assert {key: answer[key] for key in ("name", "where", "new")} == {
        "name": folder.name,
        "where": str(folder),
        "new": True,
    }
    assert {path.name for path in folder.iterdir()} == FILES
    assert answer["sha256"] == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()
    assert hashes(trained) == before
    texts = {name: (folder / name).read_text() for name in FILES - {"model.safetensors"}}
    for name, text in texts.items():
        for place in (trained.parent.name, str(photos.parent), str(Path.home()) + "/", os.getcwd()):
            assert place not in text, name
    card = json.loads(texts["zoo.json"])
    assert set(card["sha256"]) == FILES - {"README.md"}
    assert card["origin"]["published"]["description"] == "Three colours."
    scores = json.loads((trained / "record.json").read_text())["scores"]["test"]["accuracy"]
    shown = f"{100 * scores['value']:.1f} % ({100 * scores['low']:.1f} to {100 * scores['high']:.1f})"
    assert shown in texts["README.md"]
    assert main(["publish", f"run={trained}", f"to={tmp_path / 'zoo'}", "description=Three colours."]) == 0
    assert "nothing was written" in capsys.readouterr().out


def test_the_python_face_publishes_and_loads(trained, photos, tmp_path, monkeypatch):
    published = zoo.publish(trained, to=tmp_path, name="pets")
    assert (published.where, published.new) == (str(tmp_path / "pets"), True)
    assert zoo.publish(trained, to=str(tmp_path), name="pets").new is False
    image = photos / "red" / "0.png"
    own = zoo.load(trained).predict(image)
    assert zoo.load(tmp_path / "pets").predict(image) == own
    monkeypatch.setenv("ZOO_PATH", str(tmp_path))
    assert zoo.load("pets").predict(image) == own
    assert "pets" in zoo.list_models("pe*")
    again = zoo.publish(tmp_path / "pets", to=tmp_path / "second")
    assert zoo.load(again.where).predict(image) == own
    alone = Path(shutil.copytree(trained / "model", tmp_path / "alone"))
    bare = zoo.publish(alone, to=tmp_path / "third")
    assert "None were measured" in (Path(bare.where) / "README.md").read_text()
    inner = zoo.publish(trained / "model", to=tmp_path / "fourth")
    assert (Path(inner.where) / "record.json").is_file()


def test_a_name_in_zoo_path_means_the_network_and_its_weights(shelf, monkeypatch):
    monkeypatch.setenv("ZOO_PATH", str(shelf))
    for word in ("colours", "published/colours", str(shelf / "colours")):
        config = read(word, "data=digits")
        assert config.model.name == "zoo/lenet5"
        assert config.weights == str(shelf / "colours")
        assert config.model.options["activation"] == "scaled_tanh"
    assert read("colours", "data=digits").notes == (
        f"model=colours: continues from the saved zoo/lenet5 in {shelf / 'colours'}",
    )
    with pytest.raises(UserError, match="weights=none is given too"):
        read("colours", "data=digits", "weights=none")
    monkeypatch.delenv("ZOO_PATH")
    with pytest.raises(UserError, match="unknown model 'colours'"):
        read("colours", "data=digits")


def test_what_is_installed_goes_before_what_was_published(bench, monkeypatch):
    (bench / "colours").rename(bench / "lenet5")
    monkeypatch.setenv("ZOO_PATH", str(bench))
    assert read("lenet5", "data=digits").weights == "auto"
    assert read("published/lenet5", "data=digits").weights == str(bench / "lenet5")


def test_a_file_cannot_choose_a_published_model(shelf, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_PATH", str(shelf))
    (tmp_path / "experiment").mkdir()
    text = "# @package _global_\ndefaults:\n  - override /model: published/colours\n"
    (tmp_path / "experiment" / "mine.yaml").write_text(text)
    with pytest.raises(UserError, match="a file chooses published/colours") as caught:
        configure(
            ["experiment=mine", f"hydra.searchpath=[{tmp_path}]", "data=digits"],
            load_plugins(only=[]),
            source_for=source_name_for,
        )
    assert "model=published/colours on the command line" in caught.value.do[0]


def test_a_folder_of_zoo_path_that_is_gone_is_said(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("ZOO_PATH", str(tmp_path / "gone"))
    assert read("lenet5", "data=digits").model.name == "zoo/lenet5"
    assert main(["predict", "run=pets", "images=x.png"]) == 2
    assert "which is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("name", sorted(FILES - {"README.md"}))
@pytest.mark.parametrize("harm", [flip_a_bit, Path.unlink], ids=["changed", "torn"])
def test_a_changed_or_torn_model_is_refused_by_every_way_in(bench, photos, capsys, name, harm):
    harm(bench / "colours" / name)
    before = hashes(bench)
    words = [
        ["predict", f"run={bench / 'colours'}", f"images={photos}/red"],
        ["evaluate", f"run={bench / 'colours'}", f"data={photos}"],
        ["publish", f"run={bench / 'colours'}", f"to={bench.parent / 'other'}"],
        ["finetune", f"model={bench / 'colours'}", f"data={photos}", f"run.dir={bench.parent / 'run'}"],
    ]
    for line in words:
        assert main(line) == 2, line
        said = capsys.readouterr().err
        assert name in said or "zoo.json" in said
        assert "Traceback" not in said
    assert hashes(bench) == before
    assert sorted(os.listdir(bench.parent)) == ["bench"]


def test_the_card_may_be_edited(bench, photos):
    (bench / "colours" / "README.md").write_text("# better words\n")
    assert zoo.load(bench / "colours").predict(photos / "red" / "0.png")[0].ok


def test_a_damaged_model_is_a_row_that_says_so(bench, monkeypatch, capsys):
    shutil.copytree(bench / "colours", bench / "colours-2")
    (bench / "colours-2" / "zoo.json").write_text("{")
    monkeypatch.setenv("ZOO_PATH", str(bench))
    assert main(["models", "colours*", "--json"]) == 0
    good, bad = json.loads(capsys.readouterr().out)
    assert (good["full_name"], good["weights"], good["source"], good["license"]) == (
        "published/colours",
        "at hand",
        "published",
        "cc0-1.0",
    )
    assert good["parameters"] == 60_555
    assert "3 classes, test accuracy" in good["summary"]
    assert "cannot be used: zoo.json is no valid JSON" in bad["summary"]
    assert bad["weights"] == "none"
    assert main(["models", "show", "colours"]) == 0
    assert "at hand: published" in capsys.readouterr().out
    with pytest.raises(UserError, match="description cannot be read"):
        read("colours-2", "data=digits")


def test_the_earlier_folder_of_zoo_path_goes_first(bench, shelf, monkeypatch):
    monkeypatch.setenv("ZOO_PATH", os.pathsep.join([str(bench), str(shelf)]))
    assert read("colours", "data=digits").weights == str(bench / "colours")
    monkeypatch.setenv("ZOO_PATH", os.pathsep.join([str(shelf), str(bench)]))
    assert read("colours", "data=digits").weights == str(shelf / "colours")


def test_evaluate_needs_data_and_writes_nothing_into_the_zoo(shelf, photos, tmp_path, monkeypatch, capsys):
    before = hashes(shelf)
    assert main(["evaluate", f"run={shelf / 'colours'}"]) == 2
    assert "does not say where its data lie" in capsys.readouterr().err
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", f"run={shelf / 'colours'}", f"data={photos}", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["count"] == 42
    assert (tmp_path / "runs" / "evaluate-colours" / "confusion.png").is_file()
    assert hashes(shelf) == before


def test_predict_takes_a_published_name_as_model_and_as_run(shelf, photos, monkeypatch, capsys):
    monkeypatch.setenv("ZOO_PATH", str(shelf))
    said = []
    for word in ("run=colours", "model=colours", "run=published/colours", f"run={shelf}/colours"):
        assert main(["predict", word, f"images={photos}/red/0.png"]) == 0
        said.append(capsys.readouterr().out)
    assert len(set(said)) == 1
    assert "red/0.png: " in said[0]
    assert main(["predict", "model=colours", f"images={photos}/red/0.png", "weights=hub"]) == 2
    assert "weights of its own" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "run= is missing"),
        (["run={run}"], "to= is missing"),
        (["run={run}", "to="], "to= is empty"),
        (["run={tmp}/nowhere", "to={tmp}/z"], "does not exist"),
        (["run={tmp}", "to={tmp}/z"], "not a run folder"),
        (["run={run}", "to={tmp}/file"], "is no folder"),
        (["run={run}", "to={tmp}/file/z"], "cannot be written"),
        (["run={run}", "to={run}"], "is a run or a saved model"),
        (["run={run}", "to={run}/model"], "is a run or a saved model"),
        (["run={run}", "to={tmp}/z", "name="], "is empty"),
        (["run={run}", "to={tmp}/z", "name=a/b"], "is no name"),
        (["run={run}", "to={tmp}/z", "name=.."], "is no name"),
        (["run={run}", "to={tmp}/z", "private=true"], "no effect on a folder"),
        (["run={run}", "to={tmp}/z", "license= "], "license= is empty"),
        (["run={run}", "to={tmp}/z", "licence=mit"], "unknown key 'licence'"),
        (["run={run}", "to=hf:me/pets", "name=x"], "no effect with to=hf"),
        (["run={run}", "to=hf:me/pets", "private=maybe"], "neither yes nor no"),
        (["run={run}", "to=hf:pets"], "names no repository"),
        (["run={run}", "to=hf:me/pets@main"], "newest commit"),
    ],
)
def test_bad_input_gets_one_message_and_leaves_nothing(trained, tmp_path, capsys, words, said):
    (tmp_path / "file").write_text("mine")
    before = hashes(trained)
    assert main(["publish", *(word.format(run=trained, tmp=tmp_path) for word in words)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert "Traceback" not in error
    assert sorted(os.listdir(tmp_path)) == ["file"]
    assert hashes(trained) == before


@pytest.mark.parametrize("status", ["running", "failed", "interrupted"])
def test_only_a_finished_run_is_published(trained, tmp_path, capsys, status):
    copied = Path(shutil.copytree(trained, tmp_path / "run"))
    record = json.loads((copied / "record.json").read_text()) | {"status": status}
    (copied / "record.json").write_text(json.dumps(record))
    for place in (copied, copied / "model"):
        assert main(["publish", f"run={place}", f"to={tmp_path / 'zoo'}"]) == 2
        assert f"not finished ({status})" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["run"]


def test_a_model_of_another_run_is_not_published_with_these_scores(trained, tmp_path):
    copied = Path(shutil.copytree(trained, tmp_path / "run"))
    record = json.loads((copied / "record.json").read_text())
    record["data"]["fingerprint"] = "0" * 64
    (copied / "record.json").write_text(json.dumps(record))
    with pytest.raises(UserError, match="not of one run"):
        zoo.publish(copied, to=tmp_path / "zoo")
    assert os.listdir(tmp_path) == ["run"]


def test_a_disk_that_fills_up_leaves_nothing(trained, tmp_path):
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        with pytest.raises(UserError, match="the disk is full") as caught:
            zoo.publish(trained, to=tmp_path / "new" / "zoo")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "(to=)" in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_timm_itself_loads_a_published_network_of_timm(tmp_path):
    import timm

    from zoo.artifacts.model_folder import save_model
    from zoo.contracts.data import Task

    torch.manual_seed(0)
    model = (
        load_plugins(only=[]).registry.get("model", "timm/test_resnet").build(classes=3, channels=3, image_size=None)
    )
    preprocess = model.spec.preprocess
    save_model(tmp_path / "m", model, classes=("a", "b", "c"), preprocess=preprocess, task=Task.SINGLE_LABEL, origin={})
    published = zoo.publish(tmp_path / "m", to=tmp_path / "zoo")
    assert published.name == "test_resnet"
    assert 'timm.create_model("local-dir:ZOO/test_resnet"' in (Path(published.where) / "README.md").read_text()
    other = timm.create_model(f"local-dir:{published.where}", pretrained=True)
    batch = torch.randn(2, 3, preprocess.size, preprocess.size)
    with torch.no_grad():
        torch.testing.assert_close(other.eval()(batch), model.module.eval()(batch))


@pytest.mark.slow
def test_another_user_finds_the_model_checks_it_and_trains_on(trained, photos, tmp_path, monkeypatch):
    shelf = tmp_path / "shared zoo"
    run("publish", f"run={trained}", f"to={shelf}", "name=colours", "license=cc0-1.0")
    before = hashes(shelf)
    monkeypatch.setenv("ZOO_PATH", str(shelf))
    done = run("finetune", "model=colours", f"data={photos}", *TINY[2:], "train.epochs=1", f"run.dir={tmp_path}/r")
    assert "continues from the saved zoo/lenet5" in done.stdout
    monkeypatch.delenv("ZOO_PATH")
    record = json.loads((tmp_path / "r" / "record.json").read_text())
    assert record["model"] == "zoo/lenet5"
    weights = record["weights"]
    assert (weights["tag"], weights["license"]) == ("published/colours", "cc0-1.0")
    assert weights["sha256"] == before["colours/model.safetensors"]
    assert hashes(shelf) == before
    shutil.rmtree(shelf)  # the run needs nothing of the zoo any more
    run("predict", f"run={tmp_path}/r", f"images={photos}/red")
    assert json.loads(run("evaluate", f"run={tmp_path}/r", "--json").stdout)["count"] == 6


@pytest.mark.slow
def test_two_command_lines_at_once_lose_nothing(trained, tmp_path):
    lines = [("one", "a"), ("one", "b"), ("two", "a")]
    running = [
        subprocess.Popen(
            command("publish", f"run={trained}", f"to={tmp_path / 'zoo'}", f"name={name}", f"description={text}"),
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, text in lines
    ]
    said = [process.communicate(timeout=300)[1] for process in running]
    codes = [process.returncode for process in running]
    assert sorted(codes[:2]) == [0, 2], said
    assert codes[2] == 0, said
    assert "name=one-2" in said[codes.index(2)]
    winner = json.loads((tmp_path / "zoo" / "one" / "zoo.json").read_text())["origin"]["published"]["description"]
    assert winner == lines[codes.index(0)][1]
    assert sorted(os.listdir(tmp_path / "zoo")) == ["one", "two"]
    for name in ("one", "two"):
        assert {path.name for path in (tmp_path / "zoo" / name).iterdir()} == FILES


@pytest.mark.slow
def test_a_model_goes_to_the_hub_and_comes_back_without_it(trained, photos, tmp_path, monkeypatch):
    proxies = [name for name in os.environ if "proxy" in name.lower()]
    for name in proxies:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    with contextlib.ExitStack() as stack:
        stand = stack.enter_context(hub_stand())
        monkeypatch.setenv("HF_ENDPOINT", stand.address)
        run("publish", f"run={trained}", "to=hf:anna/colours", "license=mit")
        files = stand.repositories["anna/colours"].commits[-1][1]
        assert set(files) == FILES
        assert b"zoo finetune model=hf:anna/colours" in files["README.md"]
        assert "nothing was written" in run("publish", f"run={trained}", "to=hf:anna/colours", "license=mit").stdout
        refused = run("publish", f"run={trained}", "to=hf:anna/colours", code=2)
        assert "another model is in hf:anna/colours" in refused.stderr
        done = run(
            "finetune", "model=hf:anna/colours", f"data={photos}", *TINY[2:], "train.epochs=1", f"run.dir={tmp_path}/r"
        )
        assert "model=hf:anna/colours: continues from the saved zoo/lenet5 in" in done.stdout
    assert json.loads((tmp_path / "r" / "record.json").read_text())["weights"]["tag"] == "published/colours"
    run("predict", "run=hf:anna/colours", f"images={photos}/red")
    refused = run("publish", f"run={trained}", "to=hf:anna/colours", code=2)
    assert "did not answer within 3 s" in refused.stderr
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    run("predict", "model=hf:anna/colours", f"images={photos}/red")
    refused = run("finetune", "model=hf:anna/other", f"data={photos}", code=2)
    assert "HF_HUB_OFFLINE is set" in refused.stderr
