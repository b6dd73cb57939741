"""Odd request targets, and the hosts that requests are sent to."""

import pytest

from visionfleet.web.http.targets import (
    fault_of_target,
    is_called,
    names_of,
    oddity,
    without_prefix,
)


@pytest.mark.parametrize("target", ["", "*", "foo", "http://x/v1/fleet", "example.com:443"])
def test_target_that_is_no_path_is_told(target: str) -> None:
    assert "is no path" in fault_of_target(target)
    assert fault_of_target("/" + target) == ""


@pytest.mark.parametrize(
    "path",
    [
        *("//", "//v1/classify", "/v1//classify", "/.", "/..", "/v1/../x", "/%2e%2E/x", "/v1/%2e"),
        *(
            "/v1%2Fclassify",
            "/a%5cb",
            "/a\\b",
            "/%00",
            "/%0d%0A",
            "/%7F",
            "/\x80",
            "/é",
            "/%",
            "/%g1",
        ),
        *("/a b", "/<x>", '/"'),
    ],
)
def test_odd_path_is_told(path: str) -> None:
    assert oddity(path)


@pytest.mark.parametrize(
    "path", ["/", "/upload.php", "/...", "/.git", "/a.b/..c", "/caf%C3%A9", "/~x/"]
)
def test_plain_path_is_not_odd(path: str) -> None:
    assert oddity(path) == ""


@pytest.mark.parametrize(
    ("path", "bare"),
    [
        ("/vision/v1/jobs", "/v1/jobs"),
        ("/vision/", "/"),
        ("/vision", "/vision"),
        ("/visions/x", "/visions/x"),
        ("/v1/vision/", "/v1/vision/"),
        ("/vision//", "//"),
    ],
)
def test_public_path_is_cut_off(path: str, bare: str) -> None:
    assert without_prefix(path, "/vision") == bare
    assert without_prefix(path, "") == path


LOOPBACK = names_of(True, ["vision.example"], "Laptop")


@pytest.mark.parametrize(
    "host",
    [
        *(
            "",
            "x",
            "localhost",
            "LOCALHOST:8080",
            "localhost.",
            "app.localhost:1",
            "127.0.0.1:8080",
        ),
        *("10.0.0.7", "[::1]:8080", "[::1]", "laptop", "laptop.local:80", "Vision.Example:443"),
    ],
)
def test_service_is_called_by_its_names(host: str) -> None:
    assert is_called(host, LOOPBACK)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "1.2.3", "a.vision.example"],
)
def test_other_names_are_not_the_service(host: str) -> None:
    assert not is_called(host, LOOPBACK)
    assert not is_called(host, names_of(False, ["vision.example"], "laptop"))
    assert is_called(host, names_of(False, [], "laptop"))
    assert is_called(host, names_of(True, ["*"], "laptop"))
