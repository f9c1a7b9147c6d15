"""Resident or packed: the same base in two forms, and how a base is packed while it is read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_bases import write_canvas_base
from tiny_models import SIZES, tiny_llama
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

from hone.errors import BadInput, Damaged
from models import base as bases
from models.base import Base, load_base
from models.free_memory import free_bytes
from models.frozen_linear import is_frozen_linear
from models.packed_linear import PackedLinear

torch.set_num_threads(1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_canvas_base(tmp_path / "llama")


def sharded(folder: Path) -> Path:
    tiny_llama(torch.float32).save_pretrained(folder, max_shard_size="20KB")
    assert len(list(folder.glob("*.safetensors"))) > 2
    return folder


def tied_qwen(folder: Path) -> Path:
    """Biases, and a head that is the embedding."""
    model = Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=True))
    nn.init.normal_(model.model.layers[0].self_attn.q_proj.bias)
    model.save_pretrained(folder)
    return folder


KINDS = {"llama": write_canvas_base, "sharded": sharded, "tied": tied_qwen}


def logits_of(base: Base) -> torch.Tensor:
    ids = torch.arange(8)[None]
    logits: torch.Tensor = base.model(ids, attention_mask=torch.ones_like(ids)).logits
    return logits


@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_packed_base_is_the_resident_one_in_another_form(
    tmp_path: Path, kind: str, dtype: str
) -> None:
    folder = KINDS[kind](tmp_path / "base")
    (folder / "arc_format.json").write_text('{"format": "canvas"}')
    resident, packed = (
        load_base(folder, dtype=dtype, quantization="nf4", residency=residency)
        for residency in ("resident", "packed")
    )
    assert (resident.residency, packed.residency) == ("resident", "packed")
    assert packed.fingerprint == resident.fingerprint
    assert torch.equal(logits_of(packed), logits_of(resident))
    kinds = {n: type(m) for n, m in packed.model.named_modules() if is_frozen_linear(m)}
    assert kinds.pop("lm_head") is nn.Linear
    assert len(kinds) == 14 and set(kinds.values()) == {PackedLinear}
    assert vars(packed.model.config).keys() == vars(resident.model.config).keys()
    assert not any(p.requires_grad for p in packed.model.parameters())


def test_where_the_memory_is_short_the_base_is_packed_and_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert load_base(folder, quantization="nf4").residency == "resident"
    monkeypatch.setattr(bases, "free_bytes", lambda device: 10_000)
    assert load_base(folder, quantization="nf4").residency == "packed"
    assert capsys.readouterr().err.count("GB are free on cpu; its 4-bit codes are kept") == 1
    asked = load_base(folder, quantization="nf4", residency="resident")
    assert (asked.residency, asked.notes) == ("resident", ())
    assert load_base(folder).residency == "resident"  # not quantized: nothing to pack


@pytest.mark.parametrize("quantization", ["auto", "none"])
def test_packed_without_codes_is_refused(folder: Path, quantization: str) -> None:
    with pytest.raises(BadInput, match=r"residency packed .*; add --quantization nf4"):
        load_base(folder, quantization=quantization, residency="packed")


def test_a_residency_that_is_not_one_is_refused(folder: Path) -> None:
    with pytest.raises(BadInput, match="residency is 'disk'; use one of auto, resident, packed"):
        load_base(folder, residency="disk")


@pytest.mark.parametrize(("key", "value"), [("num_hidden_layers", 3), ("intermediate_size", 40)])
def test_weights_that_do_not_fit_the_configuration_are_damage(
    folder: Path, key: str, value: int
) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {key: value}))
    with pytest.raises(Damaged):
        load_base(folder, quantization="nf4", residency="packed")


def test_free_memory_is_some_of_the_machines() -> None:
    free = free_bytes(torch.device("cpu"))
    assert free is not None
    assert 0 < free < os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


LOAD_BOTH = """
import sys, torch; from models.base import load_base
torch.set_num_threads(1)

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1e3

for residency in ("packed", "resident"):
    load_base(sys.argv[1], quantization="nf4", residency=residency)  # what loading itself imports
tops = [peak()]
for residency in ("packed", "resident"):
    base = load_base(sys.argv[2], dtype="fp32", quantization="nf4", residency=residency)
    tops.append(peak())
    del base
print(tops[1] - tops[0], tops[2] - tops[0])
"""


def write_wide_base(folder: Path) -> float:
    """25M parameters in bf16; how many MB they are in fp32."""
    sizes = {"vocab_size": 32, "hidden_size": 512, "intermediate_size": 1408}
    heads = {"num_attention_heads": 8, "num_key_value_heads": 8, "num_hidden_layers": 8}
    with torch.device("meta"):
        model = LlamaForCausalLM(LlamaConfig(**sizes, **heads)).bfloat16()
    model.to_empty(device="cpu")
    for parameter in model.parameters():
        parameter.data.uniform_(-0.05, 0.05)
    model.save_pretrained(folder)
    (folder / "arc_format.json").write_text('{"format": "canvas"}')
    return 4e-6 * sum(p.numel() for p in model.parameters())


def test_packing_while_loading_never_holds_the_dense_weights(folder: Path, tmp_path: Path) -> None:
    dense = write_wide_base(tmp_path / "wide")
    file = dense / 2  # mapped while it is read; the system takes such pages back when it needs them
    run = subprocess.run(
        [sys.executable, "-c", LOAD_BOTH, str(folder), str(tmp_path / "wide")],
        capture_output=True,
        text=True,
        check=True,
    )
    packed, resident = map(float, run.stdout.split())
    # the codes are an eighth of fp32; a layer on its way is more for a moment
    assert packed < file + 0.45 * dense + 20
    assert resident > packed + 0.4 * dense
