"""Stock PEFT and torch.optim.AdamW, a task's adapter at a time, in one way of computing.

One PeftModel has one seat. An adapter takes it with its first values and with moments of zero,
which is what a new PeftModel and a new AdamW would give, without paying for them again. The norm of
its gradients is clipped, its loss is the mean over its answer tokens, and logits are computed at
those places only.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn

from arc.formats import IGNORED, Encoded
from hone.errors import BadInput
from models.batch import pad
from models.multilora.bank import SlotSpec
from models.quiet import quiet_loading

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from transformers import PreTrainedModel

    from models.multilora.peft_files import AdapterFiles

DEFAULT = "default"  # PEFT's name for the one adapter


@dataclass(frozen=True)
class Mode:
    """A way of computing; adapters and their moments are fp32 in all of them."""

    name: str
    weights: str  # what the base is held in: fp32 or bf16
    autocast: bool  # products in bf16
    compiled: str = ""  # layers: each decoder layer; graphs: the whole step, with CUDA graphs


_PLAIN = (
    Mode("fp32", "fp32", autocast=False),
    Mode("bf16_autocast", "fp32", autocast=True),
    Mode("bf16_weights", "bf16", autocast=False),
    Mode("bf16_weights_autocast", "bf16", autocast=True),
)
# Compiled layer by layer: measured as fast as the whole model at once, in a third of the time.
_COMPILED = tuple(Mode(f"{m.name}_compiled", m.weights, m.autocast, "layers") for m in _PLAIN)
_GRAPHS = tuple(Mode(f"{m.name}_graphs", m.weights, m.autocast, "graphs") for m in _PLAIN)
MODES = {mode.name: mode for mode in (*_PLAIN, *_COMPILED, *_GRAPHS)}


@dataclass(frozen=True)
class Feed:
    """What one step reads."""

    inputs: dict[str, torch.Tensor]
    places: torch.Tensor  # [M] columns where some row's next token is labelled
    targets: torch.Tensor  # [rows, M], IGNORED where that row's is not

    @classmethod
    def of(cls, items: Sequence[Encoded], device: torch.device) -> Feed:
        batch = pad(items, device)
        inputs = {"input_ids": batch.ids}
        if any(bool((np.diff(item.positions) != 1).any()) for item in items):
            # jumping positions want a mask; without both, attention is plainly causal and fastest
            inputs |= {"position_ids": batch.positions, "attention_mask": batch.ones}
        places = torch.nonzero((batch.labels[:, 1:] != IGNORED).any(0))[:, 0]
        return cls(inputs, places, batch.labels[:, places + 1])


class PeftSeat:
    def __init__(
        self,
        base: PreTrainedModel,
        mode: Mode,
        spec: SlotSpec,
        targets: Sequence[str] = (),
        *,
        any_length: bool = False,
    ) -> None:
        """`any_length`: compile once for all lengths, and not for the first one alone."""
        self.mode, self.spec = mode, spec
        self.device = base.device
        self.model: Any = _with_lora(base, spec, targets)
        self.own = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(
            self.own, spec.learning_rate, weight_decay=spec.weight_decay, fused=True
        )
        self.forward = _compiled(self.model, mode.compiled, any_length)

    @torch.no_grad()
    def enter(self, adapter: AdapterFiles) -> None:
        """A new adapter with these first values."""
        for name, (a, b) in adapter.tensors.items():
            layer = self.model.get_submodule(f"base_model.model.{name}")
            layer.lora_A[DEFAULT].weight.copy_(a)
            layer.lora_B[DEFAULT].weight.copy_(b)
        for state in self.optimizer.state.values():
            for moment in state.values():
                moment.zero_()

    def step(self, feed: Feed, rate_share: float = 1.0) -> torch.Tensor:
        """One update; the loss before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.spec.learning_rate * rate_share
        if self.mode.compiled == "graphs":
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]
        with self._precision():
            logits = self.forward(**feed.inputs, logits_to_keep=feed.places, use_cache=False).logits
        loss = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), feed.targets.flatten(), ignore_index=IGNORED
        )
        self.optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.own, self.spec.clip_norm)
        self.optimizer.step()
        return loss.detach()

    def _precision(self) -> AbstractContextManager[Any]:
        if self.mode.autocast:
            return torch.autocast(self.device.type, torch.bfloat16)
        return nullcontext()


def check_mode(name: str, device: torch.device) -> None:
    """Refuse a way of computing that this device does not have; `auto` is never one."""
    if name in MODES and MODES[name] not in modes_for(device, large=False):
        raise BadInput(f"--peft_mode {name} is for a GPU, and this is a CPU; choose another")


def modes_for(device: torch.device, *, large: bool) -> list[Mode]:
    """All that can be tried there; a large base is held in bf16 alone."""
    kinds = ("", "layers", "graphs") if device.type == "cuda" else ("", "layers")
    return [
        mode
        for mode in MODES.values()
        if mode.compiled in kinds and not (large and mode.weights == "fp32")
    ]


def _with_lora(base: PreTrainedModel, spec: SlotSpec, targets: Sequence[str]) -> nn.Module:
    with quiet_loading(), warnings.catch_warnings():
        # PEFT asks transformers by a name that is going out of use
        warnings.simplefilter("ignore", FutureWarning)
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,
            lora_dropout=spec.dropout,
            use_rslora=spec.use_rslora,
            target_modules=list(targets) or "all-linear",  # which leaves the head out, as here
        )
        model: nn.Module = get_peft_model(base, config)
    return model.train()


def _compiled(model: Any, how: str, any_length: bool) -> Any:
    if how == "graphs":
        return torch.compile(model, mode="reduce-overhead")
    if how == "layers":
        for layer in model.base_model.model.base_model.layers:
            layer.compile(dynamic=True if any_length else None)
    return model
