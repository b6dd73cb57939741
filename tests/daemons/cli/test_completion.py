"""Completion in a real bash, and proposals for what is mistyped."""

import subprocess

import pytest

from testkit.processes.cli import visionfleet


@pytest.fixture(scope="module")
def script() -> str:
    done = visionfleet("completion", "bash")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("visionfleet sta", {"status"}),
        ("visionfleet status --w", {"--watch"}),
        ("visionfleet config --config x sh", {"show"}),
        ("visionfleet dead redrive --only", {"--only-decodable"}),
        ("visionfleet completion ", {"bash", "zsh", "--help"}),
        ("visionfleet keys add --per", {"--per-second"}),
        ("visionfleet config sta", set()),
    ],
)
def test_bash_completes(script: str, line: str, words: set[str]) -> None:
    typed = line.split(" ")
    array = " ".join(f"'{word}'" for word in typed)
    ask = f"COMP_WORDS=({array}); COMP_CWORD={len(typed) - 1}; _visionfleet"
    done = subprocess.run(
        ["bash", "--norc", "-ec", f'{script}\n{ask}\nprintf "%s\\n" "${{COMPREPLY[@]}}"'],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (set(done.stdout.split()), done.stderr) == (words, "")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("stauts", "there is no command 'stauts'; did you mean status?"),
        ("clasify a.jpg", "there is no command 'clasify'; did you mean classify?"),
        ("config chekc", "there is no command 'chekc'; did you mean check?"),
        ("dead lst", "there is no command 'lst'; did you mean list?"),
        ("status --jsno", "there is no option --jsno; did you mean --json?"),
        ("dead list --limt=3", "there is no option --limt; did you mean --limit?"),
        ("xyzzy", "there is no command 'xyzzy'\n"),
        ("status --xyzzy", "unrecognized arguments: --xyzzy"),
    ],
)
def test_mistyped_words_are_proposed_right(typed: str, meant: str) -> None:
    done = visionfleet(*typed.split())
    assert done.returncode == 2
    assert meant in done.stderr


def test_help_tells_people_and_machines_apart_in_80_columns() -> None:
    text = visionfleet("--help").stdout
    people, _, machines = text.partition("\nrun by machines:\n")
    assert "\n    classify " in people
    for name in ("instance", "embedded-aws", "revive", "end-supervisor"):
        assert f"    {name} " in machines
        assert f"\n    {name} " not in people
    assert max(map(len, text.splitlines())) <= 80
