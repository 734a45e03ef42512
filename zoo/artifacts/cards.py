"""The model card: README.md of a published model, rendered from what its run recorded and nothing else.

Its head is YAML as model hubs read it. Source: https://huggingface.co/docs/hub/model-cards
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from zoo.artifacts.record import DataUse, RunRecord
from zoo.artifacts.saved_model import TENSORS, SavedModel
from zoo.contracts.data import Task
from zoo.contracts.importing import Provenance
from zoo.contracts.model import LoadReport

MOST_CLASSES = 200
"""Rows of the table of classes; of more, the first are shown, and the files hold all."""

HUB_LICENSES = frozenset(
    (
        *("apache-2.0", "mit", "openrail", "bsd-2-clause", "bsd-3-clause", "isc", "unlicense", "artistic-2.0", "ms-pl"),
        *("cc0-1.0", "cc-by-4.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0", "cc-by-nd-4.0"),
        *("gpl-2.0", "gpl-3.0", "lgpl-3.0", "agpl-3.0", "mpl-2.0", "epl-2.0", "eupl-1.2", "odbl", "pddl"),
    )
)
"""Licences that the hub knows by these names; it takes any other as `other` with a name."""

ONE_LABEL = {"accuracy": "accuracy", "macro_f1": "macro F1", "top5": "top 5"}
SEVERAL_LABELS = {
    "mean_average_precision": "mean average precision",
    "micro_f1": "micro F1",
    "macro_f1": "macro F1",
    "accuracy": "all labels right",
}
"""Score to the heading of its column, with one label an image or several."""

KNOWN_ORIGIN = frozenset({"run", "finished", "data", "weights", "scores", "published", "import", "plugins", "wrappers"})
"""What `origin` in zoo.json says of every model; whatever else stands there is shown as it is."""


def render_card(saved: SavedModel, record: RunRecord | None, *, address: str) -> str:
    """The card as Markdown.

    Args:
        saved: The model, with `origin["published"]`: name, description, license, on, parameters.
        record: Of the run that trained it; None where no run did (converted weights).
        address: How others name it: `hf:ORG/NAME`, or `ZOO/NAME` for a folder.
    """
    sections = [
        _head(saved, address),
        f"# {_plain(_published(saved)['name'])}",
        _what(saved, record),
        _use(saved, address),
        _scores(record),
        _classes(saved, record),
        _data(record.data if record else None),
        _recipe(record),
        _input(saved),
        _pretrained(record.weights if record else None),
        _imported(saved),
        _limits(saved, record),
        _files(saved),
    ]
    return "\n\n".join(section for section in sections if section) + "\n"


def headline(saved: SavedModel) -> str:
    """What a published model is, in one line: for listings."""
    data = dict(saved.origin.get("data") or {}).get("name")
    scores = dict(saved.origin.get("scores") or {})
    split = next((name for name in ("test", "val") if name in scores), None)
    parts = [f"{saved.model.name}" + (f" trained on {data}" if data else ""), f"{len(saved.classes)} classes"]
    if split is not None:
        found = dict(scores[split])
        key, name = ("micro_f1", "micro F1") if "micro_f1" in found else ("accuracy", "accuracy")
        parts.append(f"{'test' if split == 'test' else 'validation'} {name} {_share(found.get(key))}")
    imported = Provenance.from_origin(saved.origin)
    parts += [imported.line()] if imported is not None else []
    return ", ".join(" ".join(part.split()) for part in parts)


def _published(saved: SavedModel) -> Mapping[str, Any]:
    found: Mapping[str, Any] = saved.origin["published"]
    return found


def _head(saved: SavedModel, address: str) -> str:
    """Front matter."""
    import yaml

    license_name = _published(saved).get("license")
    values: dict[str, Any] = {"pipeline_tag": "image-classification"}
    values["library_name"] = "timm" if saved.timm_loadable and address.startswith("hf:") else "zoo"
    values["tags"] = ["image-classification", "zoo", saved.arch]
    if license_name in HUB_LICENSES:
        values["license"] = license_name
    elif license_name:
        values |= {"license": "other", "license_name": re.sub(r"[^a-z0-9.]+", "-", license_name.lower()).strip("-")}
    return f"---\n{yaml.safe_dump(values, sort_keys=True, allow_unicode=True)}---"


def _what(saved: SavedModel, record: RunRecord | None) -> str:
    published = _published(saved)
    kind = "one label an image" if saved.task is Task.SINGLE_LABEL else "any number of labels an image"
    trained = f" trained on {_plain(record.data.name)}" if record and record.data else ""
    lines = [_paragraphs(published["description"])] if published.get("description") else []
    lines.append(
        f"An image classifier: {_code(saved.model.name)}{trained}; {len(saved.classes)} classes, {kind}; "
        f"{published['parameters']:,} parameters. Published {published['on']} with zoo {saved.zoo_version}."
    )
    lines.append(f"Licence: {_plain(published.get('license') or 'not stated; ask whoever published it')}.")
    return "\n\n".join(lines)


def _use(saved: SavedModel, address: str) -> str:
    """Commands to copy."""
    name = _published(saved)["name"]
    local = not address.startswith("hf:")
    lines = [
        f"python -m zoo predict run={address} images=my/photos output=answers.csv",
        f"python -m zoo evaluate run={address} data=my/labelled/photos",
        f"python -m zoo finetune model={address} data=my/labelled/photos",
        *([f"ZOO_PATH=ZOO python -m zoo finetune model={name} data=my/labelled/photos"] if local else []),
    ]
    python = ["import zoo", "", f'zoo.load("{address}").predict("my/photos")']
    if saved.timm_loadable:
        place = f"hf-hub:{address.removeprefix('hf:')}" if not local else f"local-dir:{address}"
        python += ["", "import timm", "", f'timm.create_model("{place}", pretrained=True)']
    where = ["`ZOO` stands for the folder in which this one lies."] if local else []
    note = [] if saved.timm_loadable else [f"timm alone cannot load it: {_plain(saved.timm_note)}."]
    return "\n\n".join(["## Use", *where, _fenced("sh", lines), _fenced("python", python), *note])


def _scores(record: RunRecord | None) -> str:
    if record is None or not record.scores:
        return "## Scores\n\nNone were measured: no run trained this model."
    columns = SEVERAL_LABELS if any("micro_f1" in found for found in record.scores.values()) else ONE_LABEL
    rows = [
        (
            {"val": "validation", "test": "test"}.get(split, split),
            f"{found['count']:,}",
            *(_share(found.get(key)) for key in columns),
            _number(found.get("loss")),
        )
        for split, found in record.scores.items()
    ]
    table = _table(("split", "images", *columns.values(), "loss"), rows)
    hint = "" if "test" in record.scores else " There were no test images: validation chose among epochs, so it is a"
    hint += "" if "test" in record.scores else " little too good."
    return f"## Scores\n\n{table}\n\nIn brackets: 95 % intervals.{hint}"


def _classes(saved: SavedModel, record: RunRecord | None) -> str:
    """Names, with scores where they were measured."""
    scores = record.scores if record else {}
    split = next((name for name in ("test", "val") if name in scores), None)
    measured = {entry["name"]: entry for entry in (scores[split]["classes"] if split else ())}
    shown = saved.classes[:MOST_CLASSES]
    if measured:
        rows = [(_plain(name), *_class_scores(measured.get(name, {}))) for name in shown]
        table = _table(("class", f"{split} images", "precision", "recall", "F1"), rows)
    else:
        table = _table(("class",), [(_plain(name),) for name in shown])
    left = len(saved.classes) - len(shown)
    return f"## Classes\n\n{table}" + (f"\n\nAnd {left} more; zoo.json lists all." if left else "")


def _class_scores(entry: Mapping[str, Any]) -> tuple[str, ...]:
    support = entry.get("support")
    f1 = entry.get("f1")
    return (
        "-" if support is None else f"{support:,}",
        _share(entry.get("precision")),
        _share(entry.get("recall")),
        "-" if f1 is None else f"{100 * f1:.1f} %",
    )


def _data(data: DataUse | None) -> str:
    if data is None:
        return ""
    counts = ", ".join(f"{count:,} {split}" for split, count in data.splits.items())
    lines = [
        f"- name: {_plain(data.name)}",
        f"- images: {counts}; {data.channels} channels",
        f"- fingerprint of contents, labels and splits: {_code(data.fingerprint)}",
        *(f"- {_plain(note)}" for note in data.notes),
    ]
    return "## Data\n\n" + "\n".join(lines)


def _recipe(record: RunRecord | None) -> str:
    """The whole configuration, and what was measured or decided on the way."""
    if record is None:
        return ""
    import yaml

    versions = ", ".join(f"{name} {version}" for name, version in record.environment.versions.items())
    seconds = sum(record.timings.values())
    lines = [
        f"- seed {record.seed}; {_plain(record.environment.device)}, {record.environment.processes} process(es); "
        f"{seconds:,.0f} s",
        f"- {_plain(versions)}",
        *(f"- {_plain(use.kind)} {_code(use.name)} of {_plain(use.distribution)} {_plain(use.version)}"
          for use in record.components if use.distribution != "zoo"),
    ]  # fmt: skip
    plain = {"config": dict(record.config), "decided": dict(record.choices)}
    text = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    return "\n\n".join(
        ["## Recipe", "\n".join(lines), "All options, and what was decided by measuring:", _indented(text)]
    )


def _input(saved: SavedModel) -> str:
    wants = saved.preprocess
    lines = [
        f"- {wants.size} x {wants.size} px, {wants.channels} channels, values in [0, 1] before normalisation",
        f"- resize: {wants.resize}, {wants.interpolation}"
        + (f", the centre {100 * wants.crop_share:.1f} %" if wants.resize == "crop" else ""),
        f"- mean {_numbers(wants.mean)}, std {_numbers(wants.std)}",
        f"- logits are divided by {saved.temperature:.4g} before they become probabilities",
    ]
    if saved.thresholds is not None:
        lines.append(f"- thresholds: {_numbers(saved.thresholds)}")
    return "## Input\n\n" + "\n".join(lines)


def _pretrained(weights: LoadReport | None) -> str:
    """Where training began, and under which licence that was published."""
    if weights is None:
        return ""
    if weights.source == "none":
        return "## Pretrained weights\n\nNone: training began from random values."
    lines = [
        f"- from: {_plain(weights.source)}" + (f", {_code(weights.tag)}" if weights.tag else ""),
        *([f"- file: {_code(weights.location)}"] if weights.location else []),
        f"- SHA-256: {_code(weights.sha256)}",
        f"- licence: {_plain(weights.license or 'not stated')}",
    ]
    return "## Pretrained weights\n\n" + "\n".join(lines)


def _limits(saved: SavedModel, record: RunRecord | None) -> str:
    """What the model was not shown to do."""
    names = "these classes" if len(saved.classes) != 1 else "this class"
    lines = [f"- It answers with {names} whatever the image shows."]
    if record is not None and record.scores:
        lines.append("- The scores hold for images like those it was scored on, and not for others.")
    imported = Provenance.from_origin(saved.origin)
    if imported is not None and not imported.verified:
        lines.append("- Unverified: its outputs were not compared with those of the network that it comes from.")
    lines += [
        f"- {_plain(key)}: {_code(str(value))}"
        for key, value in _flat({key: saved.origin[key] for key in saved.origin if key not in KNOWN_ORIGIN})
    ]
    return "## Limits\n\n" + "\n".join(lines)


def _imported(saved: SavedModel) -> str:
    """Where imported values come from, and how far they were compared; nothing for weights that zoo trained."""
    imported = Provenance.from_origin(saved.origin)
    if imported is None:
        return ""
    lines = [
        imported.line(),
        f"read by {imported.reader}; SHA-256 of the file {imported.sha256}",
        *([f"input: {imported.preprocess}"] if imported.preprocess else []),
        *imported.notes,
    ]
    return "## Imported weights\n\n" + "\n".join(f"- {_plain(line)}" for line in lines)


def _files(saved: SavedModel) -> str:
    rows = [(_code(name), _code(value)) for name, value in sorted(saved.sha256.items())]
    return (
        f"## Hashes\n\n{_table(('file', 'SHA-256'), rows)}\n\nzoo.json states them all, with a hash of itself; zoo "
        f"refuses the model where {_code(TENSORS)} or another of them differs. This card may be edited."
    )


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _plain(text: str) -> str:
    """Text of others as one line in which Markdown and HTML see nothing of theirs."""
    flat = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return re.sub(r"([\\`*_{}\[\]<>|#~&!])", r"\\\1", flat)


def _paragraphs(text: str) -> str:
    """A description in its own paragraphs."""
    return "\n\n".join(_plain(part) for part in re.split(r"\n\s*\n", text) if part.strip())


def _code(text: str) -> str:
    """One line in a monospaced face."""
    flat = " ".join(text.split()).replace("`", "'").replace("|", "/")
    return f"`{flat}`"


def _fenced(language: str, lines: Iterable[str]) -> str:
    return "\n".join([f"```{language}", *lines, "```"])


def _indented(text: str) -> str:
    """A block of code that no content can end."""
    return "\n".join(f"    {line}" if line else "" for line in text.splitlines())


def _share(interval: Mapping[str, Any] | None) -> str:
    """`66.7 % (30.0 to 90.3)`, `-` where there is none."""
    if not interval or interval.get("value") is None:
        return "-"
    low, high = interval.get("low"), interval.get("high")
    span = "" if low is None or high is None else f" ({100 * low:.1f} to {100 * high:.1f})"
    return f"{100 * interval['value']:.1f} %{span}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.4g}" for value in values)
