"""The model card says what the record says, and nothing that others wrote can break out of it."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zoo.artifacts.cards import HUB_LICENSES, MOST_CLASSES, headline, render_card
from zoo.artifacts.record import ComponentUse, DataUse, Environment, RunRecord
from zoo.artifacts.saved_model import Part, SavedModel
from zoo.contracts.data import Task
from zoo.contracts.importing import Provenance
from zoo.contracts.model import LoadReport
from zoo.imaging.preprocess import Preprocess

PUBLISHED = {"name": "pets", "description": "Cats & dogs.", "license": "mit", "on": "2026-11-25", "parameters": 11_177}
SHARE = {"value": 0.875, "low": 0.5291, "high": 0.9776}
EMPTY = {"value": None, "low": None, "high": None}
SCORES = {
    "val": {"count": 8, "loss": 0.5, "accuracy": SHARE, "macro_f1": SHARE, "top5": None, "classes": []},
    "test": {
        "count": 1234,
        "loss": None,
        "accuracy": SHARE,
        "macro_f1": EMPTY,
        "top5": None,
        "classes": [{"name": "cat", "support": 4, "precision": EMPTY, "recall": SHARE, "f1": 0.5}],
    },
}


def model(**more) -> SavedModel:
    values = {
        "folder": Path("x"),
        "classes": ("cat", "dog|wolf"),
        "task": Task.SINGLE_LABEL,
        "preprocess": Preprocess(64, (0.25,) * 3, (0.5,) * 3, crop_share=0.9),
        "temperature": 1.25,
        "thresholds": None,
        "library": "timm",
        "arch": "resnet18",
        "model": Part("timm/resnet18"),
        "head": None,
        "args": {},
        "timm_loadable": True,
        "timm_note": "",
        "sha256": {"model.safetensors": "ab" * 32, "zoo.json": "cd" * 32},
        "zoo_version": "0.1.0",
        "origin": {"published": PUBLISHED, "scores": SCORES, "data": {"name": "photos", "fingerprint": "f" * 64}},
    }
    return SavedModel(**values | more)


def record(**more) -> RunRecord:
    values = {
        "status": "finished",
        "started": "2026-11-25T08:00:00+00:00",
        "environment": Environment({"zoo": "0.1.0", "torch": "2.15.0"}, "3.11.7", "Linux", "cpu", 2),
        "model": "timm/resnet18",
        "seed": 3,
        "components": (ComponentUse("optimizer", "acme/lion", "acme.opt", "acme", "1.2"),),
        "data": DataUse(
            "photos", "photos", Task.SINGLE_LABEL, ("cat", "dog|wolf"), 3, "f" * 64, {"train": 1000, "test": 1234}
        ),
        "weights": LoadReport("hub", "model.safetensors", "e" * 64, "a1_in1k", 120, (), (), license="apache-2.0"),
        "timings": {"data": 1.0, "training": 61.0},
        "scores": SCORES,
        "config": {"optimizer": {"name": "acme/lion", "lr": 0.01}},
        "choices": {"precision": "bf16"},
    }
    return RunRecord(**values | more)


def front(card: str) -> dict[str, object]:
    _, head, _ = card.split("---\n", 2)
    return yaml.safe_load(head)


def section(card: str, title: str) -> str:
    """Text below a heading, up to the next."""
    return card.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def test_the_card_says_what_the_record_says():
    card = render_card(model(), record(), address="ZOO/pets")
    for title in ("Use", "Scores", "Classes", "Data", "Recipe", "Input", "Pretrained weights", "Limits", "Hashes"):
        assert section(card, title).strip()
    assert "\n# pets\n" in card
    assert "11,177 parameters" in card
    scores = section(card, "Scores")
    assert "| test | 1,234 | 87.5 % (52.9 to 97.8) | - | - | - |" in scores
    assert "| validation | 8 | 87.5 % (52.9 to 97.8) | 87.5 % (52.9 to 97.8) | - | 0.5 |" in scores
    assert "too good" not in scores
    classes = section(card, "Classes")
    assert "| cat | 4 | - | 87.5 % (52.9 to 97.8) | 50.0 % |" in classes
    assert r"| dog\|wolf | - | - | - | - |" in classes
    assert f"`{'f' * 64}`" in section(card, "Data")
    assert "1,000 train, 1,234 test" in section(card, "Data")
    recipe = section(card, "Recipe")
    assert "seed 3; cpu" in recipe
    assert "62 s" in recipe
    assert "optimizer `acme/lion` of acme 1.2" in recipe
    code = "\n".join(line[4:] for line in recipe.splitlines() if line.startswith("    "))
    assert yaml.safe_load(code) == {"config": record().config, "decided": {"precision": "bf16"}}
    assert "64 x 64 px, 3 channels" in section(card, "Input")
    assert "the centre 90.0 %" in section(card, "Input")
    assert "divided by 1.25" in section(card, "Input")
    weights = section(card, "Pretrained weights")
    assert "hub, `a1_in1k`" in weights
    assert "licence: apache-2.0" in weights
    assert f"| `model.safetensors` | `{'ab' * 32}` |" in section(card, "Hashes")


def test_use_names_the_model_as_others_do():
    local = section(render_card(model(), record(), address="ZOO/pets"), "Use")
    assert "python -m zoo finetune model=ZOO/pets data=" in local
    assert "ZOO_PATH=ZOO python -m zoo finetune model=pets" in local
    assert 'zoo.load("ZOO/pets")' in local
    assert 'timm.create_model("local-dir:ZOO/pets", pretrained=True)' in local
    hub = section(render_card(model(), record(), address="hf:me/pets"), "Use")
    assert "predict run=hf:me/pets" in hub
    assert 'timm.create_model("hf-hub:me/pets", pretrained=True)' in hub
    assert "ZOO_PATH" not in hub
    own = model(timm_loadable=False, timm_note="zoo built it, not timm")
    assert "timm alone cannot load it: zoo built it, not timm." in render_card(own, record(), address="ZOO/pets")
    assert "timm.create_model" not in render_card(own, record(), address="ZOO/pets")


@pytest.mark.parametrize("name", sorted(HUB_LICENSES))
def test_a_licence_that_the_hub_knows_stands_in_the_head(name):
    saved = model(origin={"published": PUBLISHED | {"license": name}})
    assert front(render_card(saved, record(), address="hf:me/pets"))["license"] == name


def test_another_licence_or_none_is_no_error():
    own = front(
        render_card(model(origin={"published": PUBLISHED | {"license": "My Lab: no sale"}}), None, address="ZOO/pets")
    )
    assert (own["license"], own["license_name"]) == ("other", "my-lab-no-sale")
    none = render_card(model(origin={"published": PUBLISHED | {"license": None}}), None, address="ZOO/pets")
    assert "license" not in front(none)
    assert "Licence: not stated; ask whoever published it." in none


def test_without_test_images_or_a_run_it_says_so():
    card = render_card(model(), record(scores={"val": SCORES["val"]}), address="ZOO/pets")
    assert "validation chose among epochs" in section(card, "Scores")
    alone = render_card(model(), None, address="ZOO/pets")
    assert "None were measured" in section(alone, "Scores")
    assert "## Recipe" not in alone
    assert "## Data" not in alone
    assert "| cat |" in section(alone, "Classes")
    random = record(weights=LoadReport("none", "", "", "", 0, (), ()))
    assert "random values" in section(render_card(model(), random, address="ZOO/pets"), "Pretrained weights")
    old = record(weights=LoadReport("hub", "x", "e" * 64, "t", 1, (), ()))
    assert "licence: not stated" in section(render_card(model(), old, address="ZOO/pets"), "Pretrained weights")


def test_imported_weights_show_whether_they_were_compared():
    unverified = Provenance("caffe", "lenet.caffemodel", "e" * 64, "zoo/caffe", notes=("epsilon folded",))
    saved = model(origin={"published": PUBLISHED, "import": dataclasses.asdict(unverified)})
    card = render_card(saved, None, address="ZOO/pets")
    assert "unverified" in section(card, "Imported weights")
    assert "epsilon folded" in section(card, "Imported weights")
    assert "Unverified" in section(card, "Limits")
    assert "unverified" in headline(saved)
    compared = dataclasses.replace(
        unverified, against="onnxruntime", inputs=8, max_abs=1e-6, max_relative=2e-7, compared="logits"
    )
    saved = model(origin={"published": PUBLISHED, "import": dataclasses.asdict(compared)})
    card = render_card(saved, None, address="ZOO/pets")
    assert "from onnxruntime on 8 inputs" in section(card, "Imported weights").replace("\\", "")
    assert "nverified" not in card
    assert "## Imported" not in render_card(model(), None, address="ZOO/pets")


def test_headline_is_one_line_with_the_score():
    assert headline(model()) == "timm/resnet18 trained on photos, 2 classes, test accuracy 87.5 % (52.9 to 97.8)"
    assert headline(model(origin={})) == "timm/resnet18, 2 classes"


def test_a_long_list_of_classes_is_cut_and_says_so():
    many = tuple(f"class {number:04}" for number in range(MOST_CLASSES + 5))
    card = render_card(model(classes=many), None, address="ZOO/pets")
    assert card.count("| class 0") == MOST_CLASSES
    assert "And 5 more" in card


def test_multi_label_thresholds_are_told():
    card = render_card(model(task=Task.MULTI_LABEL, thresholds=(0.25, 0.5)), None, address="ZOO/pets")
    assert "thresholds: 0.25, 0.5" in card
    assert "any number of labels" in card


def test_with_several_labels_an_image_accuracy_is_called_what_it_is():
    found = SCORES["test"] | {"micro_f1": EMPTY | {"value": 0.9}, "mean_average_precision": EMPTY | {"value": 0.8}}
    saved = model(task=Task.MULTI_LABEL, origin={"published": PUBLISHED, "scores": {"test": found}})
    told = section(render_card(saved, record(scores={"test": found}), address="ZOO/pets"), "Scores")
    assert "| split | images | mean average precision | micro F1 | macro F1 | all labels right | loss |" in told
    assert "| 80.0 %" in told
    assert "test micro F1 90.0 %" in headline(saved)
    assert "accuracy" not in headline(saved)


@given(st.text(min_size=1, max_size=40), st.text(max_size=80))
def test_no_text_of_others_breaks_out_of_the_card(name, description):
    published = PUBLISHED | {"description": description}
    saved = model(classes=(name, "x" + name), origin={"published": published, "odd": {"key": name}})
    data = dataclasses.replace(record().data, name=name, notes=(description,))
    card = render_card(saved, record(data=data, scores={}), address="ZOO/pets")
    lines = card.splitlines()
    assert [line for line in lines if line.startswith("#")] == [
        "# pets",
        *(f"## {title}" for title in ("Use", "Scores", "Classes", "Data", "Recipe", "Input", "Pretrained weights")),
        "## Limits",
        "## Hashes",
    ]
    assert sum(line.startswith("```") for line in lines) == 4
    assert lines.count("---") == 2
    assert front(card)["pipeline_tag"] == "image-classification"
    table = section(card, "Classes").strip().splitlines()
    assert len(table) == 4
    assert all(line.replace("\\|", "").count("|") == 2 for line in table)
