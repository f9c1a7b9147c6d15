"""The finished base: an ordinary Hugging Face folder in bf16, with its format and its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hone.files import whole_folder, write_json, write_text
from models.quiet import quiet_loading
from models.training.card import card
from models.training.checkpoint import BASE
from models.training.new_model import without_vectors
from models.training.record import (
    PAIRS,
    TRAINING_DATA,
    Record,
    trained_pairs,
    training_data,
    training_record,
)
from models.training.settings import asked_as
from models.training.sources import Source

READS = 8  # times the longest episode that it was trained on


def write_base(
    out_dir: Path, model: Any, record: Record, sources: Sequence[Source], device: str, peak: float
) -> Path:
    """`out_dir`/base, whole or not at all; the model is left in bf16, without its task vectors."""
    settings, pairs = record.settings, trained_pairs(sources)
    context = READS * settings["max_tokens"]
    data = training_data(sources, pairs)
    without_vectors(model)
    told = training_record(record, sum(p.numel() for p in model.parameters()), device, peak)
    with whole_folder(out_dir / BASE) as folder:
        with quiet_loading():
            model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "model.safetensors").chmod(0o644)  # safetensors writes for the owner alone
        write_json(folder / "arc_format.json", _form(settings, context))
        np.save(folder / PAIRS, pairs)
        write_json(folder / TRAINING_DATA, data)
        write_json(folder / "training_record.json", told)
        write_text(folder / "README.md", card(data, told, context))
    return out_dir / BASE


def _form(settings: dict[str, Any], context: int) -> dict[str, Any]:
    return {
        "format": "canvas",
        "positions": settings["positions"],
        "mode": asked_as(settings["mode"]),
        "max_tokens": context,
    }
