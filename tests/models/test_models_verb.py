import json
import re

import pytest

from zoo.errors import UserError
from zoo.verbs.models import main
from zoo.verbs.tables import short_count


@pytest.fixture(autouse=True)
def _only_built_in(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_PLUGINS", "")
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def run(capsys, *words: str) -> str:
    assert main(list(words)) == 0
    return capsys.readouterr().out


def test_models_lists_a_pattern_with_size_input_and_weights(capsys):
    lines = run(capsys, "resnet*").splitlines()
    assert re.split(r"  +", lines[0]) == ["name", "parameters", "input", "weights", "license", "year"]
    rows = {line.split()[0]: re.split(r"  +", line) for line in lines[1:]}
    assert rows["resnet18"][1:5] == ["11.7 M", "224 px", "download, else starter", "apache-2.0"]
    assert rows["torchvision/resnet18"][1:4] == ["11.7 M", "224 px", "download, else starter"]
    assert rows["resnet34"][1:4] == ["21.8 M", "224 px", "download"]
    assert list(rows).index("resnet18") < list(rows).index("resnet101")
    assert all(re.search("resnet", name) for name in rows)


def test_models_says_which_weights_are_at_hand(capsys, tmp_path):
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    (tmp_path / "hub" / "checkpoints" / "alexnet-owt-7be5be79.pth").write_bytes(b"")
    rows = json.loads(run(capsys, "alexnet", "--json")) + json.loads(run(capsys, "tf_efficientnet_lite0", "--json"))
    assert [(row["name"], row["weights"], row["source"]) for row in rows] == [
        ("alexnet", "at hand", "torch-cache"),
        ("tf_efficientnet_lite0", "at hand", "package"),
    ]
    assert "at hand (package)" in run(capsys, "tf_efficientnet_lite0")


def test_models_never_takes_a_stand_in_for_a_published_set(capsys):
    (row,) = json.loads(run(capsys, "zoo/lenet5", "--json"))
    assert (row["weights"], row["source"]) == ("at hand", "starter")
    (tagged,) = json.loads(run(capsys, "resnet18.a1_in1k", "--json"))
    assert (tagged["weights"], tagged["source"], tagged["path"]) == ("download", None, None)
    shown = run(capsys, "show", "resnet18")
    assert "would be downloaded; at hand to stand in for them: starter, " in shown
    assert ", at hand (" not in shown


def test_models_lists_one_namespace_or_the_tags_of_a_network(capsys):
    vgg = [row["name"] for row in json.loads(run(capsys, "torchvision/vgg1?", "--json"))]
    assert vgg == ["torchvision/vgg11", "torchvision/vgg13", "torchvision/vgg16", "torchvision/vgg19"]
    tags = [row["name"] for row in json.loads(run(capsys, "resnet18.a*", "--json"))]
    assert tags == ["resnet18.a1_in1k", "resnet18.a2_in1k", "resnet18.a3_in1k"]


def test_models_without_a_pattern_lists_all(capsys):
    assert len(run(capsys).splitlines()) > 1400


def test_show_says_all_of_one_network(capsys):
    text = run(capsys, "show", "resnet18")
    for fact in (
        "timm/resnet18",
        "11,689,512",
        "1.8 G",
        "fc, fed 512 features",
        "layer4",
        "model.drop_path=0.0",
        "a1_in1k",
        "tv_in1k",
    ):
        assert fact in text
    card = json.loads(run(capsys, "show", "mlp", "--json"))
    assert (card["parameters"], card["feature_dim"], card["weights"]) == (535_818, 256, "none")
    assert card["options"]["hidden"] == [512, 256]
    assert (card["options"]["activation"], card["options"]["norm"], card["options"]["dropout"]) == ("elu", "none", 0.0)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rsnet19"], "no model fits"),
        (["torchvision/lenet5"], "no model fits"),
        (["show"], "which network"),
        (["a", "b"], "2 patterns"),
        (["--colour"], "unknown flag"),
        (["show", "no_such_net"], "unknown model"),
    ],
)
def test_models_refuses_what_it_cannot_read(words, message):
    with pytest.raises(UserError, match=message):
        main(words)


def test_models_prints_help(capsys):
    assert run(capsys, "--help").startswith("usage: python -m zoo models")


def test_short_count_keeps_one_decimal():
    assert [short_count(n) for n in (None, 12, 1500, 11_689_512, 4_100_000_000)] == [
        "-",
        "12",
        "1.5 k",
        "11.7 M",
        "4.1 G",
    ]


def test_show_names_the_package_that_carries_weights(capsys):
    text = run(capsys, "show", "tf_efficientnet_lite0")
    assert "at hand: package, " in text
    assert "https://huggingface.co/timm/tf_efficientnet_lite0.in1k" in text
    assert "1000 classes, 224 px, bicubic, mean 0.5/0.5/0.5" in text


def test_models_draws_a_table_on_a_terminal(capsys, monkeypatch):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    text = run(capsys, "lenet*")
    assert "lenet5" in text
    assert "60.9 k" in text


CLASSIC = [
    "perceptron", "mlp", "lenet5", "lenet", "alexnet", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn",
    "vgg19", "vgg19_bn", "googlenet", "inception_v3", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152",
    "inception_v4", "inception_resnet_v2", "legacy_xception",
]  # fmt: skip


def test_models_classic_shows_the_fields_history(capsys):
    rows = json.loads(run(capsys, "classic", "--json"))
    assert [row["name"] for row in rows] == CLASSIC
    years = [row["year"] for row in rows]
    assert years == sorted(years)
    assert (years[0], years[-1]) == (1958, 2016)
    for row in rows:
        assert row["classic"]
        assert row["title"]
        assert row["paper"].startswith(("arXiv:", "doi:"))
        assert row["parameters"] > 0
        assert row["multiply_adds"] > 0
        assert row["input_px"] in (28, 32, 224, 299)


def test_models_classic_prints_a_table(capsys):
    lines = run(capsys, "classic").splitlines()
    assert re.split(r"  +", lines[0]) == ["year", "name", "parameters", "multiply-adds", "input", "weights", "paper"]
    cells = {line.split()[1]: re.split(r"  +", line) for line in lines[1:]}
    assert list(cells) == CLASSIC
    assert cells["alexnet"] == [
        "2012", "alexnet", "61.1 M", "714.0 M", "224 px", "download",
        "ImageNet Classification with Deep Convolutional Neural Networks (doi:10.1145/3065386)",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["perceptron", "mlp", "lenet5", "lenet"])
def test_stated_counts_are_those_of_the_network_as_built(name, capsys):
    from zoo.models.catalogue import multiply_adds, outline_network
    from zoo.plugins import load_plugins

    entry = load_plugins(only=()).registry.get("model", name)
    model = outline_network(entry)
    assert entry.facts["parameters"] == sum(p.numel() for p in model.module.parameters())
    size = model.spec.preprocess.size
    assert entry.facts["multiply_adds"] == multiply_adds(model.module, size=size, channels=1)
    assert entry.facts["input_px"] == size


def test_show_names_paper_and_source_where_they_differ(capsys):
    alexnet = run(capsys, "show", "alexnet")
    assert "ImageNet Classification with Deep Convolutional Neural Networks, doi:10.1145/3065386, 2012" in alexnet
    assert "source        arXiv:1404.5997" in alexnet
    assert "source  " not in run(capsys, "show", "vgg11")


def test_show_says_what_an_older_name_means(capsys):
    assert run(capsys, "show", "xception").startswith("timm/legacy_xception: ")
    assert run(capsys, "show", "tv_resnet34").startswith("timm/resnet34.tv_in1k: ")


def test_show_outlines_networks_that_compute_while_they_are_built(capsys):
    assert "4,344,144" in run(capsys, "show", "torchvision/regnet_y_400mf")
