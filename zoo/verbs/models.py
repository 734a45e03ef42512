"""`zoo models`: which networks there are, how large they are, and where their weights would come from."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.errors import UserError
from zoo.plugins import load_plugins
from zoo.registry import Registry
from zoo.verbs.tables import print_table, short_count

if TYPE_CHECKING:
    from zoo.models.catalogue import Card, Row

USAGE = """usage: python -m zoo models [PATTERN] [--json] | models classic [--json] | models show NAME [--json]

  PATTERN    resnet*, vit, torchvision/vgg*, resnet18.* (its sets of weights); quote the star
  classic    the field's classic networks, from the perceptron to Xception, the oldest first
  show NAME  all that is known of one network: paper, size, weights, options, stages;
             a folder: the saved model in it, and where its values come from
"""

COLUMNS = ("name", "parameters", "input", "weights", "license", "year")
CLASSIC_COLUMNS = ("year", "name", "parameters", "multiply-adds", "input", "weights", "paper")


def main(argv: Sequence[str]) -> int:
    """Lists networks, or shows one."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    words = [word for word in argv if word != "--json"]
    unknown = [word for word in words if word.startswith("-")]
    if unknown:
        raise UserError(f"unknown flag {unknown[0]!r}", where="zoo models", allowed="--json")
    registry = load_plugins().registry
    if words[:1] == ["show"]:
        if len(words) != 2:
            raise UserError("say which network to show", where="zoo models show", allowed="show NAME")
        if Path(words[1]).expanduser().is_dir():
            _show_saved(Path(words[1]).expanduser(), as_json="--json" in argv)
            return 0
        card = _card(registry, words[1])
        _write(card.to_dict() if "--json" in argv else _card_lines(card))
        return 0
    if len(words) > 1:
        raise UserError(
            f"{len(words)} patterns; one is read",
            where="zoo models " + " ".join(words),
            allowed="[PATTERN], classic, or show NAME",
            do="quote a pattern, or the shell replaces it by file names: 'resnet*'",
        )
    classic = words == ["classic"]
    rows = _classic_rows(registry) if classic else _rows(registry, words[0] if words else "*")
    if "--json" in argv:
        _write([row.to_dict() for row in rows])
    elif classic:
        _list([_classic_cells(row) for row in rows], CLASSIC_COLUMNS)
    else:
        _list([_cells(row) for row in rows], COLUMNS)
    return 0


def _rows(registry: Registry, pattern: str) -> list[Row]:
    """A row for each network that the pattern fits."""
    from zoo.assembly.network import weight_sources
    from zoo.models.catalogue import networks_matching, row_of

    sources = weight_sources(registry)
    return [row_of(entry, name, sources=sources, count=True) for name, entry in networks_matching(registry, pattern)]


def _classic_rows(registry: Registry) -> list[Row]:
    """A row for each classic network: that which its bare name means."""
    from zoo.assembly.network import weight_sources
    from zoo.models.catalogue import in_order_of_history, row_of

    sources = weight_sources(registry)
    owners = (registry.get("model", name) for name in registry.names("model"))
    classic = [entry for entry in owners if entry.facts.get("classic") is not None]
    return in_order_of_history(row_of(entry, entry.name, sources=sources, count=True) for entry in classic)


def _card(registry: Registry, name: str) -> Card:
    from zoo.assembly.network import weight_sources
    from zoo.models.catalogue import card_of

    return card_of(registry.get("model", name), name, sources=weight_sources(registry))


def _show_saved(folder: Path, *, as_json: bool) -> None:
    """A saved model: its network, classes, input, and where its values come from."""
    from zoo.artifacts.model_folder import load_model_folder
    from zoo.artifacts.saved_model import to_card
    from zoo.contracts.importing import Provenance

    saved = load_model_folder(folder)
    if as_json:
        _write(to_card(saved))
        return
    wants, imported = saved.preprocess, Provenance.from_origin(saved.origin)
    lines = [
        f"{saved.folder}: {saved.model.name}, saved by zoo {saved.zoo_version}",
        f"  classes       {len(saved.classes)}: {', '.join(saved.classes[:5])}"
        + (", ..." if saved.classes[5:] else ""),
        f"  input         {wants.size} px, {wants.channels} channels, {wants.resize}, {wants.interpolation}, "
        f"mean {_numbers(wants.mean)}, std {_numbers(wants.std)}",
    ]
    if imported is not None:
        lines += [f"  origin        {imported.line()}", f"  preprocess    {imported.preprocess}"]
        lines += [f"  note          {note}" for note in imported.notes]
    elif saved.origin:
        known = {key: value for key, value in saved.origin.items() if isinstance(value, str)}
        lines.append("  origin        " + ", ".join(f"{key} {value}" for key, value in known.items()))
    _write("\n".join(lines) + "\n")


def _write(content: Any) -> None:
    """Lines as they are, anything else as JSON."""
    sys.stdout.write(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")


def _whereabouts(row: Row) -> str:
    if row.weights == "at hand":
        return f"at hand ({row.source})"
    return f"{row.weights}, else {row.source}" if row.path else row.weights


def _classic_cells(row: Row) -> tuple[str, ...]:
    return (
        str(row.year or "-"),
        row.name,
        short_count(row.parameters),
        short_count(row.multiply_adds),
        f"{row.input_px} px" if row.input_px else "-",
        _whereabouts(row),
        f"{row.title} ({row.paper})",
    )


def _cells(row: Row) -> tuple[str, ...]:
    license_name = (row.record.license if row.record else None) or "-"
    return (
        row.name,
        short_count(row.parameters),
        f"{row.input_px} px" if row.input_px else "-",
        _whereabouts(row),
        license_name if len(license_name) <= 24 else "see show",
        str(row.year or "-"),
    )


def _list(cells: Sequence[tuple[str, ...]], columns: tuple[str, ...]) -> None:
    """The table, and below it how many there are."""
    print_table(columns, cells)
    counted = "1 network" if len(cells) == 1 else f"{len(cells)} networks"
    sys.stderr.write(f"{counted}; `python -m zoo models show NAME` says more\n")


def _card_lines(card: Card) -> str:
    """All that is known of a network, in lines."""
    row = card.row
    where = {"download": "would be downloaded", "at hand": "at hand"}.get(row.weights, "none")
    if row.path:
        where += f"{':' if row.weights == 'at hand' else '; at hand to stand in for them:'} {row.source}, {row.path}"
    lines = [
        f"{row.full_name}: {row.summary}",
        *_papers(row),
        f"  parameters    {row.parameters:,}" if row.parameters is not None else "  parameters    -",
        f"  multiply-adds {short_count(card.multiply_adds)} for one image of {row.input_px} px",
        f"  head          {card.classifier}, fed {card.feature_dim} features",
        "  stages        " + (", ".join(f"{name} ({short_count(count)})" for name, count in card.stages) or "none"),
        "  options       " + (", ".join(f"model.{name}={_shown(value)}" for name, value in card.options) or "none"),
        f"  weights       {where}",
    ]
    for record, source in card.records:
        wants = record.preprocess
        lines.append(
            f"    {record.tag or '(no tag)'}: {record.classes or 'no'} classes, {wants.size} px, "
            f"{wants.interpolation}, mean {_numbers(wants.mean)}, std {_numbers(wants.std)}, "
            f"license {record.license or 'not stated'}" + (f", at hand ({source})" if source else "")
        )
        lines.append(f"      {_address(record.hub_id, record.url)}")
    return "\n".join(lines) + "\n"


def _papers(row: Row) -> list[str]:
    """What introduced the architecture, and what this network follows where that is something else."""
    lines = []
    if row.paper:
        words = ", ".join(str(part) for part in (row.title, row.paper, row.year) if part)
        lines.append(f"  paper         {words}")
    if row.reference and row.reference != row.paper:
        lines.append(f"  source        {row.reference}")
    return lines


def _shown(value: object) -> str:
    return "null" if value is None else str(value)


def _numbers(values: Sequence[float]) -> str:
    return "/".join(f"{value:.3g}" for value in values)


def _address(hub_id: str | None, url: str | None) -> str:
    return ", ".join(text for text in (f"https://huggingface.co/{hub_id}" if hub_id else "", url or "") if text)
