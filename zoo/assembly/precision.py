"""Whether bf16 pays for this network on this machine: measured once, and remembered."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import platform
from pathlib import Path
from typing import Any

import torch

from zoo.assembly.data import cache_root
from zoo.assembly.session import Session
from zoo.contracts.model import Model
from zoo.errors import UserError
from zoo.features.bank import bank_key
from zoo.files import write_json
from zoo.models.freezing import set_train
from zoo.training.devices import Speeds, all_agree, has_bf16, measure_speeds

_MEASURED_BATCH = 8


class PrecisionChoice:
    """Chooses what forward passes compute in, separately for training and for passes without gradients."""

    def __init__(self, session: Session, model: Model) -> None:
        self.session, self.model = session, model
        self.device = session.accelerator.device

    def bf16(self, *, train: bool) -> bool:
        """Whether to compute in bfloat16: as told, or measured once on this network and kept in the record."""
        precision = self.session.config.train.precision
        if precision != "auto":
            return precision == "bf16"
        key = "train_precision" if train else "eval_precision"
        if key not in self.session.measured:
            self.session.measured[key] = self._speeds(key, train=train, bf16=has_bf16(self.device)).best
        return bool(self.session.measured[key] == "bf16")

    def eval_s_per_image(self) -> float:
        """Seconds that an image takes without gradients in float32, as scores are computed whatever trains.

        Where the precision was given, nothing else measures: then it is done here, in float32 alone.
        """
        if self.session.config.train.precision == "auto":
            self.bf16(train=False)
            key = "eval_precision"
        else:
            key = "eval_fp32"
            if f"{key}_s" not in self.session.measured:
                self._speeds(key, train=False, bf16=False)
        return float(self.session.measured[f"{key}_s"]["fp32"]) / _MEASURED_BATCH

    def _speeds(self, key: str, *, train: bool, bf16: bool) -> Speeds:
        """As an earlier run on this machine measured them, or measured now; the same in all processes."""
        here = self._remembered(key) or self._measure(train=train, bf16=bf16)
        speeds: Speeds = all_agree([here], self.session.accelerator)[0]
        self._remember(key, speeds)
        seconds = {"fp32": speeds.fp32_s, "bf16": speeds.bf16_s}
        self.session.measured[f"{key}_s"] = {name: None if s is None else round(s, 4) for name, s in seconds.items()}
        return speeds

    def _speeds_file(self, key: str) -> Path:
        """Where the speeds of this network on this machine are kept: a second run must choose as the first did."""
        facts: dict[str, Any] = {
            "model": self.session.config.model.name,
            "options": {name: str(value) for name, value in self.session.config.model.options.items()},
            "preprocess": self.model.spec.preprocess.to_dict(),
            "machine": [platform.node(), platform.machine(), str(self.device), torch.get_num_threads()],
            "torch": torch.__version__,
        }
        if self.device.type != "cpu":  # what earlier versions kept there was no time, or one that was not waited for
            facts["version"] = 2
        return cache_root(self.session.config) / "speeds" / f"{bank_key(facts)}-{key}.json"

    def _remembered(self, key: str) -> Speeds | None:
        try:
            return Speeds(**json.loads(self._speeds_file(key).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def _remember(self, key: str, speeds: Speeds) -> None:
        """Where nothing can be written, the next run measures again."""
        if self.session.main:
            with contextlib.suppress(UserError):
                write_json(self._speeds_file(key), dataclasses.asdict(speeds))

    def _measure(self, *, train: bool, bf16: bool) -> Speeds:
        preprocess = self.model.spec.preprocess
        images = torch.zeros(_MEASURED_BATCH, preprocess.channels, preprocess.size, preprocess.size, device=self.device)
        images = images.contiguous(memory_format=torch.channels_last)
        if train:
            set_train(self.model.module, freeze_norm=True)
        else:
            self.model.module.eval()
        return measure_speeds(self.model.module, images, train=train, bf16=bf16, repeats=2)
