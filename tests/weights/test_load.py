import dataclasses
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from zoo.contracts.model import FoundWeights, Model, ModelSpec, WeightsRecord, WeightsRequest
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.weights.load import find_weights, load_weights

BLANK = Preprocess(32, (0.5,) * 3, (0.5,) * 3)
V1 = WeightsRecord("v1", BLANK, hub_id="them/net.v1", url="https://x.test/net-v1.pth", classes=5)
V2 = WeightsRecord("v2", BLANK, hub_id="them/net.v2", classes=5)
SPEC = ModelSpec("x/net", "x", "net", "fc", 4, (), BLANK, weights=(V1, V2))


class Net(nn.Module):
    def __init__(self, classes: int = 5, channels: int = 3) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, 4, 3)
        self.bn = nn.BatchNorm2d(4)
        self.fc = nn.Linear(4, classes)


def model_of(net: nn.Module, convert=None, **changes) -> Model:
    return Model(net, dataclasses.replace(SPEC, **changes), convert)


@pytest.fixture
def file(tmp_path) -> Path:
    (tmp_path / "w.pth").write_bytes(b"bytes of a file")
    return tmp_path / "w.pth"


def found(file: Path, tensors) -> FoundWeights:
    return FoundWeights("somewhere", file, V1, tensors)


def test_load_copies_everything_and_accounts_for_it(file):
    source, target = Net().state_dict(), Net()
    report = load_weights(model_of(target), found(file, source), head_is_new=False)
    assert all(torch.equal(source[name], value) for name, value in target.state_dict().items())
    assert (report.loaded, report.reinitialised, report.unused, report.adapted) == (len(source), (), (), ())
    assert (report.source, report.location, report.tag) == ("somewhere", str(file), "v1")
    import hashlib

    assert report.sha256 == hashlib.sha256(b"bytes of a file").hexdigest()


def test_load_leaves_a_new_head_alone(file):
    source, target = Net(classes=1000).state_dict(), Net(classes=2)
    head = target.fc.weight.clone()
    report = load_weights(model_of(target), found(file, source), head_is_new=True)
    assert torch.equal(head, target.fc.weight)
    assert torch.equal(source["conv.weight"], target.conv.weight)
    assert report.reinitialised == report.unused == ("fc.weight", "fc.bias")
    assert report.loaded == len(source) - 2


def test_load_takes_a_head_of_any_form_as_new(file):
    target = Net()
    target.fc = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    report = load_weights(model_of(target), found(file, Net().state_dict()), head_is_new=True)
    assert report.reinitialised == ("fc.0.weight", "fc.0.bias", "fc.2.weight", "fc.2.bias")


def test_load_takes_a_file_without_a_head_where_the_head_is_new(file):
    source = {name: value for name, value in Net().state_dict().items() if not name.startswith("fc.")}
    assert load_weights(model_of(Net()), found(file, source), head_is_new=True).unused == ()
    with pytest.raises(UserError, match=r"2 missing in the file \(fc.weight, fc.bias\)"):
        load_weights(model_of(Net()), found(file, source), head_is_new=False)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("conv.bias"), r"1 missing in the file \(conv.bias\)"),
        (lambda s: s.update(extra=torch.ones(1)), r"1 unknown to the network \(extra\)"),
        (lambda s: s.update({"bn.weight": torch.ones(9)}), r"1 of another shape \(bn.weight \(file 9, network 4\)\)"),
        (lambda s: s.update({"bn.bias": torch.ones(())}), r"file scalar, network 4"),
    ],
)
def test_load_refuses_what_does_not_fit_and_changes_nothing(file, change, message):
    source, target = dict(Net().state_dict()), Net()
    before = {name: value.clone() for name, value in target.state_dict().items()}
    change(source)
    with pytest.raises(UserError, match=message) as caught:
        load_weights(model_of(target), found(file, source), head_is_new=True)
    assert str(file) in str(caught.value)
    assert all(torch.equal(before[name], value) for name, value in target.state_dict().items())


@settings(max_examples=40)
@given(st.data())
def test_load_counts_every_difference(data):
    names = list(Net().state_dict())
    backbone = [name for name in names if not name.startswith("fc.")]
    dropped = data.draw(st.sets(st.sampled_from(backbone)))
    added = data.draw(st.sets(st.text("abc", min_size=1, max_size=3)))
    source = {name: value for name, value in Net().state_dict().items() if name not in dropped}
    source |= {name: torch.ones(1) for name in added}
    missing = [name for name in dropped if not name.endswith("num_batches_tracked")]
    place = FoundWeights("somewhere", Path(__file__), V1, source)
    if not missing and not added:
        report = load_weights(model_of(Net()), place, head_is_new=True)
        assert report.loaded + len(report.reinitialised) == len(names)
        return
    with pytest.raises(UserError) as caught:
        load_weights(model_of(Net()), place, head_is_new=True)
    assert (f"{len(missing)} missing" in str(caught.value)) is bool(missing)
    assert (f"{len(added)} unknown" in str(caught.value)) is bool(added)


def test_load_takes_old_files_without_step_counters(file):
    source = {name: value for name, value in Net().state_dict().items() if "num_batches" not in name}
    report = load_weights(model_of(Net()), found(file, source), head_is_new=False)
    assert report.reinitialised == ("bn.num_batches_tracked",)


def test_load_leaves_out_declared_keys(file):
    source = dict(Net().state_dict()) | {"aux1.fc.weight": torch.ones(1)}
    report = load_weights(model_of(Net(), ignored_keys=(r"aux\d\.",)), found(file, source), head_is_new=False)
    assert report.unused == ("aux1.fc.weight",)


def test_load_asks_the_networks_rules_only_where_the_file_does_not_fit(file):
    calls = []

    def convert(tensors, record):
        calls.append(record)
        return {name.removeprefix("old."): value for name, value in tensors.items()}

    source = Net().state_dict()
    load_weights(model_of(Net(), convert), found(file, source), head_is_new=False)
    assert calls == []
    target = Net()
    load_weights(model_of(target, convert), found(file, {f"old.{k}": v for k, v in source.items()}), head_is_new=False)
    assert calls == [V1]
    assert torch.equal(target.conv.weight, source["conv.weight"])


def test_load_names_what_was_adapted(file):
    def convert(tensors, record):
        return {**tensors, "conv.weight": tensors["conv.weight"].sum(1, keepdim=True)}

    report = load_weights(model_of(Net(channels=1), convert), found(file, Net().state_dict()), head_is_new=True)
    assert report.adapted == ("conv.weight",)


def test_load_refuses_values_that_are_no_numbers(file):
    source = Net().state_dict()
    source["conv.weight"][0, 0, 0, 0] = float("nan")
    with pytest.raises(UserError, match=r"1 tensors .* no numbers \(conv.weight\)"):
        load_weights(model_of(Net()), found(file, source), head_is_new=True)


def test_load_without_weights_reports_random_values():
    report = load_weights(model_of(Net()), None, head_is_new=True)
    assert (report.source, report.loaded) == ("none", 0)
    assert report.reinitialised == tuple(Net().state_dict())


class Source:
    def __init__(self, *places: str, has: FoundWeights | None = None) -> None:
        self.listed, self.has, self.asked = list(places), has, []

    def locate(self, request):
        return self.has.path if self.has and self.has.record in request.records else None

    def find(self, request):
        self.asked.append(request)
        return self.has if self.has and self.has.record in request.records else None

    def places(self, request):
        return self.listed


REQUEST = WeightsRequest(SPEC, SPEC.weights)


def test_find_asks_in_order_and_stops_at_the_first_hit(file):
    hit = found(file, {})
    first, second, third = Source("/here"), Source("/there", has=hit), Source("/far")
    said: list[str] = []
    assert find_weights(REQUEST, [("one", first), ("two", second), ("three", third)], say=said.append) is hit
    assert len(first.asked) == 1
    assert third.asked == []
    assert "one: /here" in said[0]
    assert "found in two" in said[-1]
    assert str(file) in said[-1]


def test_find_wants_the_default_weights_and_no_others(file):
    source = Source(has=FoundWeights("cache", file, V2, {}))
    with pytest.raises(UserError, match="no pretrained weights") as caught:
        find_weights(REQUEST, [("cache", source)], say=lambda _: None)
    assert [record.tag for record in source.asked[0].records] == ["v1"]
    assert "model=net.v2: these weights of the same network are at hand" in str(caught.value)


def test_find_names_every_place_and_three_ways_on():
    with pytest.raises(UserError) as caught:
        find_weights(REQUEST, [("one", Source("/a", "/b")), ("hub", Source("https://x.test"))], say=lambda _: None)
    text = str(caught.value)
    for words in (
        "x/net (v1)",
        "one: /a",
        "one: /b",
        "hub: https://x.test",
        "weights=PATH",
        "weights=none",
        "net-v1.pth",
    ):
        assert words in text
    assert caught.value.exit_code == 2


def test_find_says_how_to_fetch_from_a_hub_by_hand():
    with pytest.raises(UserError) as caught:
        find_weights(dataclasses.replace(REQUEST, records=(V2,)), [], say=lambda _: None)
    assert "https://huggingface.co/them/net.v2/resolve/main/model.safetensors" in str(caught.value)
    assert "models--them--net.v2" in str(caught.value)


def test_find_says_when_nothing_is_published():
    with pytest.raises(UserError, match="are published"):
        find_weights(WeightsRequest(SPEC, ()), [("one", Source())], say=lambda _: None)


def test_find_leaves_the_network_random_only_when_asked():
    said: list[str] = []
    assert find_weights(REQUEST, [("one", Source("/a"))], choice="none", say=said.append) is None
    assert "random" in said[0]


def test_find_takes_a_path_without_asking_anybody(tmp_path):
    torch.save(Net().state_dict(), tmp_path / "own.pth")
    source = Source()
    hit = find_weights(REQUEST, [("one", source)], choice=str(tmp_path / "own.pth"), say=lambda _: None)
    assert (hit.source, source.asked) == ("file", [])
    with pytest.raises(UserError, match="no file or folder"):
        find_weights(REQUEST, [], choice="nowhere.pth", say=lambda _: None)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_load_reads_values_of_another_precision(file, kind):
    source = {k: v.to(kind) if v.is_floating_point() else v for k, v in Net().state_dict().items()}
    target = Net()
    load_weights(model_of(target), found(file, source), head_is_new=False)
    assert target.conv.weight.dtype == torch.float32
    torch.testing.assert_close(target.conv.weight.detach(), source["conv.weight"].float())


def test_load_keeps_the_layout_and_the_identity_of_parameters(file):
    target = Net().to(memory_format=torch.channels_last)
    before = target.conv.weight
    load_weights(model_of(target), found(file, Net().state_dict()), head_is_new=True)
    assert target.conv.weight is before
    assert target.conv.weight.is_contiguous(memory_format=torch.channels_last)
    assert target.conv.weight.requires_grad
