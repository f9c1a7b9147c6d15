"""The service's page in a real Chromium, asked of a real server: it shows what is held, finds,
draws, obeys the keyboard, and fits phone and desk."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from server_process import Running, start, vector

from kb.store import KnowledgeBase
from server.admission import VARIABLE

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")
KEY = "a-key-that-is-long-enough"
Open = Callable[..., Any]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def running(folder: Path) -> Iterator[Running]:
    """With one knowledge base; what is pasted is embedded."""
    server = start("--knowledge_base_path", folder, "--embed_queries")
    yield server
    server.stop()
    server.process.communicate()


@pytest.fixture(scope="module")
def locked(folder: Path, texts: Path) -> Iterator[Running]:
    """With two, and a key; nothing is embedded."""
    server = start(
        *("--knowledge_base_path", texts, "--more_knowledge_bases", f"arc={folder}"),
        environ={VARIABLE: KEY},
    )
    yield server
    server.stop()
    server.process.communicate()


@pytest.fixture
def open_page(browser: Any) -> Iterator[Open]:
    """Opens an address; in the end nothing was asked of elsewhere, and nothing went wrong."""
    faults: list[str] = []
    opened: list[Any] = []

    def open_(server: Running, place: str = "", **how: Any) -> Any:
        page = browser.new_page(viewport={"width": 1280, "height": 900}, **how)
        opened.append(page)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: said.type == "error" and faults.append(said.text))
        page.on("request", lambda asked: elsewhere(server, asked.url) and faults.append(asked.url))
        page.goto(f"{server.url}/{place}")
        return page

    yield open_
    for page in opened:
        page.close()
    expected = ("status of 401", "status of 422")
    assert [one for one in faults if not any(words in one for words in expected)] == []


@pytest.fixture
def page(open_page: Open, running: Running) -> Any:
    return open_page(running)


def elsewhere(server: Running, address: str) -> bool:
    return not address.startswith((server.url, "data:"))


def names(page: Any) -> list[str]:
    """The records that are shown, once the view stands."""
    page.wait_for_selector("#view:not([aria-busy]) .card")
    return list(page.locator("#view .card h2").all_inner_texts())


def until_first_is(page: Any, name: str) -> None:
    page.wait_for_function(
        "name => document.querySelector('#view .card h2')?.textContent === name", arg=name
    )


def test_it_shows_what_is_held(page: Any) -> None:
    assert names(page) == [str(n) for n in range(12)]
    assert page.locator("h1").inner_text() == "kb" and page.title() == "kb \u00b7 Hone"
    assert page.locator(".facts dd").first.inner_text() == "65"
    first = page.locator(".card").first
    assert first.locator("svg.grid").count() >= 4
    assert "generators:40" in first.inner_text()


def test_records_are_leafed_through(page: Any) -> None:
    names(page)
    page.locator(".leaf", has_text="next").first.click()
    until_first_is(page, "12")
    page.locator(".chip", has_text="generators:25:1").click()
    until_first_is(page, "40")
    page.locator(".leaf", has_text="last").first.click()
    until_first_is(page, "64")
    page.go_back()
    until_first_is(page, "40")
    page.locator(".leaves input").first.fill("25")
    page.keyboard.press("Enter")
    until_first_is(page, "64")


def test_more_like_this(page: Any, running: Running) -> None:
    names(page)
    page.locator(".card", has_text="more like this").nth(3).locator(".like").click()
    page.wait_for_selector("h2.between")
    asked = httpx.get(f"{running.url}/v1/neighbours", params={"record": 3}, trust_env=False)
    found = [str(hit["id"]) for hit in asked.json()["hits"][0]]
    assert names(page) == ["3", *found]
    assert "similarity" in page.locator(".card").nth(1).inner_text()


def test_there_is_no_page_beyond_the_last(open_page: Open, running: Running) -> None:
    assert names(open_page(running, "#start=5000")) == ["64"]
    assert names(open_page(running, "#view=like&record=nobody"))[0] == "0"


def test_a_pasted_task_is_found(page: Any, folder: Path) -> None:
    base = KnowledgeBase.open(folder)
    task = base.records([9])[0].prompt
    base.close()
    names(page)
    page.keyboard.press("/")
    page.locator("textarea").fill(json.dumps(json.loads(task)))
    page.locator("form.asking button").click()
    until_first_is(page, "9")
    assert "similarity 1.000" in page.locator(".card").first.inner_text()
    page.locator("textarea").fill("no task")
    page.keyboard.press("Control+Enter")
    page.wait_for_selector(".fault")
    assert "holds ARC tasks" in page.locator(".fault").inner_text()


def test_the_map_leads_to_records(open_page: Open, running: Running) -> None:
    page = open_page(running, "#view=map")
    page.wait_for_selector("svg.plane")
    assert page.locator(".plane circle:not(.ring)").count() == 65
    assert page.locator(".plane .tone-1").count() == 25
    page.locator("svg.plane").focus()
    page.keyboard.press("ArrowRight")
    first = names(page)
    page.keyboard.press("ArrowLeft")
    page.wait_for_function(
        "name => document.querySelector('.chosen h2').textContent !== name", arg=first[0]
    )
    page.locator("svg.plane").click(position={"x": 300, "y": 200})
    assert len(names(page)) == 1
    for width in (390, 1280):
        page.set_viewport_size({"width": width, "height": 844})
        page.keyboard.press("ArrowUp")
        page.wait_for_function(
            "document.querySelector('.chosen h2').getBoundingClientRect().bottom < innerHeight"
        )


def test_load_is_told_as_it_happens(open_page: Open, running: Running) -> None:
    page = open_page(running, "#view=load")
    page.wait_for_selector(".load .facts")
    for seed in range(5):
        asked = {"vectors": [vector(seed)], "k": 3}
        httpx.post(f"{running.url}/v1/search", json=asked, trust_env=False)
    page.wait_for_function(
        "() => Number(document.querySelector('.load .facts dd').textContent) > 0", timeout=8000
    )
    told = page.locator(".load").inner_text()
    assert "0 of 1,024" in told and "MiB" in told and " ms" in told


def test_the_keyboard_reaches_everything(page: Any) -> None:
    def focused() -> str:
        return str(page.evaluate("document.activeElement.getAttribute('aria-label')"))

    names(page)
    for key in "jjjk":
        page.keyboard.press(key)
    assert focused() == "record 1"
    page.keyboard.press("Enter")
    page.wait_for_selector("h2.between")
    page.keyboard.press("Escape")
    until_first_is(page, "0")
    page.keyboard.press("n")
    until_first_is(page, "12")
    page.keyboard.press("p")
    until_first_is(page, "0")
    page.keyboard.press("3")
    page.wait_for_selector("svg.plane")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#keys").is_hidden() and page.locator("svg.plane").is_visible()


def test_a_key_is_asked_for_and_kept_for_the_tab(open_page: Open, locked: Running) -> None:
    page = open_page(locked)
    for key, says in (("wrong", "Its operator gives out keys"), (KEY, "this key is not known")):
        page.wait_for_function(
            "says => document.getElementById('key-why').textContent.startsWith(says)", arg=says
        )
        page.locator("#key").fill(key)
        page.keyboard.press("Enter")
    assert names(page)[0] == "0"
    page.reload()
    assert names(page)[0] == "0" and page.locator("#key-asked").is_hidden()
    page.locator(".chip", has_text="arc").click()
    page.wait_for_selector(".card svg.grid")
    page.keyboard.press("b")
    page.wait_for_selector(".card.text")
    page.keyboard.press("2")
    page.wait_for_selector(".nothing")
    assert "--embed_queries" in page.locator(".nothing").inner_text()


def test_who_gives_no_key_is_told_so_once(open_page: Open, locked: Running) -> None:
    page = open_page(locked)
    page.wait_for_selector("#key-asked[open]")
    page.keyboard.press("Escape")
    page.wait_for_selector(".fault")
    assert "a key is needed" in page.inner_text(".fault")
    assert page.locator("#key-asked").is_hidden()


def test_texts_are_shown_as_texts(open_page: Open, locked: Running) -> None:
    page = open_page(locked, "#start=30")
    page.locator("#key").fill(KEY)
    page.keyboard.press("Enter")
    assert names(page) == ["30"]
    assert page.locator(".words").first.inner_text() == "<img src=x onerror=alert(1)> & <b>bold</b>"
    answer = page.locator(".words").nth(1)
    before = answer.bounding_box()["height"]
    page.locator(".more").click()
    assert answer.bounding_box()["height"] > before


@pytest.mark.parametrize("view", ["browse", "search", "map", "load", "like&record=3"])
def test_nothing_sticks_out_on_a_phone_or_a_desk(
    open_page: Open, running: Running, view: str
) -> None:
    page = open_page(running, f"#view={view}")
    page.wait_for_selector("#view:not([aria-busy]) *")
    for width in (360, 768, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_it_is_dark_where_the_reader_is(open_page: Open, running: Running) -> None:
    colours = {
        scheme: open_page(running, color_scheme=scheme).evaluate(
            "getComputedStyle(document.body).backgroundColor"
        )
        for scheme in ("light", "dark")
    }
    assert colours == {"light": "rgb(250, 249, 246)", "dark": "rgb(22, 22, 20)"}


def test_an_unknown_base_is_said_to_be_unknown(open_page: Open, running: Running) -> None:
    page = open_page(running, "#base=nobody&view=like&record=0")
    page.wait_for_selector(".fault")
    assert "no knowledge base 'nobody'; there are: kb" in page.inner_text(".fault")
    page.locator(".chip", has_text="kb").click()
    assert names(page)[0] == "0"
