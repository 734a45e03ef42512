"""`zoo completion`: the script that makes the tab key complete zoo's words."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from zoo.completion.scripts import SCRIPTS, script_for
from zoo.errors import UserError, name_list

USAGE = """\
usage: python -m zoo completion bash|zsh|fish

Prints a script for the shell. To have it in every shell, add a line to its start-up file:

  bash  ~/.bashrc                    eval "$(zoo completion bash)"
  zsh   ~/.zshrc, after compinit     eval "$(zoo completion zsh)"
  fish  ~/.config/fish/config.fish   zoo completion fish | source

Then the tab key completes verbs, groups, names of components (those of installed plugins too), options of what was
chosen in the line, their values, and lists: zoo finetune 'augmentations=[flip,ro<TAB>
"""


def main(argv: Sequence[str]) -> int:
    """Prints the script for one shell."""
    if {"-h", "--help"} & set(argv):
        sys.stdout.write(USAGE)
        return 0
    if len(argv) != 1 or argv[0] not in SCRIPTS:
        said = " ".join(argv) or "no shell"
        raise UserError(f"completion got {said}", where="zoo completion", allowed=name_list(said, SCRIPTS))
    sys.stdout.write(script_for(argv[0]))
    return 0
