"""How much arithmetic a step of base training needs, to compare its speed with the peak."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arc.formats import Encoded


def flops_of(config: Any, rows: Sequence[Encoded]) -> float:
    """Multiplications and additions of the step's matrix products: the forward, and twice as many
    in the backward. Above the last layer's attention only the labelled places are counted, since no
    others are computed; the optimizer is left out."""
    width, layers = config.hidden_size, config.num_hidden_layers
    tokens, places = sum(map(len, rows)), sum(row.counted for row in rows)
    into, after = 3 * width**2, width**2 + 3 * width * config.intermediate_size
    products = tokens * (layers * into + (layers - 1) * after)
    products += places * (after + width * config.vocab_size)
    seen = sum(len(row) * (len(row) + 1) // 2 for row in rows)
    attention = 2 * layers * width * seen  # scores, and values by their shares
    return 3.0 * 2.0 * float(products + attention)
