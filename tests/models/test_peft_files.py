"""Adapters on disk: stock PEFT gives the same logits, and damaged folders are refused."""

from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from hone.errors import BadInput, Damaged, NotThere
from models.multilora.peft_files import (
    CONFIG,
    EXTRA,
    WEIGHTS,
    AdapterFiles,
    read_adapter,
    write_adapter,
)

torch.set_num_threads(1)
TARGETS = ["q_proj", "down_proj", "lm_head"]
RANK, ALPHA = 4, 10.0
SIZES = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
}


def tiny_model(family: str) -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    if family == "llama":
        return LlamaForCausalLM(LlamaConfig(**SIZES)).eval()
    return Qwen2ForCausalLM(Qwen2Config(**SIZES, tie_word_embeddings=False)).eval()


def random_tensors(model: Any, targets: list[str]) -> dict[str, tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return {
        name: (
            torch.randn(RANK, layer.in_features, generator=generator) / 4,
            torch.randn(layer.out_features, RANK, generator=generator) / 4,
        )
        for name, layer in model.named_modules()
        if name.split(".")[-1] in targets
    }


def written(folder: Path, **changes: Any) -> dict[str, tuple[Tensor, Tensor]]:
    tensors = random_tensors(tiny_model("llama"), TARGETS)
    adapter = AdapterFiles(tensors, RANK, ALPHA, TARGETS, extra={"loss": 0.5})
    write_adapter(folder, replace(adapter, **changes), "base")
    return tensors


# peft 0.21 asks transformers 5.23 for a property under its old name
@pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")
@pytest.mark.parametrize("family", ["llama", "qwen2"])
@pytest.mark.parametrize("use_rslora", [False, True])
def test_stock_peft_gives_the_logits_of_the_merged_weights(
    tmp_path: Path, family: str, use_rslora: bool
) -> None:
    from peft import PeftModel, get_peft_model_state_dict

    base, manual = tiny_model(family), tiny_model(family)
    tensors = random_tensors(base, TARGETS)
    adapter = AdapterFiles(tensors, RANK, ALPHA, TARGETS, use_rslora)
    write_adapter(tmp_path / "adapter", adapter, str(tmp_path))
    scale = read_adapter(tmp_path / "adapter").scale
    assert scale == ALPHA / (2 if use_rslora else 4)
    with torch.no_grad():
        for name, (a, b) in tensors.items():
            manual.get_submodule(name).weight += scale * b @ a
        ids = torch.arange(12).reshape(1, 12)
        expected = manual(ids, attention_mask=torch.ones_like(ids)).logits
        loaded = PeftModel.from_pretrained(base, str(tmp_path / "adapter"))
        got = loaded(ids, attention_mask=torch.ones_like(ids)).logits
    assert (got - expected).norm() <= 1e-5 * expected.norm()
    # PEFT drops keys that it does not know without a word
    keys = set(load_file(tmp_path / "adapter" / WEIGHTS))
    assert keys == set(get_peft_model_state_dict(loaded, save_embedding_layers=False))


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    tensors = written(tmp_path / "adapter")
    files = read_adapter(tmp_path / "adapter")
    assert (files.rank, files.alpha, files.extra) == (RANK, ALPHA, {"loss": 0.5})
    assert files.target_modules == sorted(TARGETS)
    assert set(files.tensors) == set(tensors)
    for name, (a, b) in files.tensors.items():
        assert torch.equal(a, tensors[name][0]) and torch.equal(b, tensors[name][1])


def test_slices_of_a_stacked_tensor_are_written_alone(tmp_path: Path) -> None:
    stack = torch.randn(3, 8, 16).bfloat16()
    pair = (stack[1, :4].detach(), stack[2].T[:, :4])
    write_adapter(tmp_path / "a", AdapterFiles({"x.q_proj": pair}, 4, 8, ["q_proj"]), "b")
    assert (tmp_path / "a" / WEIGHTS).stat().st_size < 1500
    a, b = read_adapter(tmp_path / "a").tensors["x.q_proj"]
    assert a.dtype == torch.float32 and torch.equal(a, pair[0].float())
    assert torch.equal(b, pair[1].float())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rank": 8}, "not of rank 8"),
        ({"target_modules": ["q_proj", "proj", "lm_head"]}, "down_proj is not among"),
    ],
)
def test_what_peft_would_not_load_is_not_written(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BadInput, match=reason):
        written(tmp_path / "adapter", **changes)
    assert list(tmp_path.iterdir()) == []


def test_an_adapter_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    poisoned = {"q_proj": (torch.full((1, 2), float("nan")), torch.zeros(2, 1))}
    with pytest.raises(BadInput, match="q_proj holds values that are not finite"):
        write_adapter(tmp_path / "a", AdapterFiles(poisoned, 1, 1, ["q_proj"]), "b")
    assert list(tmp_path.iterdir()) == []


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    written(tmp_path)
    whole = (tmp_path / WEIGHTS).read_bytes()
    for size in [0, 7, 8, 100, len(whole) // 2, len(whole) - 1]:
        (tmp_path / WEIGHTS).write_bytes(whole[:size])
        with pytest.raises(Damaged, match="cut off"):
            read_adapter(tmp_path)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"peft_type": "LOHA"}, "peft_type is 'LOHA'"),
        ({"r": "4"}, "r is '4'"),
        ({"r": 5}, "not of rank 5"),
        ({"lora_alpha": None}, "lora_alpha is None"),
        ({"use_dora": True}, "it uses use_dora"),
        ({"rank_pattern": {"q_proj": 2}}, "it uses rank_pattern"),
        ({"target_modules": "all-linear"}, "not a list of names"),
        ({"target_modules": ["q_proj"]}, "is not among the target modules"),
    ],
)
def test_a_foreign_configuration_is_refused(
    tmp_path: Path, change: dict[str, Any], reason: str
) -> None:
    written(tmp_path)
    config = json.loads((tmp_path / CONFIG).read_text())
    (tmp_path / CONFIG).write_text(json.dumps(config | change))
    with pytest.raises(Damaged, match=reason):
        read_adapter(tmp_path)


def test_folders_that_are_not_adapters_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotThere, match="no adapter folder"):
        read_adapter(tmp_path / "nowhere")
    with pytest.raises(Damaged, match="not a PEFT adapter"):
        read_adapter(tmp_path)
    written(tmp_path)
    (tmp_path / CONFIG).write_text("{")
    with pytest.raises(Damaged, match="not JSON"):
        read_adapter(tmp_path)
    written(tmp_path)
    (tmp_path / EXTRA).write_text("[]")
    with pytest.raises(Damaged, match="not a JSON object"):
        read_adapter(tmp_path)
    written(tmp_path)
    (tmp_path / WEIGHTS).rename(tmp_path / "adapter_model.bin")
    with pytest.raises(Damaged, match=r"no adapter_model\.safetensors"):
        read_adapter(tmp_path)


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("base_model.model.lm_head.weight", "not a LoRA matrix"),
        ("base_model.model.lm_head.lora_A.weight", "only one of its two"),
    ],
)
def test_unknown_and_unpaired_tensors_are_refused(tmp_path: Path, key: str, reason: str) -> None:
    written(tmp_path)
    save_file({key: torch.zeros(4, 16)}, tmp_path / WEIGHTS)
    with pytest.raises(Damaged, match=reason):
        read_adapter(tmp_path)


def test_a_full_disk_leaves_the_old_adapter_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tensors = written(tmp_path / "adapter")

    def full(self: Path, data: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device", str(self))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OSError, match="No space left"):
            written(tmp_path / "adapter", alpha=3.0)
    assert [path.name for path in tmp_path.iterdir()] == ["adapter"]
    files = read_adapter(tmp_path / "adapter")
    assert files.alpha == ALPHA and set(files.tensors) == set(tensors)
