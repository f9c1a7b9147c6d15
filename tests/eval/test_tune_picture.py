"""The picture of a tuning: well-formed, everything inside, the best and the given in colour."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

from eval.judged import SETTINGS, Judged
from eval.tune_picture import AS_GIVEN, BEST, picture

SVG = "{http://www.w3.org/2000/svg}"


def judged(candidate: int, rung: int, solved: int) -> Judged:
    rate, rank = (1e-3, 3e-3)[candidate % 2], (8, 16)[candidate // 2 % 2]
    return Judged(candidate, rung, rate, rank, 40, 1.0, 8 * rung, solved, 0.5, 1.0 + candidate)


ROWS = [
    *(judged(i, 1, solved) for i, solved in enumerate((3, 1, 6, 0, 2, 5))),
    *(judged(i, 2, solved) for i, solved in ((0, 5), (2, 9), (5, 8))),
    *(judged(i, 3, solved) for i, solved in ((0, 9), (2, 15))),
]


def named(panel: ElementTree.Element) -> list[ElementTree.Element]:
    """Lines that say whose they are."""
    told = [(path, path.findtext(f"{SVG}title")) for path in panel.findall(f"{SVG}path")]
    return [path for path, words in told if words and "solved" in words]


def test_every_candidate_has_a_line_and_a_dot_that_says_who_it_is() -> None:
    root = ElementTree.fromstring(picture(ROWS))
    rungs, seconds, *values = root.findall(f"{SVG}g")
    assert len(values) == len(SETTINGS)
    lines = named(rungs)
    assert len(lines) == 6 == len(seconds.findall(f"{SVG}circle"))
    assert len(rungs.findall(f"{SVG}circle")) == len(ROWS)
    assert all(len(panel.findall(f"{SVG}circle")) == 6 for panel in values)
    told = [str(line.findtext(f"{SVG}title")) for line in lines]
    assert any("6 of 8 solved" in words or "15 of 24 solved" in words for words in told)


def test_the_best_and_the_given_stand_out() -> None:
    root = ElementTree.fromstring(picture(ROWS))
    rungs = root.find(f"{SVG}g")
    assert rungs is not None
    inks = [path.attrib["stroke"] for path in named(rungs)]
    assert inks[-2:] == [AS_GIVEN, BEST] and inks.count(BEST) == inks.count(AS_GIVEN) == 1
    said = [str(text.text) for text in root.findall(f"{SVG}text")]
    assert any(words.startswith("best: ") and "(62%)" in words for words in said)


@pytest.mark.parametrize("rows", [ROWS, ROWS[:1], [judged(0, 1, 0), judged(1, 1, 0)]])
def test_everything_is_inside(rows: list[Judged]) -> None:
    root = ElementTree.fromstring(picture(rows))
    for group in root.findall(f"{SVG}g"):
        left, top = map(float, group.attrib["transform"][10:-1].split(","))
        for circle in group.findall(f"{SVG}circle"):
            assert 0 <= left + float(circle.attrib["cx"]) <= float(root.attrib["width"])
            assert 0 <= top + float(circle.attrib["cy"]) <= float(root.attrib["height"])
