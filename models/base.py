"""The frozen base model, loaded from any Hugging Face causal LM folder (or hub id).

    base = load_base("models/qwen2-7b")
    base.model, base.tokenizer, base.format, base.context, base.fingerprint

Attention is always sdpa, and callers pass a 2-D mask of ones. Positions jump in the canvas format,
and without a mask transformers takes such rows for several packed sequences and silently attends
wrongly. FlashAttention drops a mask of ones and does the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch

from arc.digits import DigitsFormat, Tokenizer
from arc.folder_format import FILE, format_of
from arc.formats import ArcFormat
from hone.errors import BadInput, Damaged
from models.bnb_decode import quickest_decode
from models.free_memory import free_bytes
from models.memory.monitor import MemoryMonitor
from models.model_folder import ModelFolder, find_model, first_line
from models.nf4 import decode
from models.processor import multiplies_bf16
from models.quiet import quiet_loading

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from models.packed_loading import PackAsLoaded

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
DEVICES, QUANTIZATIONS = ("auto", "cpu", "cuda"), ("auto", "none", "nf4")
RESIDENCIES = ("auto", "resident", "packed")
WEIGHTS_SHARE = 0.75  # share of the free memory; training and generating need the rest
PACKED_BYTES = 0.55  # bytes a parameter takes in 4 bits, with its scales
LARGE = 1_000_000_000  # parameters from which `auto` means bf16 and NF4
CONTEXT_UNKNOWN = 2048
UNLIMITED = int(1e30)  # tokenizers check no length: it is checked against the context instead


@dataclass(frozen=True)
class Base:
    model: PreTrainedModel  # eval, no gradients, sdpa attention
    tokenizer: PreTrainedTokenizerBase | None  # None where the format is canvas
    format: ArcFormat
    context: int  # longest sequence, in tokens
    vocabulary: int
    parameters: int
    fingerprint: str  # hash of configuration, weights, tokenizer, quantization and dtype
    path: str  # as the user gave it
    device: torch.device
    dtype: torch.dtype
    quantization: str  # "none" or "nf4"
    residency: str  # of the linear layers: "resident" in the dtype, or "packed" in 4 bits
    notes: tuple[str, ...] = ()  # what differs from what was asked for; already on stderr


def load_base(
    path: str | Path,
    *,
    dtype: str = "auto",
    device: str = "auto",
    quantization: str = "auto",
    residency: str = "auto",
    max_len: int | None = None,
    memory_limit_mb: int = 0,
    trust_remote_code: bool = False,
) -> Base:
    """The base, ready for adapters. An error says in one line what its folder lacks."""
    if max_len is not None and max_len < 1:
        raise BadInput(f"max_len is {max_len}; give a number of tokens above 0")
    where = _device(device)
    folder = find_model(str(path), trust_remote_code=trust_remote_code)
    number = _dtype(dtype, where, folder.parameters)
    kind = _quantization(quantization, folder.parameters)
    free = _free(where, memory_limit_mb)
    kept, room_notes = _residency(residency, kind, folder, number, where, free)
    if memory_limit_mb:
        _check_room(folder, number, kept, free, memory_limit_mb)
    config = _config(folder, trust_remote_code)
    context, context_notes = _context(folder, config, max_len)
    notes = (*room_notes, *context_notes)
    form = format_of(folder.path, lambda: _tokenizer(folder, config, trust_remote_code))
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    if kept == "packed":
        model = _packed_model(folder, config, number, where, trust_remote_code)
    else:
        model = _model(folder, config, number, trust_remote_code)
    return Base(
        model=_settled(model, kind, kept, where, folder.name),
        tokenizer=_of_transformers(form),
        format=form,
        context=context,
        vocabulary=int(config.get_text_config().vocab_size),
        parameters=folder.parameters,
        fingerprint=folder.fingerprint(kind, str(number)),
        path=folder.name,
        device=where,
        dtype=number,
        quantization=kind,
        residency=kept,
        notes=notes,
    )


def _device(device: str) -> torch.device:
    _one_of("device", device, DEVICES)
    if device == "cuda" and not torch.cuda.is_available():
        raise BadInput("device is cuda, but torch sees no GPU; use cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def _dtype(dtype: str, device: torch.device, parameters: int) -> torch.dtype:
    _one_of("dtype", dtype, ("auto", *DTYPES))
    in_fp32 = parameters < LARGE and not multiplies_bf16(device)
    return DTYPES[("fp32" if in_fp32 else "bf16") if dtype == "auto" else dtype]


def _quantization(quantization: str, parameters: int) -> str:
    _one_of("quantization", quantization, QUANTIZATIONS)
    if quantization == "auto":
        return "none" if parameters < LARGE else "nf4"
    return quantization


def _free(device: torch.device, limit_mb: int) -> int | None:
    """The bytes that are left for the base, within the limit."""
    free = free_bytes(device)
    if not limit_mb:
        return free
    left = (limit_mb << 20) - MemoryMonitor(device).now()
    return left if free is None else min(free, left)


def _check_room(
    folder: ModelFolder, dtype: torch.dtype, kept: str, free: int | None, limit_mb: int
) -> None:
    needed = int(folder.parameters * (PACKED_BYTES if kept == "packed" else dtype.itemsize))
    if free is not None and needed > free:
        taken = limit_mb - (free >> 20)
        raise BadInput(
            f"memory_limit_mb {limit_mb} is too little for {folder.name}: Python and torch take"
            f" {taken} MB, its weights need {needed >> 20}; give more than the two together"
        )


def _residency(
    residency: str,
    kind: str,
    folder: ModelFolder,
    dtype: torch.dtype,
    device: torch.device,
    free: int | None,
) -> tuple[str, tuple[str, ...]]:
    _one_of("residency", residency, RESIDENCIES)
    if kind == "none" and residency == "packed":
        raise BadInput(
            "residency packed keeps 4-bit codes, and quantization is none for this base;"
            " add --quantization nf4, or leave --residency out"
        )
    if kind == "none" or residency != "auto":
        return ("packed" if residency == "packed" else "resident"), ()
    needed = folder.parameters * dtype.itemsize
    if free is not None and needed > WEIGHTS_SHARE * free:
        note = (
            f"{folder.name} takes {needed / 1e9:.1f} GB in {str(dtype).removeprefix('torch.')} and"
            f" {free / 1e9:.1f} GB are free on {device}; its 4-bit codes are kept instead"
            " (residency packed), and decoded at every use"
        )
        return "packed", (note,)
    quick = device.type == "cuda" and quickest_decode(device, dtype) is not decode
    return ("packed" if quick and folder.parameters >= LARGE else "resident"), ()


def _one_of(what: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise BadInput(f"{what} is {value!r}; use one of {', '.join(choices)}")


def _config(folder: ModelFolder, trust_remote_code: bool) -> Any:
    from transformers import AutoConfig

    _refuse_other_kinds(folder, trust_remote_code)
    with _reading(folder, "its configuration"), quiet_loading():
        return AutoConfig.from_pretrained(
            folder.path, local_files_only=True, trust_remote_code=trust_remote_code
        )


def _packed_model(
    folder: ModelFolder,
    config: Any,
    dtype: torch.dtype,
    device: torch.device,
    trust_remote_code: bool,
) -> PreTrainedModel:
    with quiet_loading():
        from models.packed_loading import PackAsLoaded

    packing = PackAsLoaded(device)
    return packing.finish(_model(folder, config, dtype, trust_remote_code, packing))


def _model(
    folder: ModelFolder,
    config: Any,
    dtype: torch.dtype,
    trust_remote_code: bool,
    packing: PackAsLoaded | None = None,
) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    with _reading(folder, "the model"), quiet_loading():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            folder.path,
            config=config,
            dtype=dtype,
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            quantization_config=packing,
            output_loading_info=True,
        )
    model, report = loaded
    if report["missing_keys"]:  # transformers would use random numbers in their place
        raise Damaged(
            f"{folder.name}: its weights lack {min(report['missing_keys'])}"
            f" ({len(report['missing_keys'])} in all) that config.json promises; fetch it again"
        )
    return cast("PreTrainedModel", model)


def _refuse_other_kinds(folder: ModelFolder, trust_remote_code: bool) -> None:
    """Refuses models that are not causal; transformers would load them too, with a random head."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    auto_map = folder.config.get("auto_map") or {}
    if trust_remote_code and "AutoModelForCausalLM" in auto_map:
        return
    if folder.config.get("model_type") not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES and auto_map:
        raise BadInput(
            f"{folder.name} brings its own code; read it, and load it with --trust_remote_code"
        )
    known = {str(name).lower() for name in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values()}
    names = [str(name) for name in folder.config.get("architectures") or []]
    if names and not any(name.lower() in known for name in names):
        raise BadInput(
            f"{folder.name} is a {names[0]}, not a causal language model; name one that writes text"
        )


def _tokenizer(folder: ModelFolder, config: Any, trust_remote_code: bool) -> Tokenizer:
    from transformers import AutoTokenizer

    try:
        with quiet_loading():
            tokenizer = AutoTokenizer.from_pretrained(
                folder.path,
                config=config,
                local_files_only=True,
                trust_remote_code=trust_remote_code,
            )
    except Exception as error:  # the exception's type depends on the kind of tokenizer
        raise BadInput(
            f"{folder.name} has no tokenizer that can be read ({first_line(error)}); fetch its"
            f' tokenizer files, or write {{"format": "canvas"}} to its {FILE} if it reads grids'
        ) from None
    tokenizer.model_max_length = UNLIMITED
    return cast(Tokenizer, tokenizer)


def _of_transformers(form: ArcFormat) -> PreTrainedTokenizerBase | None:
    return cast("Any", form.tokenizer) if isinstance(form, DigitsFormat) else None


def _settled(
    model: PreTrainedModel, quantization: str, residency: str, device: torch.device, name: str
) -> PreTrainedModel:
    """The model on its device, with its final values, frozen."""
    module: torch.nn.Module = model
    try:
        module.to(device)
    except torch.OutOfMemoryError:
        raise BadInput(
            f"{name} does not fit on {device} ({residency}); use --residency packed with nf4,"
            " --device cpu or a smaller model"
        ) from None
    if quantization == "nf4" and residency == "resident":
        from models.quantize import quantize_linears_

        quantize_linears_(module)
    module.eval().requires_grad_(False)
    return model


def _context(folder: ModelFolder, config: Any, max_len: int | None) -> tuple[int, tuple[str, ...]]:
    """The context length, and notes on it: the shortest of what the model reads, what its format
    was trained on, and what the user asked for."""
    promised = getattr(config.get_text_config(), "max_position_embeddings", None)
    limits = [limit for limit in (promised, folder.arc.get("max_tokens")) if limit]
    if not all(isinstance(limit, int) and limit > 0 for limit in limits):
        raise Damaged(f"{folder.name}: its context length is {limits}; correct {FILE}")
    if not limits and max_len is None:
        note = f"{folder.name} does not say how much it reads; {CONTEXT_UNKNOWN} tokens are taken"
        return CONTEXT_UNKNOWN, (note,)
    limit = min(limits, default=max_len or CONTEXT_UNKNOWN)
    if max_len is None or max_len <= limit:
        return max_len or limit, ()
    note = (
        f"max_len {max_len} is above the {limit} tokens that {folder.name} reads; {limit} is taken"
    )
    return limit, (note,)


@contextmanager
def _reading(folder: ModelFolder, what: str) -> Iterator[None]:
    """Turns whatever transformers raises over a folder's content into an error of one line."""
    try:
        yield
    except OSError as error:
        if error.errno is not None:  # the disk fails, not the folder
            raise
        raise Damaged(f"{folder.name}: {what} cannot be loaded: {first_line(error)}") from None
    except MemoryError:
        raise
    except Exception as error:  # ValueError, KeyError, RuntimeError, ... by the kind of model
        raise Damaged(
            f"{folder.name}: {what} cannot be loaded: {first_line(error)};"
            " check config.json against the weights, or fetch it again"
        ) from None
