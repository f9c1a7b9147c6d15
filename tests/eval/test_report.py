"""The report is one file that fetches nothing, holds what was told, and no more than it draws."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from eval_rows import results, row
from tiny_bases import small_task, write_tasks

from arc.browser import parts
from eval.report.neighbours import neighbour_pairs
from eval.report.page import PARTS, SCRIPTS, report_of
from eval.report.told import GRIDS, POINTS, run_told, thinned
from kb import build_kb


def told_in(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="told">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


def test_nothing_comes_from_elsewhere() -> None:
    page, tags = report_of(results([row([True], [False])])), Tags()
    tags.feed(page)
    links = [
        value for _, own in tags.seen for name, value in own.items() if name in ("src", "href")
    ]
    assert links == ["data:,"]
    assert "default-src 'none'" in page and "{{" not in page.partition('id="told"')[0]
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)


def test_every_script_is_put_in_once() -> None:
    folders = {PARTS: SCRIPTS, parts.SHARED: parts.SCRIPTS}
    for folder, names in folders.items():
        assert {path.stem for path in folder.glob("*.js")} == set(names)
    page = report_of(results([row([True], [False])]))
    files = [folder / f"{name}.js" for folder, names in folders.items() for name in names]
    assert all(page.count(file.read_text()) == 1 for file in files)


def test_names_cannot_become_markup() -> None:
    name = "</script><script>alert(1)</script>{{data}}"
    page = report_of(results([row([True], [False], name=name)]))
    assert page.count("<script") == 2 and told_in(page)["tasks"][0]["id"] == name


def test_what_is_told_of_a_task() -> None:
    seen = {"base": ["train 0"]}
    rows = [
        row([True], [False], losses=[0.5, 0.25], seat={"left": "steps"}, items=8),
        row([False], [False], grids=("2", "1", "2"), name="unchosen"),
        row(None, None, name="unknown"),
        row([True], [True], name="seen", leaked=seen),
    ]
    told = run_told(results(rows))
    base, after = told["sides"]
    assert (base["solved"], after["solved"], after["rate"]) == (0, 1, 0.5)
    assert told["headline"] == "1 of 2 tasks solved"
    first, unchosen, unknown, leaked = told["tasks"]
    assert [task["sides"][1]["written"] for task in told["tasks"]] == [True, True, None, True]
    test = unchosen["sides"][1]["tests"][0]
    assert [(grid, len(views)) for grid, views, _ in test["grids"]] == [("2", 2), ("1", 1)]
    assert first["sides"][1]["tests"][0]["none"] == 1
    training = first["sides"][1]["training"]
    assert (training["losses"], training["steps"], training["items"]) == ([0.5, 0.25], 2, 8)
    assert unknown["task"]["test"] == [["11/00", None]] and leaked["leaked"] == seen


def test_a_view_that_wrote_several_grids_divides_its_vote() -> None:
    one = row([True], [False], grids=("1", "2", "1", None, None))
    names, parts = ("a", "a", "b", "b", "c"), (0.25, 0.75, 0.5, 0.5, 1.0)
    for written, name, part in zip(one["trace"]["views"][0], names, parts, strict=True):
        written |= {"view": name, "part": part}
    test = run_told(results([one]))["tasks"][0]["sides"][1]["tests"][0]
    assert [(grid, share) for grid, _, share in test["grids"]] == [("1", 0.25), ("2", 0.25)]
    assert (test["views"], test["none"]) == (3, 1)


def test_a_run_that_nothing_is_scored_of_tells_no_rates() -> None:
    told = run_told(results([row(None, None)]))
    assert (told["headline"], told["between"]) == ("No task could be scored", "")
    assert [name for name, _ in told["facts"]][:3] == [
        "tasks an hour",
        "seconds a task",
        "peak memory",
    ]


def test_large_things_are_cut_and_that_is_told() -> None:
    grids = tuple(f"{n:03}" for n in range(GRIDS + 5))
    retrieved = [{"id": n, "source": "kb", "score": 0.5, "multiplicity": 1} for n in range(40)]
    big = row([True], [False], grids=grids, losses=[1.0] * 1000, retrieved=retrieved)
    side = run_told(results([big]))["tasks"][0]["sides"][1]
    assert (len(side["tests"][0]["grids"]), side["tests"][0]["more"]) == (GRIDS, 5)
    assert len(side["training"]["losses"]) <= POINTS and side["training"]["steps"] == 1000
    assert len(side["training"]["retrieved"]) < side["training"]["retrieved_in_all"] == 40


@pytest.mark.parametrize("many", [0, 1, POINTS, POINTS + 1, 1000])
def test_a_thinned_curve_keeps_its_mean(many: int) -> None:
    losses = [float(i % 7) for i in range(many)]
    found = thinned(losses)
    assert len(found) <= POINTS and bool(found) == bool(losses)
    if many <= POINTS:
        assert found == losses


def test_neighbours_are_looked_up_where_they_are(tmp_path: Path) -> None:
    folder = write_tasks(tmp_path / "known", [small_task("a", 3), small_task("b", 4)])
    build_kb.main(["--datasets", str(folder), "--save_dir", str(tmp_path / "kb")])
    asked = row([True], [False], retrieved=[{"id": 1}])
    assert neighbour_pairs(tmp_path / "kb", [asked]) == {"1": ["40/00", "4"]}
    assert neighbour_pairs(None, [asked]) == {} == neighbour_pairs(tmp_path / "kb", [])
