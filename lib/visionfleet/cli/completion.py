"""`visionfleet completion`: what completes commands, options and files in bash and zsh."""

import argparse
from collections.abc import Iterator

# Maps the words so far, without options, to the possible next words.
_SCRIPT = """
_visionfleet() {
    local word="${COMP_WORDS[COMP_CWORD]}" path="" words="" each
    for each in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case "$path $each" in
<cases>
        esac
    done
    case "$path" in
<words>
    esac
    COMPREPLY=($(compgen -W "$words" -- "$word"))
}
complete -o default -F _visionfleet visionfleet
""".strip()
_ZSH = "autoload -U +X compinit && compinit\nautoload -U +X bashcompinit && bashcompinit\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("shell", choices=("bash", "zsh"))
    parser.epilog = 'For bash, put this into ~/.bashrc: eval "$(visionfleet completion bash)"'


def run(arguments: argparse.Namespace) -> int:
    print((_ZSH if arguments.shell == "zsh" else "") + script())
    return 0


def script() -> str:
    from visionfleet.cli import parser_of

    known = dict(_words(parser_of(), ""))
    cases = (f"            '{path}') path='{path}' ;;" for path in known if path)
    words = (f"        '{path}') words='{' '.join(found)}' ;;" for path, found in known.items())
    return _SCRIPT.replace("<cases>", "\n".join(cases)).replace("<words>", "\n".join(words))


def _words(parser: argparse.ArgumentParser, path: str) -> Iterator[tuple[str, list[str]]]:
    """Yield the options and subcommands possible after each path of commands."""
    below: dict[str, argparse.ArgumentParser] = {}
    words = []
    for action in parser._actions:
        words += [option for option in action.option_strings if option.startswith("--")]
        if isinstance(action, argparse._SubParsersAction):
            below |= action.choices
        elif not action.option_strings and action.choices:
            words += map(str, action.choices)
    yield path, [*below, *words]
    for name, parser_below in below.items():
        yield from _words(parser_below, f"{path} {name}")
