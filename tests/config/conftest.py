"""Configuring without networks: lenet5 keeps timm out, and every path is read as a folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from zoo.config.compose import configure
from zoo.config.run_config import FinetuneConfig
from zoo.plugins import Plugins, load_plugins

Configure = Callable[..., FinetuneConfig]


@pytest.fixture(scope="session")
def plugins() -> Plugins:
    """zoo's own plugins alone."""
    return load_plugins(only=[])


@pytest.fixture
def configured(plugins: Plugins, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Configure:
    """`configured("optimizer=sgd", ...)`, from an empty folder, with a light network unless one is named."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> FinetuneConfig:
        words = list(arguments)
        if not any(word.startswith("model=") for word in words):
            words.append("model=lenet5")
        return configure(words, plugins, source_for=lambda path: "folder")

    return run


@pytest.fixture
def my_conf(tmp_path: Path) -> Callable[[str, str], Path]:
    """`my_conf("experiment/e1", text)` writes a file of the user's own YAML and returns the folder."""

    def write(name: str, text: str) -> Path:
        file = tmp_path / "my conf" / f"{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return tmp_path / "my conf"

    return write
