"""Threads side by side: parts of like size, results in their order."""

from __future__ import annotations

from random import Random

import numpy as np
import torch

from arc.formats import Encoded
from models.training.crew import MOST, Crew, shared_out


def row(length: int) -> Encoded:
    return Encoded(*(np.zeros(length, dtype=np.int64) for _ in range(3)))


def test_parts_hold_all_rows_and_nearly_as_many_tokens() -> None:
    rng = Random(0)
    for many in (1, 2, 4):
        rows = [row(rng.randrange(50, 640)) for _ in range(16)]
        parts = shared_out(rows, many)
        assert sorted(map(id, rows)) == sorted(id(one) for part in parts for one in part)
        tokens = [sum(map(len, part)) for part in parts]
        assert len(parts) == many and max(tokens) - min(tokens) <= 640 / many + 50


def test_no_part_is_empty() -> None:
    assert [len(part) for part in shared_out([row(5), row(6)], 4)] == [1, 1]


def test_results_come_in_order_and_each_thread_has_its_share_of_the_cores() -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        crew = Crew(torch.device("cpu"))
        found = crew.map(lambda i: (i, torch.get_num_threads()), range(6))
    finally:
        torch.set_num_threads(before)
    assert crew.size == 2 <= MOST and found == [(i, 1) for i in range(6)]
