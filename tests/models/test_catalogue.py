from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from zoo.contracts.model import Model, ModelSpec, Stage, WeightsRecord
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.models.catalogue import card_of, in_order_of_history, matching, multiply_adds, outline_network, row_of
from zoo.registry import Entry, Offer, Origin

BLANK = Preprocess(8, (0.5,) * 3, (0.5,) * 3)
DEFAULT = WeightsRecord("v1", BLANK, hub_id="x/net.v1", classes=5, license="mit")
OTHER = WeightsRecord("v2", BLANK.with_size(16), url="https://x/net-v2.pth", classes=5)


def build(*, classes: int, channels: int, image_size: int | None, width: int = 4) -> Model:
    net = nn.Sequential(nn.Conv2d(channels, width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, classes))
    stages = (Stage("conv", ("0.weight", "0.bias")),)
    return Model(net, ModelSpec("x/net", "x", "net", "3", width, stages, BLANK, (DEFAULT, OTHER)))


def build_with_values(**options) -> Model:
    torch.linspace(0, 1, 4).tolist()  # impossible on the meta device
    return build(**options)


def refuse(**_options) -> Model:
    raise UserError("no place for a head")


class Source:
    def __init__(self, tag: str = "v1") -> None:
        self.tag = tag

    def locate(self, request):
        return Path("/w") if [record.tag for record in request.records] == [self.tag] else None

    def find(self, request):
        raise AssertionError("a listing reads no file")

    def places(self, request):
        return []


def entry(target=build, *, name: str = "net", **facts) -> Entry:
    module = f"{__name__}:{target.__name__}"
    entry = Entry("model", name, Offer(module, "a net", "arXiv:1", facts), Origin("x.models", "x-dist", "1"))
    object.__setattr__(entry, "load", lambda: target)
    return entry


def test_matching_reads_shell_patterns_and_parts_of_names():
    names = ["resnet18", "resnet50", "wide_resnet", "vgg11"]
    assert matching("resnet*", names) == ["resnet18", "resnet50"]
    assert matching("ResNet", names) == ["resnet18", "resnet50", "wide_resnet"]
    assert matching("*", names) == names
    assert matching("resnet[15]*", names) == ["resnet18", "resnet50"]


def test_matching_names_the_nearest_where_nothing_fits():
    with pytest.raises(UserError, match="no model fits 'rsenet18'") as caught:
        matching("rsenet18", ["resnet18", "vgg11"])
    assert "allowed: resnet18" in str(caught.value)


def test_row_says_where_the_default_weights_lie():
    facts = {"records": (DEFAULT, OTHER), "year": 2001, "parameters": 77}
    row = row_of(entry(**facts), "net", sources=[("far", Source("v9")), ("near", Source())], count=False)
    assert (row.weights, row.source, row.path) == ("at hand", "near", Path("/w"))
    assert (row.parameters, row.input_px, row.year, row.record) == (77, 8, 2001, DEFAULT)
    assert row.to_dict()["license"] == "mit"
    assert row_of(entry(**facts), "net", sources=[("far", Source("v2"))], count=False).weights == "download"
    assert row_of(entry(), "net", sources=[], count=False).weights == "none"


@pytest.mark.parametrize(("name", "known_as", "named"), [("net.v1", "net", True), ("net.2", "net.2", False)])
def test_only_the_tag_of_its_weights_is_cut_from_a_name_with_a_dot(name, known_as, named):
    asked = []

    class Keeps(Source):
        def locate(self, request):
            asked.append((request.spec.name, request.named))

    row_of(entry(name=name, records=(DEFAULT,)), name, sources=[("near", Keeps())], count=False)
    assert asked == [(f"x/{known_as}", named)]


def test_row_counts_parameters_only_where_asked_or_stated():
    assert row_of(entry(), "net", sources=[], count=False).parameters is None
    facts = {"records": (DEFAULT,)}
    assert row_of(entry(**facts), "net", sources=[], count=True).parameters == 3 * 4 * 9 + 4 + 4 * 5 + 5
    assert row_of(entry(refuse), "net", sources=[], count=True).parameters is None


def test_outline_network_holds_no_values_unless_it_must():
    assert next(outline_network(entry()).module.parameters()).is_meta
    real = outline_network(entry(build_with_values))
    assert not next(real.module.parameters()).is_meta


def test_card_says_all_of_a_network():
    card = card_of(entry(records=(DEFAULT, OTHER)), "net", sources=[("near", Source("v2"))])
    assert card.multiply_adds == 6 * 6 * 4 * 3 * 9 + 4 * 5
    assert (card.classifier, card.feature_dim, card.stages) == ("3", 4, (("conv", 3 * 4 * 9 + 4),))
    assert card.options == (("width", 4),)
    assert [(record.tag, source) for record, source in card.records] == [("v1", ""), ("v2", "near")]
    assert card.to_dict()["published"][1]["at_hand"] == "near"
    assert card.row.weights == "download"


@pytest.mark.parametrize(("arch", "published"), [("resnet18", 1.82e9), ("vgg11", 7.61e9), ("cait_xxs24_224", 2.53e9)])
def test_multiply_adds_agree_with_published_counts(arch, published):
    with torch.device("meta"):
        module = timm.create_model(arch)
    assert multiply_adds(module, size=224, channels=3) == pytest.approx(published, rel=0.01)
    assert module.training


def test_history_holds_the_classic_networks_alone_the_oldest_and_smallest_first():
    def row(name, place, parameters):
        made = entry(classic=place, parameters=parameters) if place is not None else entry(parameters=parameters)
        return row_of(made, name, sources=[], count=False)

    rows = [row("c", 1, 5), row("none", None, 1), row("b", 0, 9), row("a", 0, 2)]
    assert [each.name for each in in_order_of_history(rows)] == ["a", "b", "c"]
