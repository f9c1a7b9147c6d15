"""What stands before many stretches is attended to as if it stood before each."""

from __future__ import annotations

import pytest
import torch

from models.decoding.trunk_attention import joined
from models.multilora import kernels

BEFORE, LENGTHS, WIDTH = 70, (9, 1, 33), 16


@pytest.mark.skipif(not kernels.available(), reason="no C++ compiler")
@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.bfloat16, 2e-2)])
@pytest.mark.parametrize(("heads", "groups"), [(4, 4), (4, 2), (3, 1)])
def test_it_is_the_masked_attention_of_each(
    dtype: torch.dtype, near: float, heads: int, groups: int
) -> None:
    torch.manual_seed(0)
    tokens, scale = sum(LENGTHS), 0.3
    q = torch.randn(tokens, heads, WIDTH).to(dtype)
    k, v = (torch.randn(tokens, groups, WIDTH).to(dtype) for _ in range(2))
    before = tuple(torch.randn(1, groups, BEFORE, WIDTH).to(dtype) for _ in range(2))
    ends = torch.tensor(LENGTHS).cumsum(0).tolist()
    starts = torch.tensor([0, *ends], dtype=torch.int32)
    within, lse = kernels.attention(q, k, v, starts, scale)
    found = joined(within, lse, q, (before[0], before[1]), scale)
    for end, length in zip(ends, LENGTHS, strict=True):
        own = slice(end - length, end)
        keys, values = (
            torch.cat((there, here[own].transpose(0, 1)[None]), 2).double()
            for there, here in zip(before, (k, v), strict=True)
        )
        seen = torch.ones(length, BEFORE + length, dtype=torch.bool).tril(BEFORE)
        whole = torch.nn.functional.scaled_dot_product_attention(
            q[own].transpose(0, 1)[None].double(),
            keys,
            values,
            attn_mask=seen,
            scale=scale,
            enable_gqa=True,
        )
        expected = whole[0].transpose(0, 1).reshape(length, -1)
        assert found.dtype == dtype
        torch.testing.assert_close(found[own].double(), expected, rtol=near, atol=near)
