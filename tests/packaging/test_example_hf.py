"""The hub example: data sets and networks by addresses, and a run with both where there is no network."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.config.compose import configure
from zoo.errors import UserError
from zoo.plugins import Plugins

NAME = "zoo-example-hf"

MAKE_REPOSITORIES = """
import numpy as np, datasets, torch, transformers as hf
from PIL import Image
names = ["red", "green", "blue"]
rng = np.random.default_rng(0)
def split(count):
    labels = [number % 3 for number in range(count)]
    images = []
    for label in labels:
        colour = np.full(3, 60.0); colour[label] = 190
        images.append(Image.fromarray(np.clip(colour + rng.normal(0, 30, (40, 36, 3)), 0, 255).astype(np.uint8)))
    kinds = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=names)})
    return datasets.Dataset.from_dict({"image": images, "label": labels}, features=kinds)
datasets.DatasetDict({"train": split(60), "validation": split(15), "test": split(30)}).save_to_disk("colours")
torch.manual_seed(0)
config = hf.ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic",
                         num_labels=5)
hf.ResNetForImageClassification(config).save_pretrained("net")
hf.ConvNextImageProcessor(size={"shortest_edge": 64}, crop_pct=0.875).save_pretrained("net")
"""


@pytest.fixture
def plugins(use_example: Callable[[str], Plugins]) -> Plugins:
    return use_example(NAME)


def test_address_of_a_data_set_is_its_path(plugins: Plugins) -> None:
    chosen = configure(["model=lenet5", "data=hf:me/pets", "data.label_column=coarse"], plugins, source_for=str)
    assert chosen.data.name == "hf/hf"
    assert chosen.data.own == {
        "path": "me/pets",
        "config": None,
        "revision": None,
        "image_column": None,
        "label_column": "coarse",
    }


def test_names_of_others_never_reach_the_hub(plugins: Plugins, monkeypatch: pytest.MonkeyPatch) -> None:
    def asked(*_: object, **__: object) -> None:
        raise AssertionError("the hub was asked")

    monkeypatch.setattr("zoo_example_hf.repository.why_unreachable", asked)
    assert configure(["model=lenet5"], plugins, source_for=str).model.name == "zoo/lenet5"
    with pytest.raises(UserError, match="unknown model 'lenet55'"):
        configure(["model=lenet55"], plugins, source_for=str)


def test_address_of_a_network_that_is_not_at_hand_is_refused_at_once(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pytest.importorskip("transformers")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match="me/tiny cannot be had: HF_HUB_OFFLINE is set"):
        configure(["model=hf_vision:me/tiny"], plugins, source_for=str)


@pytest.mark.slow
@pytest.mark.usefixtures("index")
def test_installed_hub_passes_its_tests_and_trains_without_a_network(
    make_environment: Callable[..., Any], zoo_wheel: Path, build_example: Callable[[str], Path], tmp_path: Path
) -> None:
    installed = make_environment(zoo_wheel, build_example(NAME))
    brought = installed.install("datasets>=4.0", "transformers>=5.0")
    assert not {name for name in brought if name.startswith(("torch", "nvidia", "numpy"))}
    assert " passed" in installed.run_tests_of(NAME, tmp_path)

    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "hf"), "ZOO_CACHE": str(tmp_path / "cache")}
    made = installed.python("-c", MAKE_REPOSITORIES, cwd=tmp_path, **offline)
    assert made.returncode == 0, made.stderr
    words = ["data=hf", "data.path=colours", "model=hf_vision:./net", "strategy=full", "train.epochs=4"]
    words += ["optimizer.lr=2e-3", "train.device=cpu", "run.dir=run"]
    done = installed.python("-m", "zoo", "finetune", *words, "--json", cwd=tmp_path, **offline)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["classes"] == ["red", "green", "blue"]
    assert told["scores"]["test"]["accuracy"] > 0.6
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["weights"]["source"] == "hf-folder"
    assert record["data"]["splits"] == {"train": 60, "val": 15, "test": 30}
    used = {use["name"].partition("/")[0] for use in record["components"]}
    assert "hf" in used

    again = installed.python("-m", "zoo", "evaluate", "run=run", "--json", cwd=tmp_path, **offline)
    assert again.returncode == 0, again.stderr
    (tmp_path / "photo.png").write_bytes(_red())
    guessed = installed.python("-m", "zoo", "predict", "run=run", "images=photo.png", cwd=tmp_path, **offline)
    assert guessed.returncode == 0, guessed.stderr

    gone = installed.python("-m", "zoo", "finetune", "data=hf:me/none", "run.dir=no", cwd=tmp_path, **offline)
    assert gone.returncode == 2
    assert "the data set cannot be had: HF_HUB_OFFLINE is set" in gone.stderr


def _red() -> bytes:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.new("RGB", (40, 36), (190, 60, 60)).save(stream, format="PNG")
    return stream.getvalue()
