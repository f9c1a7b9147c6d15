"""Curves in panels."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from eval.chart import Panel, chart

SVG = "{http://www.w3.org/2000/svg}"
TICKS = [(1.0, "1"), (2.0, "2"), (4.0, "4")]


def test_doublings_are_equally_wide_and_values_as_they_are() -> None:
    panel = Panel("a", {"x": [(1, 0.0), (2, 5.0), (4, 10.0)]}, TICKS, bottom=0.0, top=10.0)
    placed = [panel.at(point) for point in panel.lines["x"]]
    assert placed == [(0.0, 200.0), (125.0, 100.0), (250.0, 0.0)]


def test_a_panel_without_a_bottom_begins_under_its_lowest_point() -> None:
    low, high = Panel("a", {"x": [(1, 0.5), (4, 0.7)]}, TICKS, bottom=None).range
    assert 0.45 < low < 0.5
    assert 0.7 < high < 0.75


def test_a_line_has_one_colour_in_all_panels_and_one_place_in_the_key() -> None:
    first = Panel("<a>", {"x": [(1, 1.0)], "y": [(1, 2.0), (2, 1.0)]}, TICKS)
    second = Panel("b", {"y": [(2, 3.0)]}, TICKS, marked=2.0)
    root = ElementTree.fromstring(chart([[first], [second]], "which"))
    panels = root.findall(f"{SVG}g")
    inks = [
        {path.attrib["stroke"] for path in panel.findall(f"{SVG}path[@fill='none']")}
        for panel in panels
    ]
    assert inks[1] < inks[0] and len(inks[0]) == 2
    assert [text.text for text in root.findall(f"{SVG}text")] == ["which", "x", "y"]
    assert panels[0].findtext(f"{SVG}text") == "<a>"


@pytest.mark.parametrize("values", [(0.31, 0.39), (0.0, 1.0), (3.0, 250.0), (1.0, 1.0)])
def test_a_panel_is_ruled_at_a_few_round_values(values: tuple[float, float]) -> None:
    panel = Panel("a", {"x": [(1, values[0]), (4, values[1])]}, TICKS, bottom=None)
    root = ElementTree.fromstring(chart([[panel]]))
    rules = root.findall(f"{SVG}g/{SVG}path[@stroke='#dddddd']")
    assert 2 <= len(rules) <= 8
