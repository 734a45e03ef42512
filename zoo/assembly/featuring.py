"""Features of all images of a bundle by a frozen backbone, from the cache where they were computed before."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from zoo.assembly.data import cache_root, eval_feed
from zoo.assembly.precision import PrecisionChoice
from zoo.assembly.session import Session
from zoo.contracts.data import DataBundle
from zoo.contracts.model import LoadReport, Model
from zoo.features.bank import FeatureBank, bank_key, load_or_compute
from zoo.imaging.preprocess import GENERATION
from zoo.models.build import features_of
from zoo.training.devices import true_everywhere
from zoo.training.inference import run_over

if TYPE_CHECKING:
    from numpy.typing import NDArray


def is_kept(session: Session, report: LoadReport) -> bool:
    """Whether the bank of this network lies in the cache once it is computed; weights without a file have no name."""
    return bool(report.sha256) and session.config.data.options["cache"] != "none"


def bank_of(
    session: Session, model: Model, *, bundle: DataBundle, report: LoadReport, precision: PrecisionChoice
) -> FeatureBank:
    """One pass of the backbone over all images of the bundle, or the bank of an earlier one.

    Args:
        session: Its configuration names the model and says where caches lie.
        model: On the session's device; put into eval mode.
        bundle: The images; the fingerprint of their contents, labels and splits is part of the bank's name.
        report: Which weights the network holds; a network without a known file is not kept.
        precision: Says whether the pass computes in bfloat16.
    """
    preprocess = model.spec.preprocess
    bf16 = precision.bf16(train=False)
    key = bank_key(
        {
            "data": bundle.fingerprint,
            "weights": report.sha256,
            "model": session.config.model.name,
            "made_by": session.registry.get("model", session.config.model.name).made_by,
            "options": {k: str(v) for k, v in session.config.model.options.items()},
            "preprocess": preprocess.to_dict(),
            "bf16": bf16,
            "torch": torch.__version__,
            "pixels": GENERATION,
            "version": 1,
        }
    )
    everything = np.arange(len(bundle.keys), dtype=np.int64)
    feed = eval_feed(session, bundle, indices=everything, preprocess=preprocess, batch_size=64)
    model.module.eval()

    def compute() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        with session.console.counting("features", len(everything)) as watch:
            return run_over(
                feed,
                lambda images: features_of(model, images),
                accelerator=session.accelerator,
                normalise=preprocess.normalise,
                bf16=bf16,
                watch=watch,
            )

    return load_or_compute(
        key,
        folder=cache_root(session.config) / "features" if is_kept(session, report) else None,
        count=len(everything),
        compute=compute,
        write=session.main,
        everywhere=lambda found: true_everywhere(found, session.accelerator),
    )
