"""Faults of YAML and of names: what is unknown, and what was probably meant."""

from pathlib import Path

import pytest

from testkit.config.files import faults

# text of the file; the one fault
ONE_FAULT = {
    "a tab": (
        "web:\n\tport: 1\n",
        "vf.yaml:2:1: not YAML: found character '\\t' that cannot start any token; indent with "
        "spaces, not tabs",
    ),
    "a line indented too far": (
        "web:\n  port: 1\n   cache: true\n",
        "vf.yaml:3:9: not YAML: mapping values are not allowed here; indent it like its "
        "neighbours; a value with a colon needs quotes",
    ),
    "a quote left open": (
        "name: 'a\nlog:\n  level: INFO\n",
        "vf.yaml:4:1: not YAML: while scanning a quoted scalar that begins in line 1: found "
        "unexpected end of stream",
    ),
    "a bracket left open": (
        "images: {formats: [JPEG\n",
        "vf.yaml:2:1: not YAML: while parsing a flow sequence that begins in line 1: expected ',' "
        "or ']', but got '<stream end>'",
    ),
    "two documents": (
        "name: a\n---\nname: b\n",
        "vf.yaml:2:1: not YAML: expected a single document in the stream that begins in line 1: "
        "but found another document",
    ),
    "a character that no YAML has": (
        "name: a\x00b\n",
        "vf.yaml:1: not YAML: unacceptable character #x0000: special characters are not allowed",
    ),
    "a list": (
        "- web\n",
        "vf.yaml: expected sections with keys, like `web:` and `port: 8080`",
    ),
    "an alias that holds itself": (
        "web: &web\n  port: *web\n",
        "vf.yaml: not YAML that can be read: it is nested too deeply",
    ),
    "a key that is not indented": (
        "web:\nport: 1\n",
        "vf.yaml:2:1: port: unknown key; did you mean `port` below `web:`?",
    ),
    "a key with its section before it": (
        "web.port: 1\n",
        "vf.yaml:1:1: web.port: unknown key; did you mean `port` below `web:`?",
    ),
    "a key of another section": (
        "web: {input_bucket: a}\n",
        "vf.yaml:1:7: web.input_bucket: unknown key; did you mean `input_bucket` below `storage:`?",
    ),
    "a key of three other sections": (
        "results: {metrics_port: 1}\n",
        "vf.yaml:1:11: results.metrics_port: unknown key; known here: by_name",
    ),
    "a key in another spelling": (
        "WEB: {sharePort: true}\n",
        "vf.yaml:1:7: WEB: unknown key; did you mean `web`?",
    ),
    "a key with a space that nobody sees": (
        "web: {port\u200b: 1}\n",
        "vf.yaml:1:7: 'web.port\\u200b': unknown key; did you mean `port`?",
    ),
    "a merge": (
        "web: &web {port: 1}\nscaler:\n  <<: *web\n",
        "vf.yaml:3:3: expected the name of a setting below scaler, got a merge (`<<`)",
    ),
    "a template that was not filled in": (
        "web:\n  port: {{ port }}\n",
        "vf.yaml:2:10: expected the name of a setting below web.port, got a list or braces",
    ),
    "an unknown key near a known one": (
        "web:\n  prot: 1\n",
        "vf.yaml:2:3: web.prot: unknown key; did you mean `port`?",
    ),
    "an unknown key near none": (
        "results:\n  zzz: 1\n",
        "vf.yaml:2:3: results.zzz: unknown key; known here: by_name",
    ),
    "an unknown section": (
        "scalar:\n  minimum: 1\n",
        "vf.yaml:2:3: scalar: unknown key; did you mean `scaler`?",
    ),
    "an unknown empty section": (
        "scalar:\n",
        "vf.yaml:1:1: scalar: unknown key; did you mean `scaler`?",
    ),
    "a key set twice": (
        "web:\n  port: 1\n  address: a\n  port: 2\n",
        "vf.yaml:4:3: web.port: set twice, first in line 2",
    ),
    "a section set twice": (
        "web: {port: 1}\nlog: {}\nweb: {cache: true}\n",
        "vf.yaml:3:1: web: set twice, first in line 1",
    ),
    "a list that holds itself": (
        "web:\n  port: &a [*a]\n",
        'vf.yaml:2:3: web.port: expected an integer from 1 to 65535, got "something odd"',
    ),
}


@pytest.mark.parametrize(("text", "fault"), ONE_FAULT.values(), ids=ONE_FAULT)
def test_fault_says_where_and_what_was_meant(tmp_path: Path, text: str, fault: str) -> None:
    assert faults(tmp_path, text) == [fault]


@pytest.mark.parametrize("variable", ["WEB_PORT", "_WEB__PORT", "WEB__PROT"])
def test_misspelt_variable_is_told_its_name(tmp_path: Path, variable: str) -> None:
    (fault,) = faults(tmp_path, "", {f"VISIONFLEET_{variable}": "1"})
    assert fault.endswith("unknown key; did you mean `VISIONFLEET_WEB__PORT`?")


def test_aliases_of_aliases_are_not_written_out(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]", *(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]" for i in range(1, 13))]
    found = faults(tmp_path, "\n".join((*lines, "web: {port: *a12}", "log: *a12")))
    assert len(found) == 15
    assert max(map(len, found)) < 400
