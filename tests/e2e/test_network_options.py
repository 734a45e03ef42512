"""A network with another start, activation and norm, as a user trains it, scores it, uses it and goes on with it."""

import json
import signal
import subprocess

import pytest
from support.e2e import command, metrics, run, run_here

WORDS = (
    "model=timm/test_resnet",
    "model.image_size=32",
    "train.threads=1",
    "train.loader_threads=1",
    "train.precision=fp32",
    "train.batch_size=8",
)
CHANGED = (
    *WORDS,
    "weights=none",
    "model.init=he_uniform",
    "model.activation=elu",
    "model.norm=group",
    "model.norm_epsilon=0.01",
    "model.pixels=unit",
)


@pytest.mark.slow
def test_changed_network_is_trained_scored_used_and_continued(tmp_path, photos):
    first, second = tmp_path / "first", tmp_path / "second"
    done = run("finetune", *CHANGED, f"data={photos}", "train.epochs=2", f"run.dir={first}")
    assert "init    he_uniform:" in done.stdout + done.stderr
    card = json.loads((first / "model" / "zoo.json").read_text())
    kept = {key: card["model"]["options"][key] for key in ("activation", "norm", "norm_epsilon")}
    assert kept == {"activation": "elu", "norm": "group", "norm_epsilon": 0.01}
    assert card["preprocess"]["std"] == [1.0, 1.0, 1.0]
    assert not card["timm_loadable"]

    scored = json.loads(run("evaluate", f"run={first}", "--json").stdout)
    record = json.loads((first / "record.json").read_text())
    assert json.dumps(record["scores"]["test"]["accuracy"]) in json.dumps(scored)
    used = run("predict", f"run={first}", f"images={photos}/red/0.png")
    assert any(name in used.stdout for name in ("blue", "green", "red"))

    words = [word for word in WORDS if not word.startswith("model")]
    run("finetune", f"model={first}", *words, f"data={photos}", "train.epochs=1", "strategy=full", f"run.dir={second}")
    again = json.loads((second / "model" / "zoo.json").read_text())
    assert again["model"]["options"] == card["model"]["options"]
    assert again["preprocess"] == card["preprocess"]


@pytest.mark.slow
def test_changed_network_goes_on_after_a_stop_to_the_same_bits(tmp_path, photos):
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    words = (*CHANGED, f"data={photos}", "train.epochs=4", "train.save_every_steps=1")
    run("finetune", *words, f"run.dir={whole}")
    process = subprocess.Popen(command("finetune", *words, f"run.dir={stopped}"), stderr=subprocess.PIPE, text=True)
    state = stopped / "checkpoints" / "last" / "state.json"
    while process.poll() is None and not state.is_file():
        pass
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run("finetune", f"resume={stopped}")
    tensors = [(folder / "model" / "model.safetensors").read_bytes() for folder in (whole, stopped)]
    assert tensors[0] == tensors[1]
    assert metrics(whole) == metrics(stopped)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("model=lenet5", "weights=none", "model.norm=group"), "has no batch norm"),
        (("model=tf_efficientnet_lite0", "model.activation=elu"), "weights=none, to train from scratch"),
        (("model=tf_efficientnet_lite0", "model.norm=fresh"), "strategy=full strategy.freeze_norm=false"),
        (("model=mlp", "weights=none", "model.init=he_norml"), "does not fit"),
    ],
)
def test_what_cannot_act_is_refused_and_leaves_no_folder(tmp_path, photos, words, message):
    where = tmp_path / "run"
    done = run_here("finetune", *words, f"data={photos}", f"run.dir={where}", code=2)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert not where.exists()
