"""Rows of grids as one SVG: well-formed, whole, and with the wrong cells outlined."""

from __future__ import annotations

from xml.etree import ElementTree

from arc.grid import grid
from eval.picture import stacked

SVG = "{http://www.w3.org/2000/svg}"
ONE, TWO = grid([[1, 2], [3, 4]]), grid([[1, 2], [3, 5]])


def test_rows_stand_below_each_other() -> None:
    rows = [
        ("a <task> & more", [("test input", ONE), ("expected", ONE), ("after", TWO)]),
        ("none", [("test input", ONE), ("expected", ONE), ("after", None)]),
    ]
    root = ElementTree.fromstring(stacked(rows))
    titles = [text.text for text in root.findall(f"{SVG}text")]
    assert titles == ["a <task> & more", "none"]
    inner = root.findall(f"{SVG}svg")
    assert int(inner[1].attrib["y"]) >= int(inner[0].attrib["y"]) + int(inner[0].attrib["height"])
    assert int(root.attrib["height"]) >= int(inner[1].attrib["y"]) + int(inner[1].attrib["height"])
    assert all(int(root.attrib["width"]) >= int(part.attrib["width"]) for part in inner)


def differing(title: str) -> int:
    drawn = ElementTree.fromstring(stacked([("t", [(title, ONE), ("after", TWO)])]))
    return len(drawn.findall(f".//{SVG}rect[@class='differs']"))


def test_cells_that_differ_from_what_was_expected_are_outlined() -> None:
    assert differing("expected") == 2  # a white line and a black one
    assert differing("test input") == 0
