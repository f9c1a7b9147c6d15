"""Confidence beside truth, band by band."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.calibration import BANDS, bands, error, print_calibration

told = st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=30)


@given(told)
def test_every_attempt_is_in_the_band_of_its_confidence(ones: list[tuple[float, bool]]) -> None:
    found = bands(ones)
    assert sum(band.count for band in found) == len(ones)
    assert sum(band.count * band.right for band in found) == pytest.approx(sum(r for _, r in ones))
    assert all(band.low <= band.sure + 1e-9 and band.sure <= band.high + 1e-9 for band in found)
    assert [band.low for band in found] == sorted({band.low for band in found})


def test_what_is_right_as_often_as_it_is_sure_has_no_error() -> None:
    honest = [(0.5, True), (0.5, False), (1.0, True)]
    assert error(bands(honest)) == 0 == error([])
    assert error(bands([(1.0, False), (0.0, False)])) == pytest.approx(0.5)


def test_the_table_has_a_line_each_and_a_column_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_calibration({"hybrid": [(0.9, True), (0.95, False), (0.1, False)], "experts": []})
    head, first, second = capsys.readouterr().out.strip().split("\n")
    assert head.count("%") == BANDS and "80-100 %" in head
    assert "50% of 2" in first and "0% of 1" in first and first.endswith("0.317")
    assert second.split()[0] == "experts" and second.endswith("0.000")
