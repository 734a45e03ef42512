"""The provider of timm's optimizers: names, options with the class's own defaults, and that each one steps."""

from __future__ import annotations

import copy
import inspect
import typing
from typing import Any

import pytest
import torch
from timm.optim import get_optimizer_info, list_optimizers
from torch import nn
from torch.nn import functional
from zoo_plugins import timm_optimizer_provider as provider

from zoo.errors import UserError
from zoo.registry import Entry, Origin

# Kron is left to the slow tests: it compiles itself at its first step, which takes half a minute.
DOZEN = (
    "adafactor",
    "adamp",
    "adamw",
    "adan",
    "cadamw",
    "lamb",
    "lion",
    "madgrad",
    "muon",
    "nadamw",
    "rmsproptf",
    "sgd",
)
TIMM = provider.TimmOptimizers()


def entry(name: str) -> Entry:
    offer = TIMM.offer(name)
    assert offer is not None
    return Entry("optimizer", name, offer, Origin("timm.optimizers", "zoo", "0"))


def defaults(name: str) -> dict[str, Any]:
    return {p.name: p.default for p in entry(name).parameters()}


def every_name() -> list[Any]:
    return [pytest.param(name, marks=() if name in DOZEN else pytest.mark.slow) for name in TIMM.names()]


def test_names_are_timms_less_those_that_cannot_step_here():
    names = TIMM.names()
    assert names == sorted(names)
    assert len(names) >= 85
    assert set(DOZEN) <= set(names)
    left_out = set(list_optimizers()) - set(names)
    assert all(name.startswith(("bnb", "fused")) or name == "adahessian" for name in left_out)
    assert len(left_out) == 16


@pytest.mark.parametrize("name", ["bnbadam", "fusedlamb", "adahessian", "nonsense", "AdamW", ""])
def test_offer_of_an_unknown_name_is_none(name):
    assert TIMM.offer(name) is None


def test_every_offer_has_summary_source_rate_and_plain_options():
    """Read from the live library, so that a new version of timm is seen through here."""
    for name in TIMM.names():
        offer = TIMM.offer(name)
        assert offer.summary
        assert offer.source
        assert 0 < offer.facts["lr"] <= 1, name
        for option in entry(name).parameters():
            assert option.kind is option.KEYWORD_ONLY
            assert (option.default is option.empty) == (option.name == "lr"), (name, option)
            assert option.annotation is not option.empty
            words = str(option.annotation)
            assert not any(word in words for word in ("Tensor", "dtype", "Callable")), (name, option)
            if isinstance(option.default, float):
                assert float in (option.annotation, *typing.get_args(option.annotation))


def test_every_class_has_a_paper_and_a_rate_of_its_family():
    """A class that a new timm brings falls back to its module's name; this says that the table wants a line."""
    classes = {get_optimizer_info(name).opt_class.__name__ for name in TIMM.names()}
    assert classes == set(provider.FAMILIES)


def test_source_names_the_papers_of_a_variants_switches():
    assert TIMM.offer("adamw").source == "arXiv:1711.05101 (Loshchilov and Hutter 2017)"
    assert TIMM.offer("cadamw").source.endswith("; arXiv:2411.16085 (Liang et al. 2024)")
    assert "2507.11005" in TIMM.offer("adamuon").source
    assert "2507.11005" not in TIMM.offer("muon").source


def test_class_unknown_to_the_table_is_offered_all_the_same(monkeypatch):
    monkeypatch.setattr(provider, "FAMILIES", {})
    offer = TIMM.offer("lion")
    assert offer.source == "timm's timm.optim.lion"
    assert offer.facts == {"lr": provider.ADAM_RATE}


def test_classes_own_defaults_are_kept():
    """timm's factory would make these 0.0, 0.0 and 0.9."""
    assert defaults("adamw")["weight_decay"] == 0.01
    assert defaults("lamb")["weight_decay"] == 0.01
    assert defaults("muon")["momentum"] == 0.95
    assert defaults("lion")["betas"] == (0.9, 0.99)
    assert defaults("adan")["betas"] == (0.98, 0.92, 0.99)


def test_sgd_and_lars_have_the_momentum_that_nesterov_needs():
    for name in ("sgd", "nesterov", "momentum", "sgdw", "sgdp", "nlars"):
        assert defaults(name)["momentum"] == 0.9
    assert defaults("rmsprop")["momentum"] == 0.0


def test_what_makes_a_name_is_fixed_and_numbers_stay_options():
    offer = TIMM.offer("cadamw")
    assert offer.bound == {"timm_name": "cadamw", "caution": True}
    assert "caution" not in defaults("cadamw")
    assert "caution" in defaults("adamwlegacy")
    assert defaults("adamp")["wd_ratio"] == get_optimizer_info("adamp").defaults["wd_ratio"] == 0.01
    assert defaults("rmsprop")["alpha"] == 0.9
    assert defaults("cadafactor")["betas"] == (0.9, 0.999)


@pytest.mark.parametrize("name", DOZEN)
def test_hidden_arguments_are_no_options(name):
    assert not provider.HIDDEN & set(defaults(name))
    assert "params" not in defaults(name)


def test_built_optimizer_holds_the_shown_defaults():
    """What help shows is what runs, for every option that the class keeps in its parameter groups."""
    seen = 0
    for name in TIMM.names():
        shown = defaults(name)
        group = entry(name).build(params=[nn.Parameter(torch.ones(2, 2))], lr=0.01).param_groups[0]
        for key, value in shown.items():
            if key in group and key != "lr" and value is not None:  # None: the class works it out
                assert group[key] == value, (name, key)
                seen += 1
        for key, value in provider._fixed(name).items():
            if key in group:
                assert group[key] == value, (name, key)
        assert group["lr"] == 0.01
    assert seen > 300


@pytest.mark.parametrize("name", DOZEN)
def test_build_passes_every_shown_option_on(name):
    """All options spelled out, as a composed configuration hands them over, give the same as none."""
    weights = []
    for options in ({}, {key: value for key, value in defaults(name).items() if key != "lr"}):
        torch.manual_seed(0)
        net = nn.Linear(6, 4)
        optimizer = entry(name).build(params=net.parameters(), lr=1e-3, **options)
        functional.cross_entropy(net(torch.ones(3, 6)), torch.arange(3)).backward()
        optimizer.step()
        weights.append(net.weight.detach().clone())
    assert weights[0].equal(weights[1])


class Small(nn.Module):
    """A convolution, a normalisation and a head: parameters of one, two and four dimensions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.norm, self.fc = nn.Conv2d(1, 8, 3), nn.GroupNorm(2, 8), nn.Linear(8, 4)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.norm(self.conv(images))).mean(dim=(2, 3)))


def problem() -> tuple[torch.Tensor, torch.Tensor]:
    """Four kinds of stripes with noise: a task that a small network learns in some tens of steps."""
    generator = torch.Generator().manual_seed(0)
    images = 0.3 * torch.randn(32, 1, 8, 8, generator=generator)
    targets = torch.arange(32) % 4
    images[targets == 0, :, ::2] += 1
    images[targets == 1, :, :, ::2] += 1
    images[targets == 2] += torch.eye(8)
    return images, targets


def step(net: nn.Module, optimizer: torch.optim.Optimizer, images: torch.Tensor, targets: torch.Tensor) -> float:
    optimizer.zero_grad()
    loss = functional.cross_entropy(net(images), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize("name", every_name())
def test_optimizer_lowers_the_loss_at_its_own_rate(name):
    images, targets = problem()
    torch.manual_seed(0)
    net = Small()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    optimizer = entry(name).build(params=net.parameters(), lr=TIMM.offer(name).facts["lr"])
    losses = [step(net, optimizer, images, targets) for _ in range(15)]
    assert all(value.isfinite().all() for value in net.state_dict().values())
    assert all(not value.equal(before[key]) for key, value in net.state_dict().items())
    assert losses[-1] < losses[0]


@pytest.mark.parametrize("name", every_name())
def test_optimizer_goes_on_from_its_state_to_the_bit(name):
    """Else a resumed run would end elsewhere. Draws come from torch's seed, which a run sets at every step."""
    images, targets = problem()

    def advance(net: nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> None:
        for number in steps:
            torch.manual_seed(number)
            step(net, optimizer, images, targets)

    torch.manual_seed(0)
    whole = Small()
    part = copy.deepcopy(whole)
    build = entry(name).build
    advance(whole, build(params=whole.parameters(), lr=1e-3), range(6))
    first = build(params=part.parameters(), lr=1e-3)
    advance(part, first, range(3))
    resumed = copy.deepcopy(part)
    second = build(params=resumed.parameters(), lr=1e-3)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    advance(resumed, second, range(3, 6))
    for (key, one), other in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert one.equal(other), key


def test_build_takes_groups_with_rates_of_their_own():
    net = Small()
    groups = [{"params": net.conv.parameters(), "lr": 1e-4}, {"params": net.fc.parameters()}]
    optimizer = entry("lamb").build(params=groups, lr=1e-3)
    assert [group["lr"] for group in optimizer.param_groups] == [1e-4, 1e-3]


def test_build_refuses_values_in_the_optimizers_words():
    with pytest.raises(UserError, match=r"(?i)beta"):
        entry("lion").build(params=Small().parameters(), lr=1e-3, betas=(1.5, 0.9))
    with pytest.raises(UserError) as caught:
        entry("lion").build(params=Small().parameters(), lr=0)
    assert caught.value.where == "optimizer.lr"


@pytest.mark.parametrize(
    ("annotation", "default", "kept"),
    [
        (float | torch.Tensor, 0.1, float),
        (tuple[float | torch.Tensor, float | torch.Tensor], (0.9, 0.99), tuple[float, float]),
        (typing.Optional[float], None, typing.Optional[float]),  # noqa: UP045
        (typing.Union[typing.Callable, float, None], None, typing.Optional[float]),  # noqa: UP007, UP045
        (typing.Optional[torch.dtype], None, None),  # noqa: UP045
        (typing.Union[str, torch.dtype], torch.bfloat16, None),  # noqa: UP007
        (inspect.Parameter.empty, 0, float),
        (inspect.Parameter.empty, False, bool),
        (inspect.Parameter.empty, (0.9, 0.999), tuple[float, float]),
        (inspect.Parameter.empty, None, None),
        (typing.Literal["a", "b"], "a", typing.Literal["a", "b"]),
        (torch.Tensor, 0.5, None),
    ],
)
def test_plain_keeps_what_a_configuration_can_hold(annotation, default, kept):
    assert provider._plain(annotation, default) == kept
