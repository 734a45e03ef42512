"""In what forward passes compute, and how long they take: measured on every device, and never made up."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from zoo.assembly import precision
from zoo.assembly.precision import PrecisionChoice
from zoo.assembly.session import Session
from zoo.config.compose import configure
from zoo.plugins import load_plugins
from zoo.training.devices import Speeds


@pytest.fixture(scope="module")
def plugins():
    return load_plugins(only=[])


@pytest.fixture
def choice_on(plugins, tmp_path, monkeypatch):
    """A choice on a device that need not be there; `timed` fills with what was measured of bfloat16."""
    timed: list[bool] = []
    zeros = torch.zeros

    def measure(module, images, *, train, bf16, repeats):
        timed.append(bf16)
        return Speeds(0.8, 0.2 if bf16 else None)

    monkeypatch.setattr(precision, "measure_speeds", measure)
    monkeypatch.setattr(torch, "zeros", lambda *shape, device=None: zeros(*shape))

    def choice(device: str, *words: str) -> PrecisionChoice:
        said = ["model=lenet5", f"data.cache_dir={tmp_path}", *words]
        config = configure(said, plugins, source_for=lambda path: "folder")
        model = plugins.registry.get("model", "lenet5").build(classes=3, channels=1, image_size=32)
        accelerator = SimpleNamespace(device=torch.device(device), num_processes=1, is_main_process=True)
        parts = dict.fromkeys(("console", "folder", "record"))
        return PrecisionChoice(Session(config, plugins, accelerator=accelerator, **parts), model)

    return choice, timed


@pytest.mark.parametrize("real", [True, False])
def test_a_gpu_is_measured_like_any_device_and_bf16_counts_where_it_has_it(choice_on, monkeypatch, real):
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda including_emulation=True: including_emulation or real)
    choice, timed = choice_on
    chosen = choice("cuda")
    assert (chosen.bf16(train=True), chosen.bf16(train=False)) == (real, real)
    assert timed == [real, real]
    assert chosen.eval_s_per_image() == pytest.approx(0.1)
    assert choice("cuda").bf16(train=True) is real  # remembered
    assert len(timed) == 2


@pytest.mark.parametrize("given", ["fp32", "bf16"])
def test_time_is_measured_in_float32_where_the_precision_was_given(choice_on, given):
    choice, timed = choice_on
    chosen = choice("cpu", f"train.precision={given}")
    assert chosen.bf16(train=False) is (given == "bf16")
    assert timed == []
    assert chosen.eval_s_per_image() == chosen.eval_s_per_image() == pytest.approx(0.1)
    assert timed == [False]
    assert choice("cpu").bf16(train=False)  # what was measured without bfloat16 is no answer here
    assert timed == [False, True]


@pytest.mark.parametrize(("device", "version"), [("cuda", 2), ("mps", 2), ("cpu", None)])
def test_what_earlier_versions_remembered_of_accelerators_is_not_read(choice_on, monkeypatch, device, version):
    choice, _ = choice_on
    monkeypatch.setattr(precision, "bank_key", lambda facts: f"v{facts.get('version')}")
    assert choice(device)._speeds_file("train_precision").name == f"v{version}-train_precision.json"
