"""Pages of docs/hooks are current and complete, and every example on them does what it says."""

from __future__ import annotations

import importlib.util
import inspect
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from zoo.config import schema
from zoo.contracts.data import DataFacts, Task
from zoo.contracts.model import ModelSpec, NetworkFacts, WeightsRequest
from zoo.contracts.tracking import TrackedRun
from zoo.errors import UserError
from zoo.imaging.preprocess import Preprocess
from zoo.kinds import KINDS
from zoo.plugins import Plugins, load_plugins
from zoo.registry import Entry

DOCS = Path(__file__).parents[2] / "docs"
EXAMPLES = DOCS / "hooks" / "examples"
FIRST_LINE = re.compile(r'# (\w+)(/__init__)?\.py; in pyproject\.toml: \[.*"zoo\.v1"\]  (\w+) = "(\w+)"')
UNLISTED = {"classes", "channels", "example", "network"}
"""Facts of zoo's own networks that only count their parameters, and those of every kind (docs/hooks/README.md)."""


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """docs/write_hook_pages.py as a module."""
    spec = importlib.util.spec_from_file_location("write_hook_pages", DOCS / "write_hook_pages.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their own module up
    sys.path.insert(0, str(DOCS))  # as for a script there
    spec.loader.exec_module(module)
    yield module
    sys.path.remove(str(DOCS))
    del sys.modules[spec.name]


def test_pages_are_current(writer: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert writer.main(["--check"]) == 0, capsys.readouterr().out


def test_pages_that_are_not_current_are_named_and_then_written(
    writer: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(DOCS / "hooks", tmp_path / "hooks")
    monkeypatch.setattr(writer, "FOLDER", tmp_path / "hooks")
    (tmp_path / "hooks" / "register_losses.md").write_text("old", encoding="utf-8")
    (tmp_path / "hooks" / "README.md").unlink()
    (tmp_path / "hooks" / "register_nothing.md").write_text("", encoding="utf-8")
    assert writer.main(["--check"]) == 1
    said = capsys.readouterr().out
    assert all(name in said for name in ("register_losses.md", "README.md", "register_nothing.md"))
    assert "register_heads" not in said
    assert writer.main([]) == 0
    assert writer.main(["--check"]) == 0
    assert not (tmp_path / "hooks" / "register_nothing.md").exists()


def test_every_hook_has_a_page_and_every_kind_a_hook(writer: ModuleType) -> None:
    hooks = {hook.name for hook in writer.hooks()}
    assert {f"register_{kind.hook}" for kind in KINDS} <= hooks
    assert hooks == {file.stem for file in EXAMPLES.glob("*.py")} == set(DOES)
    assert len(hooks) >= 17


def test_docstrings_hold_what_a_page_needs(writer: ModuleType) -> None:
    for hook in writer.hooks():
        assert {"Built", "Called", "Forbidden"} <= set(hook.sections), hook.name
        assert all(any(line.strip() for line in lines) for lines in hook.sections.values()), hook.name
        if hook.kind is not None and hook.kind.name != "command":
            assert "Shapes" in hook.sections, hook.name
        supplied = writer.items(hook.sections.get("Supplied", []))
        assert set(supplied) == (hook.kind.supplied if hook.kind is not None else set()), hook.name
        words = inspect.getdoc(hook.function) or ""
        for name in re.findall(r"`(zoo\.[a-z_.]+\.\w+)`", words):
            module, _, attribute = name.rpartition(".")
            assert hasattr(importlib.import_module(module), attribute), name


def test_every_fact_that_zoos_own_components_state_is_explained(writer: ModuleType) -> None:
    registry = load_plugins(only=[]).registry
    for hook in writer.hooks():
        if hook.kind is None:
            continue
        assert all(f"`{fact}" in writer.index() for fact in ("example", "network"))
        explained = " ".join(hook.sections.get("Facts", []))
        stated = {fact for entry in registry.entries(hook.kind.name) for fact in entry.facts} - UNLISTED
        assert {fact for fact in stated if not re.search(rf"\b{fact}\b", explained)} == set(), hook.name


def test_pages_show_the_contract_as_it_stands_in_the_code(writer: ModuleType) -> None:
    from zoo.contracts.training import Regularizer

    page = writer.pages()["register_regularizers.md"]
    methods = [name for name, value in vars(Regularizer).items() if inspect.isfunction(value) and name[0] != "_"]
    assert len(methods) >= 10
    for name in methods:
        assert f"def {name}(self" in page
    assert "def change_gradients(self, parameters: Sequence[nn.Parameter], moment: Moment) -> None: ..." in page
    assert "| `step` | `int` | Steps done before this one. |" in page
    assert "| `lr` | `auto` | float above 0 or 'auto' or 'measure' |" in writer.pages()["register_optimizers.md"]


@pytest.mark.parametrize("example", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.stem)
def test_example_is_short_and_on_its_page(example: Path, writer: ModuleType) -> None:
    text = example.read_text(encoding="utf-8")
    assert len([line for line in text.splitlines() if line.strip()]) <= 24
    assert text in writer.pages()[f"{example.stem}.md"]
    assert FIRST_LINE.match(text)


@pytest.fixture
def load_example(make_distribution: Callable[..., Path]) -> Callable[[str], tuple[Plugins, str]]:
    """`load_example("register_losses")`: installs the example of a hook; all plugins, and its namespace."""

    def load(hook: str) -> tuple[Plugins, str]:
        text = (EXAMPLES / f"{hook}.py").read_text(encoding="utf-8")
        module, package, namespace, target = FIRST_LINE.match(text).groups()
        assert target == module
        modules = {f"{module}.__init__": text, f"{module}.conf.__init__": ""} if package else {module: text}
        site = make_distribution(f"zoo-{namespace}", points={namespace: target}, modules=modules)
        extra = EXAMPLES / f"{hook}.yaml"
        if extra.exists():
            content = extra.read_text(encoding="utf-8")
            path = site / re.search(r"# (\S+\.yaml);", content).group(1)
            path.parent.mkdir(parents=True)
            path.write_text(content, encoding="utf-8")
        return load_plugins(strict=True), namespace

    return load


def the_component(plugins: Plugins, namespace: str, kind: str) -> Entry:
    (entry,) = [entry for entry in plugins.registry.entries(kind) if entry.origin.namespace == namespace]
    return entry


def check_dataset(entry: Entry, **_: Any) -> None:
    source = entry.build(images=6)
    samples = source.samples()
    assert [sample.labels[0] for sample in samples] == ["above", "beside"] * 3
    for sample in samples:
        image = source.read(sample.key)
        assert (image.shape, image.dtype) == ((16, 16, 3), np.uint8)
        same = image[:, 0] if sample.labels[0] == "above" else image[0, :]
        assert (same[0] != same[-1]).any()


def check_augmentation(entry: Entry, **_: Any) -> None:
    image = np.full((4, 4, 3), 10, np.uint8)
    assert (entry.build(p=1.0)(image, np.random.default_rng(0)) == 245).all()
    assert (entry.build(p=0.0)(image, np.random.default_rng(0)) == 10).all()


def check_model(entry: Entry, **_: Any) -> None:
    import torch

    from zoo.models.build import check_stages

    model = check_stages(entry.build(classes=5, channels=1, image_size=None, width=8))
    assert model.module(torch.zeros(2, 1, 32, 32)).shape == (2, 5)
    assert model.head.in_features == model.spec.feature_dim == 8


def check_weights(entry: Entry, *, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, **_: Any) -> None:
    import torch
    from safetensors.torch import save_file

    preprocess = Preprocess(32, (0.5,), (0.5,))
    spec = ModelSpec("zoo/some", "zoo", "some", classifier="head", feature_dim=1, stages=(), preprocess=preprocess)
    request, source = WeightsRequest(spec, ()), entry.build()
    assert (source.find(request), source.places(request)) == (None, [])
    monkeypatch.setenv("SHELF", str(tmp_path))
    save_file({"w": torch.ones(2)}, tmp_path / "some.safetensors")
    assert source.locate(request) == tmp_path / "some.safetensors"
    assert source.find(request).tensors["w"].tolist() == [1.0, 1.0]


def check_head(entry: Entry, **_: Any) -> None:
    import torch

    head = entry.build(features=6, classes=3).eval()
    assert head(torch.zeros(2, 6)).shape == (2, 3)


def check_regularizer(entry: Entry, **_: Any) -> None:
    import torch

    head = torch.nn.Linear(2, 1)
    torch.nn.init.constant_(head.weight, 2.0)
    torch.nn.init.zeros_(head.bias)
    penalty = entry.build(strength=0.5).penalty(SimpleNamespace(head=head))
    assert penalty.item() == pytest.approx(4.0)
    penalty.backward()
    assert head.weight.grad.tolist() == [[2.0, 2.0]]


def check_optimizer(entry: Entry, **_: Any) -> None:
    import torch

    weight = torch.nn.Parameter(torch.tensor([1.0, -1.0]))
    optimizer = entry.build(params=[{"params": [weight], "lr": 0.1}], lr=0.1)
    weight.grad = torch.tensor([3.0, -0.01])
    optimizer.step()
    assert weight.detach().tolist() == pytest.approx([0.9, -0.9], abs=1e-4)
    assert entry.facts["lr"] > 0


def check_schedule(entry: Entry, **_: Any) -> None:
    schedule = entry.build(at=0.6)
    assert [schedule(share) for share in (0.0, 0.6, 0.8, 1.0)] == pytest.approx([1.0, 1.0, 0.5, 0.0])


def check_loss(entry: Entry, **_: Any) -> None:
    import torch

    losses = entry.build(share=0.2)(torch.tensor([[20.0, 0.0], [0.0, 0.0]]), torch.tensor([0, 1]))
    assert losses.tolist() == pytest.approx([2.0, np.log(2.0)], rel=1e-4)


def check_strategy(entry: Entry, **_: Any) -> None:
    facts = DataFacts(
        name="a",
        classes=2,
        task=Task.SINGLE_LABEL,
        channels=3,
        train_images=9,
        smallest_class=4,
        median_class=4,
        median_side_px=99,
    )
    network = NetworkFacts(
        name="a/b", stages=("a", "b", "c"), parameters=9, input_px=32, norm_layers=0, linear_layers=0
    )
    plan = entry.build(epochs=2).plan(facts, network=network, pretrained=True)
    (phase,) = plan.phases
    assert (phase.kind, phase.epochs, phase.frozen) == ("train", 2, (0, 1))


def check_callback(entry: Entry, *, tmp_path: Path, **_: Any) -> None:
    callback = entry.build(file="enough")
    callback.on_run_start(SimpleNamespace(run_dir=tmp_path))
    assert callback.on_validation_end(None) is None
    (tmp_path / "enough").touch()
    assert "enough is there" in callback.on_validation_end(None).reason


def check_tracker(entry: Entry, *, tmp_path: Path, **_: Any) -> None:
    tracker = entry.build()
    tracker.start(TrackedRun("run", tmp_path, {}, folder=tmp_path / "trackers" / "lines"))
    tracker.log({"train/loss": 0.5}, step=3)
    tracker.finish({"test/accuracy": 1.0})
    lines = (tmp_path / "trackers" / "lines" / "lines.jsonl").read_text(encoding="utf-8").splitlines()
    assert lines == ['{"step": 3, "train/loss": 0.5}', '{"step": -1, "test/accuracy": 1.0}']


def check_importer(entry: Entry, *, tmp_path: Path, **_: Any) -> None:
    np.save(tmp_path / "w.npy", np.arange(6.0).reshape(2, 3))
    importer = entry.build()
    assert importer.reads(tmp_path / "w.npy")
    (layer,) = importer.read(tmp_path / "w.npy").layers
    assert layer.kind == "dense"
    assert layer.tensors["weight"].tolist() == [[0, 1, 2], [3, 4, 5]]
    np.save(tmp_path / "code.npy", np.array([object()]), allow_pickle=True)
    with pytest.raises(ValueError, match="pickle"):
        importer.read(tmp_path / "code.npy")


def check_command(entry: Entry, *, tmp_path: Path, capsys: pytest.CaptureFixture[str], **_: Any) -> None:
    from zoo.cli import main

    (tmp_path / "runs" / "first").mkdir(parents=True)
    (tmp_path / "runs" / "first" / "record.json").touch()
    assert main(["runs", str(tmp_path / "runs")]) == 0
    assert capsys.readouterr().out == f"{tmp_path}/runs/first\n"
    assert main(["runs"]) == 2
    with pytest.raises(UserError):
        entry.load()([])


def check_config_dir(_: None, *, plugins: Plugins, **__: Any) -> None:
    from zoo.config.compose import configure

    config = configure(["model=lenet5", "experiment=gentle"], plugins, source_for=str)
    assert config.optimizer.options["momentum"] == 0.8
    assert config.schedule.name == "zoo/linear"


def check_wrapper(_: None, *, plugins: Plugins, **__: Any) -> None:
    plain, wrapped = (plugins.registry.get("schedule", name).build() for name in ("linear", "cosine"))
    assert plain(1.0) == 0.0
    assert wrapped(1.0) == 0.1
    assert wrapped(0.0) == 1.0


def check_config_default(_: None, *, plugins: Plugins, **__: Any) -> None:
    from zoo.config.compose import configure

    config = configure(["model=lenet5"], plugins, source_for=str)
    assert config.schedule.name == "zoo/linear"
    assert config.train.patience == 3
    assert configure(["model=lenet5", "train.patience=5"], plugins, source_for=str).train.patience == 5


DOES: dict[str, Callable[..., None]] = {
    "register_datasets": check_dataset,
    "register_augmentations": check_augmentation,
    "register_models": check_model,
    "register_weights": check_weights,
    "register_heads": check_head,
    "register_regularizers": check_regularizer,
    "register_optimizers": check_optimizer,
    "register_schedules": check_schedule,
    "register_losses": check_loss,
    "register_strategies": check_strategy,
    "register_callbacks": check_callback,
    "register_trackers": check_tracker,
    "register_importers": check_importer,
    "register_commands": check_command,
    "register_config_dirs": check_config_dir,
    "register_wrappers": check_wrapper,
    "register_config_defaults": check_config_default,
}


@pytest.mark.parametrize("hook", DOES)
def test_example_does_what_it_says(
    hook: str,
    load_example: Callable[[str], tuple[Plugins, str]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    plugins, namespace = load_example(hook)
    kinds = {f"register_{kind.hook}": kind.name for kind in KINDS}
    entry = the_component(plugins, namespace, kinds[hook]) if hook in kinds else None
    if entry is not None and entry.kind != "command":
        for option in schema.options(entry):
            assert option.annotation is not inspect.Parameter.empty, option.name
            assert not option.required or option.name in ("lr",)
    DOES[hook](entry, plugins=plugins, tmp_path=tmp_path, monkeypatch=monkeypatch, capsys=capsys)
