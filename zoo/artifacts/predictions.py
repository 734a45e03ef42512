"""Predictions as rows, and the three kinds of file they are written to."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.errors import UserError
from zoo.files import to_json, write_bytes

SUFFIXES = (".csv", ".json", ".parquet")
"""Endings of the files that predictions can be written to."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the network says of one image.

    Attributes:
        file: Path of the image, or `images[3]`.
        ok: False for an image that could not be read; `error` says why, and the rest is empty.
        error: The reason, or None.
        label: The most probable label, or None.
        confidence: Its probability in [0, 1], after calibration, or None.
        top: The most probable labels with their probabilities, best first.
        labels: In a multi-label task all labels at or above their thresholds, in the order of the classes; else ().
        multi_label: Whether the image may have any number of labels; it may then have none.
    """

    file: str
    ok: bool
    error: str | None = None
    label: str | None = None
    confidence: float | None = None
    top: tuple[tuple[str, float], ...] = ()
    labels: tuple[str, ...] = ()
    multi_label: bool = False


def check_predictions_path(path: Path) -> str:
    """The kind of file that a path's ending asks for, `.csv`, `.json` or `.parquet`; ask before the work is done.

    Raises:
        UserError: Another ending, or the path is a folder.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UserError(
            f"predictions cannot be written to a {suffix or 'file without an ending'} file"
            if suffix
            else f"the name {path.name!r} does not say what kind of file to write",
            where=f"output={path}",
            allowed=", ".join(SUFFIXES),
            do=f"for example output={path.with_suffix('.csv')}",
        )
    if path.is_dir():
        raise UserError(
            f"{str(path)!r} is a folder", where="output", do=f"name a file in it: output={path / 'predictions.csv'}"
        )
    return suffix


def write_predictions(rows: Sequence[Prediction], path: Path) -> Path:
    """Writes rows to a CSV, JSON or parquet file, whole or not at all.

    CSV: `file, ok, label, confidence, error`, in a multi-label task `labels` (joined by `|`), then the runners-up as
    `label_2, probability_2, ...`. JSON and parquet hold `top` as a list of label and probability.

    Raises:
        UserError: Another ending, or the file cannot be written; an older file is still there then.
    """
    suffix = check_predictions_path(path)
    write = {".csv": _csv, ".json": _json, ".parquet": _parquet}[suffix]
    return write_bytes(path, write(rows))


def _csv(rows: Sequence[Prediction]) -> bytes:
    multi_label = any(row.multi_label for row in rows)
    runners_up = range(1, max((len(row.top) for row in rows), default=1))
    stream = io.StringIO(newline="")
    # All text is quoted: Python's writer leaves a lone carriage return bare, which its reader takes for a new row.
    writer = csv.writer(stream, lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC)
    writer.writerow(
        ["file", "ok", "label", "confidence", "error"]
        + ["labels"] * multi_label
        + [name for k in runners_up for name in (f"label_{k + 1}", f"probability_{k + 1}")]
    )
    for row in rows:
        cells: list[Any] = [row.file, str(row.ok).lower(), row.label, _share(row.confidence), row.error]
        cells += ["|".join(row.labels)] * multi_label
        for k in runners_up:
            cells += [row.top[k][0], _share(row.top[k][1])] if k < len(row.top) else [None, None]
        writer.writerow(cells)
    # A name that is not valid Unicode is written as the bytes it is.
    return stream.getvalue().encode("utf-8", "surrogateescape")


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _json(rows: Sequence[Prediction]) -> bytes:
    return (to_json([_plain(row) for row in rows], indent=2) + "\n").encode()


def _plain(row: Prediction) -> dict[str, Any]:
    return {
        "file": row.file,
        "ok": row.ok,
        "label": row.label,
        "confidence": row.confidence,
        "error": row.error,
        "labels": list(row.labels),
        "top": [{"label": label, "probability": share} for label, share in row.top],
    }


def _parquet(rows: Sequence[Prediction]) -> bytes:
    import pyarrow as pa
    import pyarrow.parquet as pq

    text, share = pa.string(), pa.float64()
    schema = pa.schema(
        {
            "file": text,
            "ok": pa.bool_(),
            "label": text,
            "confidence": share,
            "error": text,
            "labels": pa.list_(text),
            "top": pa.list_(pa.struct({"label": text, "probability": share})),
        }
    )
    # Arrow's text must be valid Unicode: bytes that are not become \udcXX, as Python shows them.
    plain = [{**_plain(row), "file": row.file.encode("utf-8", "backslashreplace").decode()} for row in rows]
    stream = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(plain, schema=schema), stream)
    return stream.getvalue()
