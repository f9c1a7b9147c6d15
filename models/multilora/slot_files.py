"""Saves a slot while it is trained, as one file that is written whole or not at all.

The file holds the slot's values, both moments and its progress.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from hone.errors import Damaged
from hone.files import write_bytes
from models.multilora.bank import SlotSpec, SlotState


def write_slot(path: Path, state: SlotState, told: dict[str, Any]) -> None:
    """`told` is the caller's own record: anything that JSON can spell."""
    tensors = {"values": state.values_P, "first": state.first_P, "second": state.second_P}
    record = {"updates": state.updates, "steps": state.steps, "told": told}
    write_bytes(path, save(tensors, metadata={"record": json.dumps(record)}))


def read_slot(path: Path, spec: SlotSpec) -> tuple[SlotState, dict[str, Any]]:
    """The slot of an adapter that is trained as `spec` says, and the caller's record."""
    try:
        with safe_open(path, "pt") as file:
            values, first, second = map(file.get_tensor, ("values", "first", "second"))
            record = json.loads((file.metadata() or {})["record"])
        state = SlotState(spec, values, first, second, record["updates"], record["steps"])
        return state, record["told"]
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise Damaged(f"{path} cannot be read ({error}); remove it to start anew") from None
