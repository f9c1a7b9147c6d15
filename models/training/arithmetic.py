"""How much arithmetic a step of base training is: what its throughput is measured against."""

from __future__ import annotations

from typing import Any

from models.training.line import Line


def flops_of(config: Any, line: Line) -> float:
    """Multiplications and additions of the products, forward and twice that backward. Above the
    last attention only the places that count are computed; the optimizer's are left out."""
    width, layers = config.hidden_size, config.num_hidden_layers
    tokens, places = sum(line.lengths), len(line.places_M)
    into, after = 3 * width**2, width**2 + 3 * width * config.intermediate_size
    products = tokens * (layers * into + (layers - 1) * after)
    products += places * (after + width * config.vocab_size)
    seen = sum(length * (length + 1) // 2 for length in line.lengths)
    attention = 2 * layers * width * seen  # scores, and values by their shares
    return 3.0 * 2.0 * float(products + attention)
