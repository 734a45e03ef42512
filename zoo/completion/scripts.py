"""What `zoo completion SHELL` prints: a function that asks zoo for candidates each time the tab key is pressed."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping

_BASH = r"""
# zoo's words completed by the tab key, in bash: eval "$(zoo completion bash)"
_zoo_complete() {
    local line kind='' left=0 before='' path=''
    COMPREPLY=()
    while IFS= read -r line; do
        if [[ -z $kind ]]; then
            kind=$line
        elif [[ $kind == files && $line == left:* ]]; then
            left=${line#left:}
        elif [[ $kind == files && $line == before:* ]]; then
            before=${line#before:}
        elif [[ $kind == files && $line == path:* ]]; then
            path=${line#path:}
        else
            COMPREPLY+=("$line")
        fi
    done < <(@ZOO@ _complete bash "${COMP_LINE:0:COMP_POINT}" "$COMP_WORDBREAKS" 2>/dev/null)
    if [[ $kind == files ]]; then
        compopt -o filenames 2>/dev/null
        while IFS= read -r line; do
            COMPREPLY+=("$before${line:left}")
        done < <(compgen -f -- "$path")
    fi
}
complete -o nospace -F _zoo_complete zoo
"""

_ZSH = r"""
# zoo's words completed by the tab key, in zsh, after compinit: eval "$(zoo completion zsh)"
_zoo_complete() {
    local line kind='' before=''
    local -a whole part
    while IFS= read -r line; do
        case $line in
            words|files) kind=$line ;;
            left:*|path:*) ;;
            before:*) before=${line#before:} ;;
            *' ') whole+=("${line% }") ;;
            *) part+=("$line") ;;
        esac
    done < <(@ZOO@ _complete zsh "${(@Q)words[2,CURRENT-1]}" "${(Q)PREFIX}" 2>/dev/null)
    (( $#whole )) && compadd -- "${whole[@]}"
    (( $#part )) && compadd -S '' -- "${part[@]}"
    if [[ $kind == files ]]; then
        compset -P "${(b)before}"
        _files
    fi
}
compdef _zoo_complete zoo
"""

_FISH = r"""
# zoo's words completed by the tab key, in fish: zoo completion fish | source
function __zoo_complete
    set -l earlier (commandline -opc)
    set -l current (commandline -ct)
    set -l kind words
    set -l before ''
    set -l path ''
    for line in (@ZOO@ _complete fish $earlier[2..-1] "$current" 2>/dev/null)
        switch $line
            case words files
                set kind $line
            case 'left:*'
            case 'before:*'
                set before (string replace 'before:' '' -- $line)
            case 'path:*'
                set path (string replace 'path:' '' -- $line)
            case '*'
                echo $line
        end
    end
    if test $kind = files
        for one in (__fish_complete_path $path)
            echo $before$one
        end
    end
end
complete -c zoo -f -a '(__zoo_complete)'
"""

SCRIPTS: Mapping[str, str] = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}
"""Shell to its script, in which `@ZOO@` is the command that runs this zoo."""


def script_for(shell: str) -> str:
    """The script for a shell, which runs the Python of this process, whatever is on the path later."""
    return SCRIPTS[shell].lstrip("\n").replace("@ZOO@", f"{shlex.quote(sys.executable)} -m zoo")
