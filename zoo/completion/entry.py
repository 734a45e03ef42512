"""The hidden word `_complete` of the command line, which the scripts of `zoo completion` call.

    _complete bash LINE BREAKS           the line up to the cursor, and COMP_WORDBREAKS
    _complete zsh|fish [WORD ...] WORD   the words without quotes, the last one as far as it is there

The first line of the answer is `words` or `files`. Behind `files` the shell completes a path as well: `left:` says how
much of it the shell leaves alone, `before:` what stands before it in the word, `path:` what of it is there. A candidate
follows on each line, with a space at its end where the word is whole; fish, which adds the space by itself, gets a tab
and what the candidate is instead.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence

from zoo.completion.candidates import Candidate, Found
from zoo.completion.command_line import Line, read_line
from zoo.completion.scripts import SCRIPTS
from zoo.completion.verbs import complete
from zoo.errors import UserError
from zoo.plugins import load_plugins

_SAFE = re.compile(r"[\w./:@%+=,\[\]*-]+")
"""Candidates that need no quotes in a shell; others are not offered."""


def main(argv: Sequence[str]) -> int:
    """Prints what the last word may become."""
    shell, *rest = argv or [""]
    if shell not in SCRIPTS or len(rest) < (2 if shell == "bash" else 1):
        raise UserError("_complete is what the shell asks", where="zoo _complete", do="python -m zoo completion --help")
    if shell == "bash":
        line = read_line(rest[0], breaks=rest[1])
    else:
        *words, current = rest
        line = Line(tuple(words), _unquoted(current), "", 0)
    found = complete(line.words, line.current, plugins=load_plugins())
    sys.stdout.write("\n".join(answer(found, line, shell=shell)) + "\n")
    return 0


def answer(found: Found, line: Line, *, shell: str) -> list[str]:
    """The lines for one shell."""
    head = ["words"]
    if found.path is not None:
        left = max(line.kept - len(found.before), 0)
        head = ["files", f"left:{left}", f"before:{found.before[line.kept :]}", f"path:{found.path}"]
    fitting = [one for one in found.candidates if _SAFE.fullmatch(one.text)]
    return [*head, *(_line_of(one, line, shell=shell, files=found.path is not None) for one in fitting)]


def _line_of(one: Candidate, line: Line, *, shell: str, files: bool) -> str:
    if shell == "fish":
        return f"{one.text}\t{one.about}" if one.about else one.text
    text = one.text[line.kept :]
    # In an open quote readline closes it itself, and beside paths it looks at what each name is.
    whole = one.whole and not line.quote and not (files and shell == "bash")
    return f"{text} " if whole else text


def _unquoted(word: str) -> str:
    """A word without the quote that is open at its beginning, as fish hands it over."""
    return word[1:] if word[:1] in ("'", '"') else word.replace("\\", "")
