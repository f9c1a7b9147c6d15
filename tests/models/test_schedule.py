"""Rate schedules: where they begin, how they fall, and that a warm-up only rises."""

from __future__ import annotations

import pytest

from models.multilora.schedule import FALLS, rate_share


def shares(schedule: str, steps: int, warmup: float) -> list[float]:
    return [rate_share(schedule, step, steps, warmup) for step in range(steps)]


@pytest.mark.parametrize("schedule", FALLS)
@pytest.mark.parametrize("warmup", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 7, 40])
def test_every_step_moves_and_none_more_than_the_rate(
    schedule: str, warmup: float, steps: int
) -> None:
    found = shares(schedule, steps, warmup)
    assert all(0 < share <= 1 for share in found)
    top = found.index(max(found))
    assert found[: top + 1] == sorted(found[: top + 1])
    assert found[top:] == sorted(found[top:], reverse=True)


def test_their_shapes() -> None:
    assert shares("constant", 4, 0.5) == [0.5, 1, 1, 1]
    assert shares("linear", 4, 0) == [1, 0.75, 0.5, 0.25]
    assert shares("cosine", 4, 0) == pytest.approx([1, 0.853553, 0.5, 0.146447], abs=1e-6)
    assert shares("linear", 10, 0.4) == pytest.approx(
        [0.25, 0.5, 0.75, 1, 1, 5 / 6, 4 / 6, 3 / 6, 2 / 6, 1 / 6]
    )
