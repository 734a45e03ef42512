"""Tables on a terminal: by rich, or in plain columns where the output is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def print_table(columns: Sequence[str], cells: Sequence[Sequence[str]], *, as_json: bool = False) -> None:
    """Prints an aligned table with a line of names above it.

    Args:
        columns: Names of the columns.
        cells: One row a line, a text for each column.
        as_json: Leave stdout to JSON and print on stderr.
    """
    stream = sys.stderr if as_json else sys.stdout
    if not stream.isatty():
        stream.write("\n".join(table_lines(columns, cells)) + "\n")
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for line in cells:
        table.add_row(*map(Text, line))
    Console(file=stream).print(table)


def table_lines(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """The same table as lines of text, each column as wide as its widest cell."""
    rows = [columns, *cells]
    widths = [max(len(row[place]) for row in rows) for place in range(len(columns))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def short_count(count: int | None) -> str:
    """11689512 as `11.7 M`."""
    if count is None:
        return "-"
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return str(count)
