"""What transformers calls the keys and values that a forward goes on from: `cache` since 5.24."""

from __future__ import annotations

import inspect
from typing import Any


def cache_argument(model: Any, cache: Any) -> dict[str, Any]:
    """The argument of the model's forward; the forward adds to the cache in place."""
    names = inspect.signature(model.forward).parameters
    return {"cache" if "cache" in names else "past_key_values": cache}
