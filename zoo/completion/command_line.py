"""A command line up to the cursor, as bash hands it over: its words, and what of the last one readline replaces."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Line:
    """What was typed.

    Attributes:
        words: The words before the last, without quotes; variables set for the command and its name are left out.
        current: What of the last word is there, without quotes.
        quote: The quote that is open in it, or "".
        kept: How much of `current` readline leaves alone: it replaces what follows the last one that breaks words.
    """

    words: tuple[str, ...]
    current: str
    quote: str
    kept: int


def read_line(text: str, *, breaks: str) -> Line:
    """Splits a line as bash does.

    Args:
        text: The command line up to the cursor.
        breaks: `COMP_WORDBREAKS`: where readline begins a new word, outside of quotes.
    """
    words: list[str] = []
    current, quote, kept, begun, escaped = "", "", 0, False, False
    for char in text:
        if escaped:
            current, escaped = current + char, False
        elif char == "\\" and quote != "'":
            escaped = begun = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                current += char
        elif char in "'\"":
            quote, begun, kept = char, True, len(current)
        elif char.isspace():
            if begun or current:
                words.append(current)
            current, kept, begun = "", 0, False
        else:
            current += char
            kept = len(current) if char in breaks else kept
    while words and re.fullmatch(r"[A-Za-z_]\w*=.*", words[0], re.DOTALL):
        words = words[1:]
    return Line(tuple(words[1:]), current, quote, kept)
