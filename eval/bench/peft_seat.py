"""Training with stock PEFT and torch.optim.AdamW, one task's adapter at a time, in one mode.

One PeftModel is reused: an adapter enters it with its first values and with optimizer moments of
zero, which equals a new PeftModel and a new AdamW without the cost of making them. The norm of the
gradients is clipped, the loss is the mean over the answer tokens, and logits are computed only
where they are needed for it.
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

DEFAULT = "default"  # PEFT's name for its only adapter


@dataclass(frozen=True)
class Mode:
    """A way to compute a step. Adapters and their moments are fp32 in all modes."""

    name: str
    weights: str  # dtype of the base: fp32 or bf16
    autocast: bool  # matrix products in bf16
    # "layers": each decoder layer; "graphs": the whole model, with CUDA graphs; "": nothing
    compiled: str = ""


_PLAIN = (
    Mode("fp32", "fp32", autocast=False),
    Mode("bf16_autocast", "fp32", autocast=True),
    Mode("bf16_weights", "bf16", autocast=False),
    Mode("bf16_weights_autocast", "bf16", autocast=True),
)
# compiling layer by layer was measured as fast as the whole model at once, and takes a third of the
# time
_COMPILED = tuple(Mode(f"{m.name}_compiled", m.weights, m.autocast, "layers") for m in _PLAIN)
_GRAPHS = tuple(Mode(f"{m.name}_graphs", m.weights, m.autocast, "graphs") for m in _PLAIN)
MODES = {mode.name: mode for mode in (*_PLAIN, *_COMPILED, *_GRAPHS)}


@dataclass(frozen=True)
class Feed:
    """The input of one step."""

    inputs: dict[str, torch.Tensor]
    places: torch.Tensor  # [M] columns whose next token has a label in some row
    targets: torch.Tensor  # [rows, M] the labels there; IGNORED where a row has none

    @classmethod
    def of(cls, items: Sequence[Encoded], device: torch.device) -> Feed:
        batch = pad(items, device)
        inputs = {"input_ids": batch.ids}
        if any(bool((np.diff(item.positions) != 1).any()) for item in items):
            # positions that jump need a mask; without both, attention is plainly causal and fastest
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
        """With `any_length`, layers are compiled for all lengths at once, not for the first
        only."""
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
        """Puts in a new adapter with these first values."""
        for name, (a, b) in adapter.tensors.items():
            layer = self.model.get_submodule(f"base_model.model.{name}")
            layer.lora_A[DEFAULT].weight.copy_(a)
            layer.lora_B[DEFAULT].weight.copy_(b)
        for state in self.optimizer.state.values():
            for moment in state.values():
                moment.zero_()

    def step(self, feed: Feed, rate_share: float = 1.0) -> torch.Tensor:
        """Makes one update and returns the loss before it."""
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
    """Refuses a mode that this device does not have. `auto` is always accepted."""
    if name in MODES and MODES[name] not in modes_for(device, large=False):
        raise BadInput(f"--peft_mode {name} needs a GPU, and this runs on a CPU; choose another")


def modes_for(device: torch.device, *, large: bool) -> list[Mode]:
    """The modes that can be tried on the device; a large base is loaded in bf16 only."""
    kinds = ("", "layers", "graphs") if device.type == "cuda" else ("", "layers")
    return [
        mode
        for mode in MODES.values()
        if mode.compiled in kinds and not (large and mode.weights == "fp32")
    ]


def _with_lora(base: PreTrainedModel, spec: SlotSpec, targets: Sequence[str]) -> nn.Module:
    with quiet_loading(), warnings.catch_warnings():
        # PEFT uses a deprecated name of transformers
        warnings.simplefilter("ignore", FutureWarning)
        from peft import LoraConfig, get_peft_model

        config = LoraConfig(
            r=spec.rank,
            lora_alpha=spec.alpha,
            lora_dropout=spec.dropout,
            use_rslora=spec.use_rslora,
            target_modules=list(targets) or "all-linear",  # all but the head, as in this engine
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
