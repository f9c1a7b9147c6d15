"""Adapters on disk: PEFT folders that stock PEFT and vLLM load, with `hone.json` beside them.

    adapter_config.json         rank, alpha, target modules, the base
    adapter_model.safetensors   base_model.model.<module>.lora_A.weight [r, in], lora_B [out, r];
                                an embedding's .lora_embedding_A [r, vocabulary], _B [width, r]
    hone.json                   what only Hone knows: where the adapter came from

The tensors are written here and not by PEFT's own saver, which adds the whole lm_head when it is a
target (vLLM then refuses the adapter). PEFT silently drops keys of modules that `target_modules`
does not name, so writing and reading both check that every tensor is covered.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hone.errors import BadInput, Damaged, NotThere
from hone.files import read_json, whole_folder, write_json

CONFIG, WEIGHTS, EXTRA = "adapter_config.json", "adapter_model.safetensors", "hone.json"
_PREFIX, _A, _B = "base_model.model.", ".lora_A.weight", ".lora_B.weight"
_EMBEDDING_A, _EMBEDDING_B = ".lora_embedding_A", ".lora_embedding_B"
# Settings that change an adapter's meaning and are not implemented; to ignore them would give wrong
# answers silently.
_FOREIGN = ("use_dora", "fan_in_fan_out", "rank_pattern", "alpha_pattern", "modules_to_save")


@dataclass(frozen=True)
class AdapterFiles:
    """An adapter beside a base. One that was read from disk has its tensors in fp32 on the CPU."""

    tensors: dict[str, tuple[Tensor, Tensor]]  # module name -> A [r, in], B [out, r]
    rank: int
    alpha: float
    target_modules: list[str]
    use_rslora: bool = False
    embeddings: tuple[str, ...] = ()  # modules whose A is looked up by token
    extra: dict[str, Any] = field(default_factory=dict)

    @property
    def scale(self) -> float:
        """The adapted layer is W + scale * B A."""
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)


def write_adapter(folder: Path, adapter: AdapterFiles, base_path: str) -> None:
    """Writes the folder whole or not at all; an adapter that was there is replaced."""
    problem = _problem(adapter)
    if problem:
        raise BadInput(f"adapter for {folder}: {problem}; nothing was written")
    with whole_folder(folder) as beside:
        # bytes through Python's own file: a full disk is then an OSError that names itself,
        # where safetensors' writer hides it in a SafetensorError
        (beside / WEIGHTS).write_bytes(save(_flat(adapter), metadata={"format": "pt"}))
        write_json(beside / CONFIG, _peft_config(adapter, base_path))
        write_json(beside / EXTRA, adapter.extra)


def read_adapter(folder: Path) -> AdapterFiles:
    """Reads a LoRA folder of Hone or of stock PEFT; Damaged says why one cannot be used."""
    if not folder.is_dir():
        raise NotThere(f"no adapter folder {folder}; check the path")
    config = _read_config(folder)
    tensors, embeddings = _read_tensors(folder / WEIGHTS)
    files = AdapterFiles(
        tensors=tensors,
        embeddings=embeddings,
        rank=config["r"],
        alpha=float(config["lora_alpha"]),
        target_modules=sorted(config["target_modules"]),
        use_rslora=bool(config.get("use_rslora", False)),
        extra=_read_extra(folder),
    )
    problem = _problem(files)
    if problem:
        raise Damaged(f"{folder / WEIGHTS}: {problem}; remove the folder or train it again")
    return files


def read_extra(folder: Path) -> dict[str, Any]:
    """Reads only `hone.json`, without touching the weights."""
    if not (folder / EXTRA).is_file():
        raise Damaged(f"{folder} has no {EXTRA}; it is not an adapter of Hone")
    return _read_extra(folder)


def covers(target_modules: Sequence[str], module: str) -> bool:
    """PEFT's rule for a list of targets: each is a module's name, or the end of one after a dot."""
    return any(module == target or module.endswith(f".{target}") for target in target_modules)


def _peft_config(adapter: AdapterFiles, base_path: str) -> dict[str, Any]:
    alpha = adapter.alpha
    return {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": base_path,
        "r": adapter.rank,
        # an integer where it is one: some readers of the format accept nothing else
        "lora_alpha": int(alpha) if float(alpha).is_integer() else float(alpha),
        "lora_dropout": 0.0,
        "target_modules": sorted(adapter.target_modules),
        "bias": "none",
        "use_rslora": adapter.use_rslora,
        "fan_in_fan_out": False,
        "modules_to_save": None,
        "inference_mode": True,
    }


def _problem(adapter: AdapterFiles) -> str | None:
    """Why the tensors are not an adapter of this rank over these modules; None where they are."""
    rank, targets = adapter.rank, adapter.target_modules
    if not adapter.tensors:
        return "it has no tensors"
    for module, (a, b) in adapter.tensors.items():
        if not covers(targets, module):
            return f"{module} is not among the target modules {', '.join(targets)}"
        if a.ndim != 2 or b.ndim != 2 or a.shape[0] != rank or b.shape[1] != rank:
            return f"{module} has A {list(a.shape)}, B {list(b.shape)}, not of rank {rank}"
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            return f"{module} holds values that are not finite"
    return None


def _flat(adapter: AdapterFiles) -> dict[str, Tensor]:
    flat = {}
    for module, (a, b) in adapter.tensors.items():
        for tensor, end in zip((a, b), _ends(module in adapter.embeddings), strict=True):
            flat[f"{_PREFIX}{module}{end}"] = _plain(tensor)
    return flat


def _ends(is_embedding: bool) -> tuple[str, str]:
    return (_EMBEDDING_A, _EMBEDDING_B) if is_embedding else (_A, _B)


def _plain(tensor: Tensor) -> Tensor:
    """A contiguous fp32 copy on the CPU with memory of its own: a slot is a slice of a tensor."""
    return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()


def _read_config(folder: Path) -> dict[str, Any]:
    path = folder / CONFIG
    if not path.is_file():
        raise Damaged(f"{folder} has no {CONFIG}; it is not a PEFT adapter")
    config = read_json(path)
    problem = _config_problem(config)
    if problem:
        raise Damaged(f"{path}: {problem}; only plain LoRA adapters can be read")
    assert isinstance(config, dict)
    return config


def _config_problem(config: Any) -> str | None:
    if not isinstance(config, dict):
        return "not a JSON object"
    if config.get("peft_type") != "LORA":
        return f"peft_type is {config.get('peft_type')!r}, not LORA"
    if type(config.get("r")) is not int or config["r"] < 1:
        return f"r is {config.get('r')!r}, not a rank"
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or not math.isfinite(alpha):
        return f"lora_alpha is {alpha!r}, not a number"
    targets = config.get("target_modules")
    if not isinstance(targets, list) or not all(isinstance(name, str) for name in targets):
        return f"target_modules is {targets!r}, not a list of names"
    foreign = [name for name in _FOREIGN if config.get(name)]
    return f"it uses {', '.join(foreign)}" if foreign else None


def _read_extra(folder: Path) -> dict[str, Any]:
    path = folder / EXTRA
    extra = read_json(path) if path.is_file() else {}
    if not isinstance(extra, dict):
        raise Damaged(f"{path} is not a JSON object; remove the adapter or train it again")
    return extra


def _read_tensors(
    path: Path,
) -> tuple[dict[str, tuple[Tensor, Tensor]], tuple[str, ...]]:
    """The matrices of every module, and which modules are embeddings."""
    if not path.is_file():
        raise Damaged(f"{path.parent} has no {WEIGHTS}; other kinds of weights are not read")
    try:
        flat = load(path.read_bytes())
    except SafetensorError as error:
        raise Damaged(f"{path} is cut off or not safetensors ({error}); remove it") from None
    modules = dict(sorted(_module_of(key, path) for key in flat))
    tensors = {}
    for module, is_embedding in modules.items():
        pair = [flat.get(f"{_PREFIX}{module}{end}") for end in _ends(is_embedding)]
        if pair[0] is None or pair[1] is None:
            raise Damaged(f"{path}: {module} has only one of its two matrices; remove it")
        tensors[module] = pair[0].float(), pair[1].float()
    return tensors, tuple(module for module, is_embedding in modules.items() if is_embedding)


def _module_of(key: str, path: Path) -> tuple[str, bool]:
    for end in (_A, _B, _EMBEDDING_A, _EMBEDDING_B):
        if key.startswith(_PREFIX) and key.endswith(end):
            return key.removeprefix(_PREFIX).removesuffix(end), end not in (_A, _B)
    raise Damaged(f"{path}: {key} is not a LoRA matrix; only plain LoRA adapters can be read")
