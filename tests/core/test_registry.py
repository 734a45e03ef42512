from __future__ import annotations

from typing import Literal

import pytest

from zoo.errors import PluginError, UserError
from zoo.registry import Entry, FailedPlugin, LazyProvider, Offer, Origin, Registry


def origin(plugin: str, distribution: str | None = None) -> Origin:
    first_party = plugin.partition(".")[0] in ("zoo", "torch", "timm", "torchvision")
    return Origin(plugin, distribution or ("zoo" if first_party else plugin.partition(".")[0]), "1.0")


def entry(name: str, plugin: str, *, kind: str = "optimizer", target: str = "collections:OrderedDict") -> Entry:
    return Entry(kind, name, Offer(target, f"{name} of {plugin}"), origin(plugin))


def registry_of(*entries: Entry) -> Registry:
    registry = Registry()
    for one in entries:
        registry.add([one])
    return registry


class CountingProvider:
    """A library of two names that counts how often it is asked."""

    asked = 0

    def names(self) -> list[str]:
        return ["lamb", "adamw"]

    def offer(self, name: str) -> Offer | None:
        CountingProvider.asked += 1
        if name == "lamb_old":
            return Offer("collections:OrderedDict", "lamb of the library", name="lamb")
        return Offer("collections:OrderedDict", f"{name} of the library") if name in self.names() else None


class AddressProvider:
    """Reads addresses; one of them is not to be had."""

    def names(self) -> list[str]:
        return []

    def offer(self, name: str) -> Offer | None:
        if name == "hf:gone":
            raise UserError(f"{name} is not to be had")
        return Offer("collections:OrderedDict", f"{name} of the hub")


class BrokenProvider:
    """A library that fails whenever it is asked."""

    def names(self) -> list[str]:
        raise RuntimeError("half installed")

    def offer(self, name: str) -> Offer | None:
        raise RuntimeError("half installed")


def provider(plugin: str, attribute: str, kind: str = "optimizer") -> LazyProvider:
    return LazyProvider(kind, f"{__name__}:{attribute}", "a library", origin(plugin))


@pytest.fixture(autouse=True)
def fresh_count() -> None:
    CountingProvider.asked = 0


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (2, 0, 3, 1)])
def test_bare_name_belongs_to_the_ranking_first_party(order: tuple[int, ...]) -> None:
    owners = [entry("sgd", "zoo.a"), entry("sgd", "torch.a"), entry("sgd", "timm.a"), entry("sgd", "torchvision.a")]
    registry = registry_of(*(owners[i] for i in order))

    assert registry.get("optimizer", "sgd").full_name == "zoo/sgd"
    assert [e.full_name for e in registry.owners("optimizer", "sgd")] == [
        "zoo/sgd",
        "torch/sgd",
        "timm/sgd",
        "torchvision/sgd",
    ]
    assert registry.get("optimizer", "timm/sgd").origin.plugin == "timm.a"


def test_third_party_clash_with_first_party_is_reached_by_its_full_name_only() -> None:
    registry = registry_of(entry("sgd", "acme.opt"), entry("sgd", "torch.optimizers"))

    assert registry.get("optimizer", "sgd").full_name == "torch/sgd"
    assert registry.get("optimizer", "acme/sgd").origin.plugin == "acme.opt"


def test_clash_of_two_third_parties_is_an_error_that_lists_the_full_names() -> None:
    registry = registry_of(entry("lion", "acme.opt"), entry("lion", "bell.opt"))

    with pytest.raises(UserError) as raised:
        registry.get("optimizer", "lion")
    assert raised.value.allowed == "acme/lion, bell/lion"
    assert registry.get("optimizer", "bell/lion").origin.plugin == "bell.opt"
    assert registry.has("optimizer", "lion")


def test_same_full_name_twice_is_refused_and_nothing_of_the_second_is_taken() -> None:
    registry = registry_of(entry("lion", "acme.one"))

    with pytest.raises(ValueError, match="acme/lion"):
        registry.add([entry("tiger", "acme.two"), entry("lion", "acme.two")])
    assert not registry.has("optimizer", "tiger")


def test_kinds_do_not_share_names() -> None:
    registry = registry_of(entry("auto", "zoo.a", kind="strategy"), entry("auto", "acme.a", kind="loss"))

    assert registry.get("strategy", "auto").full_name == "zoo/auto"
    assert registry.get("loss", "auto").full_name == "acme/auto"
    assert not registry.has("optimizer", "auto")


def test_unknown_name_lists_the_nearest_and_quotes_failed_plugins() -> None:
    registry = registry_of(entry("sgd", "torch.a"), entry("adam", "torch.a"))
    registry.failed.append(FailedPlugin(origin("acme.opt"), "ImportError: no module named 'acme'"))

    with pytest.raises(UserError) as raised:
        registry.get("optimizer", "sdg")
    assert raised.value.what == "unknown optimizer 'sdg'"
    assert raised.value.where == "optimizer=sdg"
    assert str(raised.value.allowed).startswith("sgd")
    assert any("acme.opt" in way and "no module named 'acme'" in way for way in raised.value.do)


def test_unknown_full_name_offers_other_owners_of_the_bare_name() -> None:
    registry = registry_of(entry("sgd", "torch.a"))

    with pytest.raises(UserError) as raised:
        registry.get("optimizer", "timm/sgd")
    assert "torch/sgd" in str(raised.value.allowed)


def test_provider_is_not_asked_when_a_ranking_component_has_the_name() -> None:
    registry = registry_of(entry("adamw", "torch.a"))
    registry.add([], [provider("timm.a", "CountingProvider")])

    assert registry.get("optimizer", "adamw").full_name == "torch/adamw"
    assert registry.has("optimizer", "adamw")
    assert CountingProvider.asked == 0
    assert registry.get("optimizer", "lamb").full_name == "timm/lamb"
    assert registry.get("optimizer", "timm/adamw").full_name == "timm/adamw"
    assert [e.full_name for e in registry.owners("optimizer", "adamw")] == ["torch/adamw", "timm/adamw"]


def test_provider_may_know_a_component_by_an_older_name() -> None:
    registry = Registry()
    registry.add([], [provider("timm.a", "CountingProvider")])

    assert registry.get("optimizer", "lamb_old").full_name == "timm/lamb"
    assert registry.get("optimizer", "timm/lamb_old").name == "lamb"
    assert registry.has("optimizer", "lamb_old")
    assert "lamb_old" not in registry.names("optimizer")


def test_names_join_entries_and_providers() -> None:
    registry = registry_of(entry("sgd", "torch.a"), entry("adamw", "torch.a"))
    registry.add([], [provider("timm.a", "CountingProvider")])

    assert registry.names("optimizer") == ["adamw", "lamb", "sgd"]
    assert [e.full_name for e in registry.entries("optimizer")] == ["torch/adamw", "torch/sgd"]


def test_failing_third_party_provider_is_recorded_and_offers_nothing() -> None:
    registry = registry_of(entry("sgd", "torch.a"))
    registry.add([], [provider("acme.opt", "BrokenProvider")])

    assert registry.names("optimizer") == ["sgd"]
    assert registry.get("optimizer", "sgd").full_name == "torch/sgd"
    with pytest.raises(UserError, match="half installed"):
        registry.get("optimizer", "lion")
    assert len(registry.failed) == 1


def test_an_address_is_asked_of_those_alone_who_read_its_scheme() -> None:
    registry = registry_of(entry("hf:me/lamb", "zoo.a"))
    reader = LazyProvider("optimizer", f"{__name__}:AddressProvider", "addresses", origin("acme.a"), ("hf",))
    registry.add([], [provider("timm.a", "BrokenProvider"), provider("timm.b", "CountingProvider"), reader])

    assert registry.get("optimizer", "hf:me/lamb").full_name == "acme/hf:me/lamb"
    assert not registry.has("optimizer", "ftp:me/lamb")
    assert CountingProvider.asked == 0


def test_what_a_provider_says_of_the_users_input_is_passed_on() -> None:
    registry = Registry()
    registry.add([], [LazyProvider("optimizer", f"{__name__}:AddressProvider", "addresses", origin("acme.a"), ("hf",))])

    with pytest.raises(UserError, match="hf:gone is not to be had"):
        registry.get("optimizer", "hf:gone")
    assert registry.failed == []


@pytest.mark.parametrize("attribute", ["BrokenProvider", "NotThere"])
def test_failing_built_in_provider_names_itself(attribute: str) -> None:
    registry = Registry()
    registry.add([], [provider("timm.a", attribute)])

    with pytest.raises(PluginError, match=r"timm\.a \(zoo 1\.0\)"):
        registry.get("optimizer", "lamb")


def test_entry_that_cannot_be_loaded_names_its_plugin() -> None:
    broken = entry("lion", "acme.opt", target="no_such_module:Lion")

    with pytest.raises(PluginError, match=r"acme/lion.*no_such_module(?s:.*)acme\.opt \(acme 1\.0\)"):
        broken.load()


def component(
    params: object, *, rate: float = 0.1, mode: Literal["a", "b"] = "a", fixed: int = 3, size: int | None = None
) -> tuple[object, ...]:
    """A component whose annotations are text, for `from __future__ import annotations` stands above."""
    return params, rate, mode, fixed, size


def test_parameters_are_the_options_with_evaluated_annotations() -> None:
    found = Entry("optimizer", "x", Offer(f"{__name__}:component", "x", bound={"fixed": 4}), origin("acme.opt"))

    assert {p.name: p.annotation for p in found.parameters()} == {
        "rate": float,
        "mode": Literal["a", "b"],
        "size": int | None,
    }
    assert found.build(params="p", rate=2) == ("p", 2, "a", 4, None)


class Unreadable:
    """Its option has a type that does not exist."""

    def __init__(self, *, depth: NoSuchType = 3) -> None:  # noqa: F821
        self.depth = depth


def test_parameters_that_cannot_be_read_name_the_plugin() -> None:
    found = Entry("head", "x", Offer(f"{__name__}:Unreadable", "x"), origin("acme.head"))

    with pytest.raises(PluginError, match=r"NoSuchType(?s:.*)acme\.head"):
        found.parameters()
