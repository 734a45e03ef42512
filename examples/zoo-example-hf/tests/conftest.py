"""Tiny repositories as the hub would have them, and a client's cache that tests share with nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

COMMIT = "a" * 40
CLASSES = ("bee", "cat", "dog")


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network: what is not made here is not to be had."""
    cache = tmp_path / "hf-cache"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    return cache


@pytest.fixture
def save_network(tmp_path: Path) -> Callable[[str], Path]:
    """`save_network("vit")`: a tiny network of that kind with random values, as `save_pretrained` leaves it."""
    import torch
    import transformers as hf

    labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}

    def save(kind: str) -> Path:
        folder = tmp_path / kind
        if kind == "vit":
            sizes = {"hidden_size": 16, "num_hidden_layers": 12, "num_attention_heads": 2, "intermediate_size": 32}
            config = hf.ViTConfig(image_size=32, patch_size=8, **sizes, **labels)
            processor = hf.ViTImageProcessor(
                size={"height": 32, "width": 32}, image_mean=[0.5] * 3, image_std=[0.5] * 3
            )
        elif kind == "convnext":
            config = hf.ConvNextConfig(hidden_sizes=[8, 8, 16, 16], depths=[1, 1, 2, 1], image_size=32, **labels)
            processor = hf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875)
        else:
            sizes = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 2, 1]}
            config = hf.ResNetConfig(layer_type="basic", **sizes, **labels)
            processor = hf.ConvNextImageProcessor(size={"shortest_edge": 32}, crop_pct=0.875)
        torch.manual_seed(3)
        network = hf.AutoModelForImageClassification.from_config(config)
        for name, buffer in network.named_buffers():  # statistics as after training
            if name.endswith("running_var"):
                buffer.uniform_(0.5, 1.5)
        network.save_pretrained(folder)
        processor.save_pretrained(folder)
        return folder

    return save


@pytest.fixture
def put_in_cache(own_cache: Path) -> Callable[[Path, str], Path]:
    """`put_in_cache(folder, "me/tiny")`: as if the client had downloaded it."""

    def put(folder: Path, address: str) -> Path:
        place = own_cache / f"models--{address.replace('/', '--')}"
        (place / "refs").mkdir(parents=True)
        (place / "refs" / "main").write_text(COMMIT, encoding="utf-8")
        shutil.copytree(folder, place / "snapshots" / COMMIT)
        return place / "snapshots" / COMMIT

    return put
