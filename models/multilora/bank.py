"""The adapter bank: K slots of LoRA factors in every linear projection of one frozen model.

    with AdapterBank(model, [SlotSpec(rank=16), SlotSpec(rank=8)]) as bank:
        bank.backward([items_of_slot_0, items_of_slot_1])   # losses, gradients per slot
        bank.step(moving=[True, True], rate_share=[1.0, 1.0])
        bank.export(0)                                      # AdapterFiles, ready to be written

Leaving the `with` gives the model its own layers back, bit for bit as they were.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import nn

from hone.errors import BadInput
from models.multilora.layer import BankedLinear, Factors, Rows
from models.multilora.loss import StepLosses, Weighted, slot_losses
from models.multilora.optimizer import RowAdamW
from models.multilora.peft_files import AdapterFiles


@dataclass(frozen=True)
class SlotSpec:
    """What one adapter is trained with."""

    rank: int = 16
    alpha: float = 16.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    seed: int = 0
    use_rslora: bool = False  # scale by alpha / sqrt(rank)

    def scale(self, rank: int) -> float:
        """What the product of its factors counts for, at the rank that the model allows."""
        return self.alpha / (math.sqrt(rank) if self.use_rslora else rank)


class AdapterBank:
    def __init__(
        self, model: nn.Module, specs: Sequence[SlotSpec], targets: Sequence[str] = ()
    ) -> None:
        self.model, self.specs = model, list(specs)
        self.linears = find_linears(model, targets)
        self.ranks = [fitting_rank(self.linears, spec.rank) for spec in specs]
        device = next(iter(self.linears.values())).weight.device
        dtype = _training_dtype(model)
        self.width = width = max(self.ranks)
        sizes = {n: width * (m.in_features + m.out_features) for n, m in self.linears.items()}
        self.values_KP = torch.zeros(len(specs), sum(sizes.values()), device=device, dtype=dtype)
        self.grads_KP = torch.zeros_like(self.values_KP)
        scales = [spec.scale(rank) for spec, rank in zip(specs, self.ranks, strict=True)]
        anchor = torch.zeros((), device=device, requires_grad=True)
        self.layout = Rows(torch.tensor(scales, device=device, dtype=dtype), anchor)
        self.layers = self._build_layers(width)
        self.optimizer = self._new_optimizer()
        for slot in range(len(specs)):
            self._draw(slot)

    def __enter__(self) -> AdapterBank:
        for name, layer in self.layers.items():
            _put(self.model, name, layer)
        return self

    def __exit__(self, *exc: object) -> None:
        for name, linear in self.linears.items():
            _put(self.model, name, linear)

    @contextmanager
    def rows(self, counts: Sequence[int] | None = None) -> Iterator[None]:
        """The next forwards hold `counts[k]` rows of slot k, in order; equally many by default."""
        self.layout.groups = len(self.specs)
        self.layout.counts = tuple(counts or ())
        try:
            yield
        finally:
            self.layout.groups, self.layout.counts = 0, ()

    def backward(self, slots: Sequence[Sequence[Weighted]]) -> StepLosses:
        """Gradients of every slot's mean loss over its own items; an idle slot has none."""
        self.grads_KP.zero_()
        if not any(slots):
            return StepLosses.of_nothing(self.values_KP)
        try:
            found = slot_losses(self.model, slots, self.layout)
            found.losses_K.sum().backward()  # type: ignore[no-untyped-call]
        finally:
            self.layout.groups, self.layout.ends = 0, ()
        return StepLosses(found.losses_K.detach(), found.exact_K)

    def step(self, moving: Sequence[bool], rate_share: Sequence[float]) -> list[bool]:
        """Update the moving slots; a moving slot that answers False had a NaN and stood still."""
        device, dtype = self.values_KP.device, self.values_KP.dtype
        moved = self.optimizer.step(
            torch.tensor(moving, device=device),
            torch.tensor(rate_share, device=device, dtype=dtype),
        )
        return [bool(flag) for flag in moved.tolist()]

    @torch.no_grad()
    def enter(self, slot: int, spec: SlotSpec) -> None:
        """A fresh adapter takes the slot: nothing of who sat there before is left."""
        rank = fitting_rank(self.linears, spec.rank)
        if rank > self.width:
            raise BadInput(f"a rank of {rank} in a bank made for {self.width}; make a wider one")
        self.specs[slot], self.ranks[slot] = spec, rank
        self.layout.scale_K[slot] = spec.scale(rank)
        self.optimizer.restart(slot, spec.learning_rate, spec.weight_decay, spec.clip_norm)
        self._draw(slot)

    @torch.no_grad()
    def _draw(self, slot: int) -> None:
        """Fresh factors from the slot's own seed: A small and random, B zero."""
        rng = torch.Generator().manual_seed(self.specs[slot].seed)
        for layer in self.layers.values():
            rank, size = self.ranks[slot], layer.frozen.in_features
            bound = (3.0 / size) ** 0.5  # variance 1 / size; PEFT draws a third of that
            drawn = (torch.rand(rank, size, generator=rng, dtype=torch.float64) * 2 - 1) * bound
            layer.factors.a_KRI[slot].zero_()
            layer.factors.a_KRI[slot, :rank] = drawn.to(self.values_KP.dtype)
            layer.factors.b_KOR[slot].zero_()

    @torch.no_grad()
    def load(self, slot: int, adapter: AdapterFiles) -> None:
        """Put a trained adapter into a slot; a rank below the bank's is padded with zeros."""
        if set(adapter.tensors) != set(self.layers):
            missing = sorted(set(self.layers) ^ set(adapter.tensors))[:3]
            raise BadInput(f"the adapter is for other layers ({', '.join(missing)} ...)")
        self.layout.scale_K[slot] = adapter.scale
        for name, (a, b) in adapter.tensors.items():
            layer = self.layers[name]
            layer.factors.a_KRI[slot].zero_()
            layer.factors.b_KOR[slot].zero_()
            layer.factors.a_KRI[slot, : a.shape[0]] = a.to(layer.factors.a_KRI)
            layer.factors.b_KOR[slot, :, : b.shape[1]] = b.to(layer.factors.b_KOR)

    def export(self, slot: int) -> AdapterFiles:
        """The slot's adapter at its true rank, copied to the CPU in fp32."""
        rank = self.ranks[slot]
        return AdapterFiles(
            tensors={
                name: (
                    layer.factors.a_KRI[slot, :rank].detach().float().cpu().clone(),
                    layer.factors.b_KOR[slot, :, :rank].detach().float().cpu().contiguous().clone(),
                )
                for name, layer in self.layers.items()
            },
            rank=rank,
            alpha=self.specs[slot].alpha,
            target_modules=sorted({name.split(".")[-1] for name in self.layers}),
        )

    def _build_layers(self, width: int) -> dict[str, BankedLinear]:
        layers, start = {}, 0
        for name, linear in self.linears.items():
            middle = start + width * linear.in_features
            end = middle + linear.out_features * width
            a_shape = (len(self.specs), width, linear.in_features)
            b_shape = (len(self.specs), linear.out_features, width)
            factors = Factors(
                a_KRI=self.values_KP[:, start:middle].view(a_shape),
                b_KOR=self.values_KP[:, middle:end].view(b_shape),
                a_grad=self.grads_KP[:, start:middle].view(a_shape),
                b_grad=self.grads_KP[:, middle:end].view(b_shape),
            )
            layers[name] = BankedLinear(linear, factors, self.layout)
            start = end
        return layers

    def _new_optimizer(self) -> RowAdamW:
        def column(name: str) -> torch.Tensor:
            return self.values_KP.new_tensor([getattr(spec, name) for spec in self.specs])

        return RowAdamW(
            self.values_KP,
            self.grads_KP,
            learning_rate_K=column("learning_rate"),
            weight_decay_K=column("weight_decay"),
            clip_norm_K=column("clip_norm"),
        )


@contextmanager
def bank_of(model: nn.Module, adapters: Sequence[AdapterFiles]) -> Iterator[AdapterBank | None]:
    """The model with trained adapters in its slots, to generate with; none of them: no bank."""
    if not adapters:
        yield None
        return
    specs = [SlotSpec(rank=adapter.rank, alpha=adapter.alpha) for adapter in adapters]
    with AdapterBank(model, specs, adapters[0].target_modules) as bank:
        for slot, adapter in enumerate(adapters):
            bank.load(slot, adapter)
        yield bank


def find_linears(model: nn.Module, targets: Sequence[str] = ()) -> dict[str, nn.Linear]:
    """The linear layers to adapt: those whose last name is in `targets`, or all but the head."""
    ask = getattr(model, "get_output_embeddings", None)
    head = ask() if ask else None
    linears = {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and module is not head
    }
    known = sorted({name.split(".")[-1] for name in linears})
    if unknown := sorted(set(targets) - set(known)):
        raise BadInput(f"no linear layer is called {', '.join(unknown)}; there are: {known}")
    if not linears:
        raise BadInput("the model has no linear layer that an adapter could stand beside")
    return {n: m for n, m in linears.items() if not targets or n.split(".")[-1] in targets}


def fitting_rank(linears: Mapping[str, nn.Linear], rank: int) -> int:
    """The rank, clamped to what the narrowest layer can hold."""
    if rank < 1:
        raise BadInput(f"a LoRA rank of {rank}; at least 1 is needed")
    return min(rank, *(min(m.in_features, m.out_features) for m in linears.values()))


def _training_dtype(model: nn.Module) -> torch.dtype:
    """Adapters live in at least fp32, whatever the base computes in."""
    return torch.promote_types(next(model.parameters()).dtype, torch.float32)


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
