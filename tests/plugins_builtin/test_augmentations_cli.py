"""Augmentations on the command line: chosen by name, with their options, mistyped, and where they cannot act."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.e2e import TINY, run

GRAY = ("data=digits", *(word for word in TINY if not word.startswith("data.channels")), "train.epochs=0.05")


def finetune(folder: Path, *words: str, code: int = 0) -> str:
    return run("finetune", *GRAY, *words, f"run.dir={folder}/run", code=code).stderr


def test_policies_and_transforms_of_the_library_train_together(tmp_path):
    words = ["augmentations=[rand_augment,CLAHE]", "augmentations.CLAHE.clip_limit=2.0"]
    finetune(tmp_path, *words, "augmentations.rand_augment.magnitude=5")
    record = json.loads((tmp_path / "run" / "record.json").read_text())
    chosen = record["config"]["augmentations"]
    assert record["status"] == "finished"
    assert list(chosen) == ["rand_augment", "CLAHE"]
    assert chosen["CLAHE"] == {"name": "albumentations/CLAHE", "clip_limit": 2.0, "tile_grid_size": [8, 8], "p": 0.5}
    assert chosen["rand_augment"]["magnitude"] == 5


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["augmentations=[rand_augment,CLAHE]", "augmentations.CLAHE.cliplimit=2.0"],
            "did you mean augmentations.CLAHE.clip_limit?",
        ),
        (["augmentations=[rand_augment]", "augmentations.rand_augment.fil=3"], "augmentations.rand_augment.fill?"),
        (["augmentations=[Clahe]"], "allowed: CLAHE"),
        (["augmentations=[rand_augmnt]"], "allowed: rand_augment"),
        (["augmentations=[Normalize]"], "done by zoo, after augmentation"),
        (["augmentations=[RandomCrop]"], "needs a value for 'height'"),
        (["augmentations=[CLAHE]", "augmentations.CLAHE.clip_limit=-2.0"], "augmentations.CLAHE.clip_limit"),
        (["augmentations=[ISONoise]"], "gray images"),
    ],
)
def test_what_cannot_be_is_said_and_leaves_no_folder(tmp_path, words, said):
    error = finetune(tmp_path, *words, code=2)
    assert said in error
    assert "Traceback" not in error
    assert not (tmp_path / "run" / "model").exists()
