"""The argument of a model's forward that takes cached keys and values.

It is called `cache` since transformers 5.24, and `past_key_values` before.
"""

from __future__ import annotations

import inspect
from typing import Any


def cache_argument(model: Any, cache: Any) -> dict[str, Any]:
    """The cache as a keyword argument of the model's forward, which adds to it in place."""
    names = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in names else "past_key_values": cache}
