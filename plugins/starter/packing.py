"""Packs the model of a finished run as starter weights: float16 tensors and a card.

    python -m zoo_plugins.starter.packing RUN --name resnet18 --networks timm/resnet18 torchvision/resnet18 \
        --what "ResNet-18 trained by zoo on ..." --license "..." [--labels classes.tsv] [--out FOLDER]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.artifacts.model_folder import load_model_folder
from zoo.artifacts.public_record import public_record
from zoo.artifacts.record import RunRecord
from zoo.artifacts.run_folder import RunFolder
from zoo.artifacts.saved_model import SavedModel
from zoo.errors import UserError
from zoo.files import sha256_of, write_bytes, write_json


def pack_starter(
    run: Path,
    out: Path,
    *,
    name: str,
    networks: Sequence[str],
    what: str,
    license: str,
    labels: Sequence[str] | None = None,
    finetune_px: int = 0,
) -> Path:
    """Writes `name.safetensors` and `name.json`.

    Args:
        run: Folder of a finished run.
        out: Folder of the starter weights.
        name: Stem of both files.
        networks: Full names of the networks that these tensors fill.
        what: What was trained on what, in half a sentence.
        license: Licence note.
        labels: Names of the outputs in place of the run's classes.
        finetune_px: Side at which larger photos are best fine-tuned, where it is not the run's own.

    Returns:
        The card's path.

    Raises:
        UserError: The run is not finished or its model was changed; or the labels are not one for each class.
    """
    from safetensors.torch import save

    saved = load_model_folder(run)
    record = public_record(RunRecord.load(run / "record.json"))
    if record.status != "finished":
        raise UserError("this run is not finished", where=str(run), do=f"python -m zoo finetune resume={run}")
    names = tuple(labels or saved.classes)
    if len(set(names)) != len(saved.classes):
        raise UserError(
            f"{len(set(names))} different labels for {len(saved.classes)} classes", where="labels", allowed="one each"
        )
    tensors = {key: t.half() if t.is_floating_point() else t for key, t in saved.tensors().items()}
    path = write_bytes(out / f"{name}.safetensors", save({k: t.contiguous() for k, t in tensors.items()}))
    card = {
        "networks": list(networks),
        "file": path.name,
        "sha256": sha256_of(path),
        "what": what,
        "license": license,
        "preprocess": saved.preprocess.to_dict(),
        "finetune_px": finetune_px,
        "labels": list(names),
        "score": record.scores["val"]["accuracy"]["value"],
        "facts": {**_facts(record, saved), "training_s": _training_s(run)},
    }
    return write_json(out / f"{name}.json", card)


def _facts(record: RunRecord, saved: SavedModel) -> dict[str, Any]:
    """What people want to know: data, recipe, time, versions, scores with intervals."""
    data = record.data
    return {
        "data": None
        if data is None
        else {"name": data.name, "splits": dict(data.splits), "fingerprint": data.fingerprint},
        "overrides": list(record.overrides),
        "seed": record.seed,
        "device": record.environment.device,
        "cores": record.environment.cores,
        "versions": dict(record.environment.versions),
        "scores": {
            split: {key: values[key] for key in ("count", "accuracy", "top5", "macro_f1") if key in values}
            for split, values in record.scores.items()
        },
        "temperature": saved.temperature,
        "finished": record.finished,
    }


def _training_s(run: Path) -> float:
    """Seconds of training, over all the sittings of a run that was stopped in between."""
    rows = RunFolder.open(run).metrics.rows()
    return float(rows[-1].get("seconds", 0.0)) if rows else 0.0


def label_names(path: Path) -> list[str]:
    """The first of the names in the last column of a table of classes, one line each: `n01443537<TAB>goldfish, ...`."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split("\t")[-1].split(",")[0].strip() for line in lines if line.strip()]


def main(argv: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m zoo_plugins.starter.packing")
    parser.add_argument("run", type=Path)
    parser.add_argument("--name", required=True)
    parser.add_argument("--networks", required=True, nargs="+")
    parser.add_argument("--what", required=True)
    parser.add_argument("--license", required=True)
    parser.add_argument("--labels", type=Path)
    parser.add_argument("--finetune-px", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    given = parser.parse_args(argv)
    labels = None if given.labels is None else label_names(given.labels)
    pack_starter(
        given.run,
        given.out,
        name=given.name,
        networks=given.networks,
        what=given.what,
        license=given.license,
        labels=labels,
        finetune_px=given.finetune_px,
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
