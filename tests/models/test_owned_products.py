"""Products by slot: C++ and plain torch against one matrix at a time in fp64."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from models.multilora import kernels
from models.multilora.owned import Owned
from models.multilora.owned_products import add_outer_own, add_times_own, times_own

# tokens of each slot: unequal with idle ones, equal, a single one, nothing at all
COUNTS = [[5, 0, 130, 33, 1], [64, 64, 64], [0, 40, 40, 0], [1], [0, 0]]
SIZES = [(16, 48), (4, 7), (1, 1), (48, 192), (33, 130)]  # rank, width
DTYPES = [torch.float32, torch.bfloat16]
pytestmark = pytest.mark.usefixtures("either")  # with and without the C++


class Case:
    """A line of tokens, wide and narrow, and a matrix for each slot; all strided views."""

    def __init__(self, counts: list[int], size: tuple[int, int], dtype: torch.dtype) -> None:
        torch.manual_seed(sum(counts) + size[1])
        self.owned, (rank, width) = Owned.counted(counts), size
        self.x = torch.randn(sum(counts), width + 3).to(dtype)[:, 1 : width + 1]
        self.h = torch.randn(sum(counts), rank + 2).to(dtype)[:, 2:]
        flat = torch.randn(len(counts), rank * width + 5).to(dtype)
        self.m = flat[:, 3 : 3 + rank * width].view(len(counts), rank, width)

    def by_slot(self, one: Callable[[int, slice], torch.Tensor]) -> list[torch.Tensor]:
        return [one(k, slice(a, b)) for k, a, b in self.owned.spans]


def near(found: torch.Tensor, right: list[torch.Tensor], dtype: torch.dtype) -> None:
    if not right:
        return
    want = torch.cat(right)
    bound = 1e-5 if dtype == torch.float32 else 1e-2
    assert float((found.double() - want).norm()) <= bound * float(want.norm())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("counts", COUNTS)
def test_every_token_meets_its_own_matrix(
    counts: list[int], size: tuple[int, int], dtype: torch.dtype
) -> None:
    case = Case(counts, size, dtype)
    x, h, m = case.x.double(), case.h.double(), case.m.double()
    found = times_own(case.x, case.m, case.owned)
    near(found, case.by_slot(lambda k, own: x[own] @ m[k].t()), dtype)
    out = torch.full((len(found), size[0] + 4), 7.0, dtype=dtype)
    times_own(case.x, case.m, case.owned, out=out[:, 3:-1])
    assert torch.equal(out[:, 3:-1], found) and bool((out[:, [0, 1, 2, -1]] == 7).all())
    onto = case.x.clone()
    add_times_own(onto, case.h, case.m, case.owned)
    near(onto, case.by_slot(lambda k, own: x[own] + h[own] @ m[k]), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("counts", COUNTS)
def test_every_slot_adds_up_its_own_tokens(
    counts: list[int], size: tuple[int, int], dtype: torch.dtype
) -> None:
    case = Case(counts, size, dtype)
    x, h, before = case.x.double(), case.h.double(), case.m.float()
    total = before.clone()
    add_outer_own(total, case.h, case.x, case.owned)
    idle = [k for k in range(len(counts)) if not counts[k]]
    assert torch.equal(total[idle], before[idle])
    taken = [k for k, _, _ in case.owned.spans]
    wanted = case.by_slot(lambda k, own: (before[k].double() + h[own].t() @ x[own])[None])
    near(total[taken], wanted, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_neighbours_and_threads_change_no_bit(dtype: torch.dtype) -> None:
    """The same shapes with NaNs in one slot, by one thread and by two."""
    case = Case([70, 300, 41], (16, 200), dtype)

    def all_three() -> list[torch.Tensor]:
        total, onto = torch.zeros(case.m.shape), case.x.clone()
        add_outer_own(total, case.h, case.x, case.owned)
        add_times_own(onto, case.h, case.m, case.owned)
        return [
            total[[0, 2]],
            torch.cat(
                [
                    part[[*range(70), *range(370, 411)]]
                    for part in (onto, times_own(case.x, case.m, case.owned))
                ],
                dim=1,
            ),
        ]

    threads = torch.get_num_threads()
    before = all_three()
    case.x[70:370], case.h[70:370], case.m[1] = torch.nan, torch.nan, torch.nan
    poisoned = all_three()
    torch.set_num_threads(1)
    try:
        alone = all_three()
    finally:
        torch.set_num_threads(threads)
    for one, other in zip(before, poisoned, strict=True):
        assert torch.equal(one, other)
    if kernels.available():
        for one, other in zip(before, alone, strict=True):
            assert torch.equal(one, other)
