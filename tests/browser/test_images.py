"""Images on the page: chosen, dropped, pasted; results, failures, and the API key."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, Route, expect

from testkit import ROOT
from testkit.aws.embedded import Cloud
from testkit.classifier.stand_in import label_of, stand_in
from testkit.images.pictures import encoded, numbered, photo
from testkit.web.browser import picture, transfer
from testkit.web.daemon import Web, web_daemon

STAGES = ["10 ms in the queue", "10 ms fetched", "10 ms decoded", "10 ms recognised"]
HTTP_API = ROOT / "docs/http-api.md"
CAT, DOG = encoded(numbered(1)), encoded(numbered(2))


def test_javascript_of_the_documentation_works(page: Page, aws: Cloud) -> None:
    (code,) = re.findall(r"```javascript\n(.*?)```", HTTP_API.read_text(), re.DOTALL)
    chosen = 'const input = {files: [new File([new Uint8Array(bytes)], "cat.png")]};'
    here = code.replace("http://127.0.0.1:8080", "")
    with stand_in(aws):
        label = page.evaluate(f"async bytes => {{ {chosen} {here} return label; }}", list(CAT))
    assert label == label_of(CAT)


def test_low_confidence_shows_the_best_guesses(page: Page, aws: Cloud) -> None:
    with stand_in(aws, unsure=True):
        page.set_input_files("#files", [picture("cat.png", CAT)])
        card = page.locator(".card", has_text="cat.png")
        expect(card.locator(".state")).to_have_text("Not sure what this is. The best guesses:")
        expect(card.locator(".bars li")).to_have_count(5)
        expect(card.locator(".bars .label").first).to_have_text(label_of(CAT))
        expect(page.locator("#said")).to_contain_text(f"not sure, perhaps {label_of(CAT)}")


def test_answers_show_bars_and_stages_and_failures_show_reasons(page: Page, aws: Cloud) -> None:
    files = [picture("cat.png", CAT), picture("dog.png", DOG), picture("notes.png", b"no image")]
    with stand_in(aws):
        page.set_input_files("#files", files)
        for name, data in (("cat.png", CAT), ("dog.png", DOG)):
            card = page.locator(".card", has_text=name)
            expect(card.locator(".state")).to_have_text(label_of(data))
            expect(card.locator(".bars li")).to_have_count(5)
            expect(card.locator(".bars .share").first).to_have_text("90.0 %")
            expect(card.locator(".stages li")).to_have_text([re.compile("in all"), *STAGES])
            expect(card.locator("img")).to_have_js_property("naturalWidth", 32)
        broken = page.locator(".card", has_text="notes.png")
        expect(broken.locator(".state")).to_have_text(
            "This is not an image that the service reads."
        )
        expect(page.locator("#progress")).to_have_text("2 of 3, 1 failed")
        # What came last was said; which of the two that is, the fleet decides.
        either = re.compile(f"{re.escape(label_of(CAT))}|{re.escape(label_of(DOG))}")
        expect(page.locator("#said")).to_have_text(either)
    widths = (
        page.locator(".card", has_text="cat.png")
        .locator(".fill")
        .evaluate_all("fills => fills.map((fill) => fill.getBoundingClientRect().width)")
    )
    assert widths == sorted(widths, reverse=True)
    assert widths[0] / widths[1] == pytest.approx(2.0, rel=0.02), "0.9 and 0.45"


def test_failed_result_shows_its_reason(page: Page, aws: Cloud) -> None:
    with stand_in(aws, fails=True):
        page.set_input_files("#files", [picture("cut.png", CAT)])
        expect(page.locator(".card .state")).to_have_text(
            "This image is broken: its content cannot be read."
        )
    expect(page.locator(".card .detail")).to_have_text("Told by the service: it is broken.")


@pytest.mark.parametrize("kind", ["paste", "drop"])
def test_images_can_be_pasted_and_dropped_anywhere(page: Page, aws: Cloud, kind: str) -> None:
    if kind == "drop":
        transfer(page, "dragover", picture("a.jpg", photo(), "image/jpeg"))
        expect(page.locator("body")).to_have_class("over")
    with stand_in(aws):
        transfer(page, kind, picture("a.jpg", photo(), "image/jpeg"), picture("cat.png", CAT))
        expect(page.locator(".card .state")).to_have_text([label_of(photo()), label_of(CAT)])
    expect(page.locator("body")).not_to_have_class("over")


def test_sixty_images_all_get_answers(page: Page, aws: Cloud) -> None:
    pictures = [encoded(numbered(number)) for number in range(100, 160)]
    with stand_in(aws, threads=2):
        page.set_input_files("#files", [picture(f"{i}.png", d) for i, d in enumerate(pictures)])
        expect(page.locator("#progress")).to_have_text("60 of 60", timeout=60_000)
    expect(page.locator(".card .state")).to_have_text([label_of(data) for data in pictures])
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#results")).to_be_hidden()
    expect(page.locator(".card")).to_have_count(0)


def test_temporary_failures_are_retried(page: Page, aws: Cloud) -> None:
    refused: list[str] = []

    def refuse_twice(route: Route) -> None:
        if len(refused) == 2:
            route.continue_()
            return
        refused.append(route.request.url)
        body = {"code": "try_later", "detail": "the image cannot be accepted now"}
        route.fulfill(status=503, headers={"Retry-After": "1"}, json=body)

    page.route("**/v1/jobs", refuse_twice)
    with stand_in(aws):
        page.set_input_files("#files", [picture("cat.png", CAT)])
        expect(page.locator(".card .state")).to_contain_text("Trying again in 1.0 s")
        expect(page.locator(".card .state")).to_have_text(label_of(CAT))
    assert len(refused) == 2


def test_api_key_is_asked_for_once_per_tab(page: Page, aws: Cloud, web: Web) -> None:
    def door(route: Route) -> None:
        if route.request.headers.get("authorization") == "Bearer right":
            route.continue_()
        else:
            route.fulfill(status=401, json={"code": "no_key", "detail": "a key is needed"})

    page.route("**/v1/**", door)
    page.reload()
    expect(page.get_by_label("This service asks for an API key")).to_be_focused()
    with stand_in(aws):
        page.set_input_files("#files", [picture("cat.png", CAT)])
        page.locator("#key").fill("wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#key-label")).to_contain_text("does not accept this key")
        page.locator("#key").fill("right")
        page.keyboard.press("Enter")
        expect(page.locator("#key-form")).to_be_hidden()
        expect(page.locator(".card .state")).to_have_text(label_of(CAT))
    expect(page.locator("#curl")).to_have_text(
        f'curl -H "Authorization: Bearer $KEY" -F file=@cat.jpg {web.url}/v1/classify'
    )
    with page.expect_response("**/v1/fleet") as answer:
        page.reload()
    assert answer.value.status != 401, "the tab remembers the key"
    expect(page.locator("#key-form")).to_be_hidden()


def test_page_works_below_a_public_path(page: Page, aws: Cloud, tmp_path: Path) -> None:
    with stand_in(aws), web_daemon(aws, tmp_path, WEB__PUBLIC_PATH="/vision") as below:
        page.goto(f"{below.url}/vision")
        expect(page).to_have_url(f"{below.url}/vision/")
        page.set_input_files("#files", [picture("cat.png", CAT)])
        expect(page.locator(".card .state")).to_have_text(label_of(CAT))
        command = f"curl -F file=@cat.jpg {below.url}/vision/v1/classify"
        expect(page.locator("#curl")).to_have_text(command)


def test_copied_shell_command_works(page: Page, aws: Cloud, web: Web) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"], origin=web.url)
    page.get_by_role("button", name="Copy").click()
    expect(page.locator("#copy")).to_have_text("Copied")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == f"curl -F file=@cat.jpg {web.url}/v1/classify"
    with stand_in(aws):
        answer = web.post(
            command.removeprefix(f"curl -F file=@cat.jpg {web.url}"),
            files={"file": ("cat.jpg", CAT)},
        )
    assert answer.json()["label"] == label_of(CAT)
