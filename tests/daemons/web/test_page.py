"""How the page and its files are served; what they do is tested in a browser."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.aws.embedded import cloud
from testkit.web.daemon import Web, web_daemon


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder: Path = tmp_path_factory.mktemp("page")
    with cloud(folder) as aws, web_daemon(aws, folder) as made:
        yield made


def files(web: Web) -> set[str]:
    """All paths that the page and its scripts name, whether or not they are there."""
    found, new = set(), {"/"}
    while new:
        found |= new
        texts = [web.get(path).text for path in new if path.endswith(("/", ".js", ".css"))]
        named = {name for text in texts for name in re.findall(r'"(?:\./)?(page[\w.-]*)"', text)}
        new = {f"/{name}" for name in named if "." in name} - found
    return found


def test_page_assets_exist_and_are_cached_until_they_change(web: Web) -> None:
    paths = files(web)
    assert {"/", "/page.css", "/page.js", "/page-icon.svg", "/page-chart.js"} <= paths
    for path in paths:
        answer = web.get(path)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-cache"), path
        again = web.get(path, headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b""), path


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        ("/", "text/html; charset=UTF-8"),
        ("/page.css", "text/css; charset=UTF-8"),
        ("/page.js", "text/javascript; charset=UTF-8"),
        ("/page-icon.svg", "image/svg+xml"),
    ],
)
def test_page_assets_have_content_types_and_a_policy(
    web: Web, path: str, content_type: str
) -> None:
    answer = web.get(path)
    assert answer.headers["Content-Type"] == content_type
    policy = answer.headers["Content-Security-Policy"].split("; ")
    assert {"default-src 'none'", "script-src 'self'", "style-src 'self'"} <= set(policy)
    assert "unsafe" not in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_page_has_no_inline_script_or_style(web: Web) -> None:
    text = web.get("/").text
    assert re.findall(r"<script(?![^>]* src=)|<style|\sstyle=|\son\w+=", text) == []


def test_only_files_of_the_page_are_served(web: Web) -> None:
    for path in ("/page.html", "/page-pagexjs", "/../page.js/x", "/page/__init__.py"):
        assert web.get(path).status_code == 404, path
    assert web.post("/page.js").status_code == 405
