"""Writes the finished base: a Hugging Face folder in bf16, with its format and its record."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from hone.files import whole_folder, write_json
from models.quiet import quiet_loading
from models.training.checkpoint import BASE
from models.training.material import Material
from models.training.new_model import without_vectors
from models.training.record import Record, training_record


def write_base(
    out_dir: Path, model: Any, record: Record, material: Material, device: str, peak: float
) -> Path:
    """Writes `out_dir`/base whole or not at all; leaves the model in bf16, without task vectors."""
    without_vectors(model)
    told = training_record(record, sum(p.numel() for p in model.parameters()), device, peak)
    with whole_folder(out_dir / BASE) as folder:
        with quiet_loading():
            model.to(torch.bfloat16).save_pretrained(folder)
        (folder / "model.safetensors").chmod(0o644)  # safetensors lets only the owner read
        write_json(folder / "training_record.json", told)
        material.describe(folder, told)
    return out_dir / BASE
