"""The report in a real Chromium: it draws, filters, obeys the keyboard, and fits phone and desk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from eval_rows import results, row

from eval.report.page import report_of

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on the path")

SEEN = {"base": ["train 0"]}
ROWS = [
    row([True], [False], name="gained", losses=[1.0, 0.5, 0.2]),
    row([True, False], [False, False], name="two_tests"),
    row(
        *([False], [True]),
        name="lost",
        grids=("222/222", "1"),
        decision="nothing to train on",
        stands_on="cohort",
    ),
    row(None, None, name="unknown", decision="quarantined"),
    row([True], [True], name="seen", leaked=SEEN),
    *(row([True], [True], name=f"both{n}") for n in range(395)),
]
RETRIEVED = [{"id": 5, "source": "kb", "score": 0.91, "multiplicity": 2}]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ROWS[0]["trace"]["retrieved"] = RETRIEVED
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(report_of(results(ROWS, neighbours={"5": ["12/34", "4"]})))
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def page(browser: Any, file: Path) -> Iterator[Any]:
    opened = browser.new_page(viewport={"width": 1280, "height": 900})
    faults: list[str] = []
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("console", lambda said: said.type == "error" and faults.append(said.text))
    opened.on("request", lambda asked: asked.url != file.as_uri() and faults.append(asked.url))
    opened.goto(file.as_uri())
    yield opened
    opened.close()
    assert [fault for fault in faults if not fault.startswith("data:")] == []


def shown(page: Any) -> list[str]:
    return list(page.locator(".card:visible h2").all_inner_texts())


def test_it_draws_the_run(page: Any) -> None:
    assert page.locator("h1").inner_text() == "396 of 398 tasks solved"
    assert page.locator(".map i").count() == 400 == page.locator(".card").count()
    first = page.locator("#tasks .card").first
    assert first.locator(".kind").first.inner_text() == "TTT only"
    assert first.locator(".demos svg.grid").count() == 4
    assert first.locator(".test .shown.right").count() == 1
    assert page.locator("article[aria-label=lost] .attempts path.differs").count() >= 1
    unknown = page.locator("article[aria-label=unknown] .adapter")
    assert unknown.inner_text() == "training gave a NaN: answered by the base"
    lost = page.locator("article[aria-label=lost] .adapter")
    assert lost.inner_text() == "nothing to train on: answered by the shared adapter"
    assert "has seen train 0" in page.locator("article[aria-label=seen]").inner_text()


def test_cards_far_away_are_not_drawn_yet(page: Any) -> None:
    assert 0 < page.locator(".puzzle").count() < 50
    page.keyboard.press("d")
    assert page.locator(".card.open").count() == 400 and page.locator(".puzzle").count() < 50


def test_filters_and_search(page: Any) -> None:
    page.locator(".chip.lost").click()
    assert shown(page) == ["lost"] and page.locator("#count").inner_text() == "1 of 400 tasks"
    page.locator(".chip.gained").click()
    assert shown(page) == ["gained", "lost"]
    page.locator("#words").fill("nobody")
    assert shown(page) == [] and page.locator("#nothing").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#count").inner_text() == "400 tasks"
    page.locator(".chip.unchosen").click()
    assert "lost" in shown(page)
    page.locator("#bar select").select_option("by name")
    assert shown(page) == sorted(shown(page))


def test_the_keyboard_reaches_everything(page: Any) -> None:
    def current() -> str:
        return str(page.locator(".card.current h2").inner_text())

    page.keyboard.press("j")
    assert current() == "gained" and page.evaluate("location.hash") == "#gained"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert current() == "two_tests"
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    opened = page.locator(".card.current.open")
    assert opened.locator(".vote").count() == 3 and opened.locator(".curve polyline").count() == 1
    assert "0.91 \u00d72" in opened.locator(".neighbour").inner_text()
    assert opened.locator(".neighbour .pair svg.grid").count() == 2
    assert "trained for this task" in opened.locator(".story").inner_text()
    page.keyboard.press("/")
    page.keyboard.type("both39")
    assert shown(page) == ["both39", *(f"both39{n}" for n in range(5))]
    page.keyboard.press("Escape")
    page.keyboard.press("1")
    assert page.locator(".chip").first.get_attribute("aria-pressed") == "true"
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert page.locator("#keys").is_hidden()
    assert page.locator(".chip").first.get_attribute("aria-pressed") == "true"


def test_an_address_names_a_task(page: Any, file: Path) -> None:
    page.goto(f"{file.as_uri()}#both300")
    page.wait_for_selector(".card.current")
    assert page.locator(".card.current h2").inner_text() == "both300"
    assert page.locator(".card.current svg.grid").count() > 4


def test_without_a_score_there_is_no_chart(browser: Any) -> None:
    page = browser.new_page()
    page.set_content(report_of(results([row(None, None)])))
    assert page.inner_text("h1") == "No task could be scored"
    assert page.locator(".intervals").count() == 0 and page.locator(".card").count() == 1
    page.close()


def test_settings_are_not_cut_on_a_phone(browser: Any) -> None:
    told = results([row([True], [True])])
    told["settings"] |= {"local_adapter_manager_memory_mb": 256, "view_changes": ["symmetries"] * 9}
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_content(report_of(told))
    page.click(".settings summary")
    assert page.evaluate("(t => t.scrollWidth <= t.clientWidth)(document.querySelector('table'))")
    page.close()


@pytest.mark.parametrize("width", [360, 390, 768, 1280, 1920])
def test_nothing_sticks_out_at_any_width(page: Any, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("width", [360, 1280])
def test_the_longest_rate_is_not_cut_off(browser: Any, tmp_path: Path, width: int) -> None:
    all_of_them = tmp_path / "report.html"
    all_of_them.write_text(report_of(results([row([True], [True])])))
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(all_of_them.as_uri())
    chart, *values = (
        one.bounding_box()
        for name in (".intervals", ".intervals .value")
        for one in page.query_selector_all(name)
    )
    page.close()
    assert len(values) == 2
    assert all(one["x"] + one["width"] <= chart["x"] + chart["width"] for one in values)
