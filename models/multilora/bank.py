"""The adapter bank: K slots of LoRA factors beside the layers of one frozen model.

    with AdapterBank(model, [SlotSpec(rank=16), SlotSpec(rank=8)]) as bank:
        bank.backward([items_of_slot_0, items_of_slot_1])   # losses, gradients per slot
        bank.step(moving=[True, True], rate_share=[1.0, 1.0])
        bank.export(0)                                      # AdapterFiles, ready to be written
        bank.enter(0, SlotSpec(rank=4))                     # the next adapter takes the slot

Leaving the `with` gives the model its own layers back, bit for bit as they were.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from hone.errors import BadInput
from models.multilora import kernels
from models.multilora.decoder import runs_packed
from models.multilora.dropout import Dropout, Stretch
from models.multilora.features import FeatureStore
from models.multilora.final_states import BankedHead, FinalStates
from models.multilora.flat import FlatLayout, Shape
from models.multilora.head import MAGNIFIED, StepLosses, Tally
from models.multilora.layer import BankedEmbedding, BankedLinear, Rows, factors_of
from models.multilora.optimizer import RowAdamW, Work
from models.multilora.packed import Placed, Weighted
from models.multilora.packed_engine import PackedEngine
from models.multilora.padded_engine import PaddedEngine
from models.multilora.peft_files import AdapterFiles
from models.multilora.sites import Buffers
from models.multilora.stacking import stacked, without_below
from models.multilora.targets import find_targets, fitting_rank, names_of
from models.multilora.under import lying_under


@dataclass(frozen=True)
class SlotSpec:
    """The settings with which one adapter is trained."""

    rank: int = 16
    alpha: float = 16.0
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    clip_norm: float = 1.0
    seed: int = 0
    dropout: float = 0.0
    use_rslora: bool = False  # scale by alpha / sqrt(rank)

    def scale(self, rank: int) -> float:
        """The factor of B A, at the rank that the model allows."""
        return self.alpha / (math.sqrt(rank) if self.use_rslora else rank)


@dataclass(frozen=True)
class SlotState:
    """A slot's whole state, on the CPU, from which training continues as if never interrupted."""

    spec: SlotSpec
    values_P: torch.Tensor
    first_P: torch.Tensor
    second_P: torch.Tensor
    updates: int
    steps: int


class AdapterBank:
    """`token_budget`: most tokens that are computed at once (0: all of a step). `checkpointing`:
    compute layers again in the backward instead of keeping what they need. `placement`: see
    placement.py. `feature_cache_mb`: memory to cache each item's output of the layers below the
    lowest adapter, for its next epoch. `under`: a frozen adapter of the same layers that all slots
    build on, and that their exports include. `clamp_ranks`: lower ranks to what the narrowest layer
    can hold. Without `training` there is no memory for gradients and moments and no initial value:
    for adapters that are loaded to answer."""

    def __init__(
        self,
        model: nn.Module,
        specs: Sequence[SlotSpec],
        targets: Sequence[str] = (),
        *,
        placement: str = "all",
        feature_cache_mb: int = 0,
        under: AdapterFiles | None = None,
        clamp_ranks: bool = True,
        training: bool = True,
        token_budget: int = 0,
        checkpointing: bool = False,
    ) -> None:
        self.model, self.specs, self.token_budget = model, list(specs), token_budget
        self.targets = find_targets(model, targets, placement)
        self.target_modules = names_of(model, self.targets)
        self.features = FeatureStore(feature_cache_mb << 20) if feature_cache_mb else None
        self.clamp_ranks = clamp_ranks
        self.ranks = [self._rank(spec) for spec in specs]
        self.width = max(self.ranks)
        shapes = {name: Shape.of(module) for name, module in self.targets.items()}
        self.flat = FlatLayout(shapes, self.width)
        like = next(model.parameters())
        # adapters are kept in at least fp32, whatever dtype the base computes in
        dtype = torch.promote_types(like.dtype, torch.float32)
        self.values_KP = torch.zeros(len(specs), self.flat.size, device=like.device, dtype=dtype)
        self.grads_KP = torch.zeros_like(
            self.values_KP, device=like.device if training else torch.device("meta")
        )
        self.work_KP = torch.zeros_like(self.values_KP, dtype=like.dtype)
        self.layout = Rows(
            slots=len(specs),
            anchor=torch.zeros((), device=like.device, requires_grad=True),
            scale_K=self._column(*(s.scale(r) for s, r in zip(specs, self.ranks, strict=True))),
        )
        numbers = {name: i for i, name in enumerate(self.targets)}
        self.under = under
        lying = lying_under(under, self.targets, self.work_KP)
        self.buffers = Buffers(self.flat, self.work_KP, self.grads_KP, numbers, lying)
        self.layers = self._build_layers()
        self.engine: PackedEngine | PaddedEngine = (
            PackedEngine(
                model,
                self.buffers,
                checkpointing=checkpointing,
                on_states=any(isinstance(module, FinalStates) for module in self.targets.values()),
                features=self.features,
            )
            if runs_packed(model)
            else PaddedEngine(model, self.layout)
        )
        self.optimizer = RowAdamW(
            self.values_KP,
            self.grads_KP,
            learning_rate_K=self._column(*(spec.learning_rate for spec in specs)),
            weight_decay_K=self._column(*(spec.weight_decay for spec in specs)),
            clip_norm_K=self._column(*(spec.clip_norm for spec in specs)),
            work=Work(self.work_KP, self.flat.b_from, self.layout.scale_K),
        )
        self._stale = True  # the working copy has to be made from the values again
        self._cleared = True  # the gradients are zero
        self.steps = [0] * len(specs)  # backward passes of each slot since its adapter entered
        for slot in range(len(specs) if training else 0):
            self._draw(slot)

    def __enter__(self) -> AdapterBank:
        for name, layer in self.layers.items():
            _put(self.model, name, layer)
        return self

    def __exit__(self, *exc: object) -> None:
        for name, layer in self.layers.items():
            _put(self.model, name, layer.frozen)

    @contextmanager
    def rows(self, counts: Sequence[int] | None = None) -> Iterator[None]:
        """Within the `with`, forwards hold `counts[k]` rows of slot k, in order; by default,
        equally many rows of every slot."""
        self._refresh()
        self.layout.active, self.layout.counts = True, tuple(counts or ())
        try:
            yield
        finally:
            self.layout.active, self.layout.counts = False, ()

    def backward(self, slots: Sequence[Sequence[Weighted]]) -> StepLosses:
        """Computes the gradient of every slot's mean loss over its items; idle slots have none."""
        self._refresh()
        if not self._cleared:
            self.grads_KP.zero_()
        self._cleared = False
        values, magnified = self.values_KP, MAGNIFIED.get(self.work_KP.dtype, 1.0)
        tally = Tally(len(self.specs), values.dtype, values.device, magnified)
        for part in self.engine.parts(slots, self.token_budget):
            self.engine.train(part, tally, self._dropout)
        self.grads_KP[:, self.flat.b_from :] *= self.layout.scale_K[:, None]
        if magnified != 1.0:
            self.grads_KP /= magnified
        self.steps = [n + bool(own) for n, own in zip(self.steps, slots, strict=True)]
        return tally.result()

    def step(self, moving: Sequence[bool], rate_share: Sequence[float]) -> list[bool]:
        """Updates the moving slots and clears all gradients. Returns which slots moved: a moving
        slot whose gradients were not finite stays as it was."""
        device, dtype = self.values_KP.device, self.values_KP.dtype
        moved = self.optimizer.step(
            torch.tensor(moving, device=device),
            torch.tensor(rate_share, device=device, dtype=dtype),
        )
        self._stale, self._cleared = False, True
        return moved

    @torch.no_grad()
    def enter(self, slot: int, spec: SlotSpec) -> None:
        """A fresh adapter takes the slot; nothing of the previous one is left."""
        self._seat(slot, spec)
        self._draw(slot)

    def snapshot(self, slot: int) -> SlotState:
        def copied(rows_KP: torch.Tensor) -> torch.Tensor:
            return rows_KP[slot].detach().to("cpu", copy=True)

        optimizer = self.optimizer
        return SlotState(
            self.specs[slot],
            copied(self.values_KP),
            copied(optimizer.first),
            copied(optimizer.second),
            updates=int(optimizer.count_K[slot]),
            steps=self.steps[slot],
        )

    @torch.no_grad()
    def restore(self, slot: int, state: SlotState) -> None:
        """Continues from a snapshot of any bank over the same layers and of the same width."""
        if len(state.values_P) != self.flat.size:
            raise BadInput(
                f"the slot was saved from a bank with rows of {len(state.values_P)} values, this"
                f" one's have {self.flat.size}; use the same model, targets and largest rank"
            )
        self._seat(slot, state.spec)
        optimizer = self.optimizer
        self.values_KP[slot].copy_(state.values_P)
        optimizer.first[slot].copy_(state.first_P)
        optimizer.second[slot].copy_(state.second_P)
        optimizer.count_K[slot] = state.updates
        self.steps[slot] = state.steps

    @torch.no_grad()
    def load(self, slot: int, adapter: AdapterFiles) -> None:
        """Puts a trained adapter into a slot; a rank below the bank's is padded with zeros."""
        self._check_layers(adapter)
        self.layout.scale_K[slot] = adapter.scale
        self.values_KP[slot].zero_()
        self._copy_in(slot, adapter)

    @torch.no_grad()
    def begin_from(self, slot: int, adapter: AdapterFiles) -> None:
        """Training in a slot that was just entered begins from this adapter. Where the bank stands
        on an adapter, the given one must have been exported from above it; its own part is taken.
        """
        own = adapter if self.under is None else without_below(adapter, self.under)
        self._check_layers(own)
        if own.rank > self.ranks[slot]:
            raise BadInput(
                f"training at rank {self.ranks[slot]} cannot begin from an adapter of rank"
                f" {own.rank}; use its rank"
            )
        times = own.scale / float(self.layout.scale_K[slot])
        rescaled = {name: (a, b * times) for name, (a, b) in own.tensors.items()}
        self._copy_in(slot, replace(own, tensors=rescaled))

    def _check_layers(self, adapter: AdapterFiles) -> None:
        if set(adapter.tensors) != set(self.layers):
            missing = sorted(set(self.layers) ^ set(adapter.tensors))[:3]
            raise BadInput(
                f"the adapter is for other layers ({', '.join(missing)} ...); use one that was"
                " trained with the same targets"
            )
        if any(isinstance(layer, BankedHead) for layer in self.layers.values()):
            raise BadInput(
                "an adapter of the head's states is exported as one of the head; load it"
                " into a bank whose target is the head"
            )

    def _copy_in(self, slot: int, adapter: AdapterFiles) -> None:
        for name, (a, b) in adapter.tensors.items():
            factors = self.layers[name].factors
            factors.a_KRI[slot, : a.shape[0]] = a.to(factors.a_KRI)
            factors.b_KOR[slot, :, : b.shape[1]] = b.to(factors.b_KOR)
        self._stale = True

    def export(self, slot: int) -> AdapterFiles:
        """The slot's adapter at its true rank, together with `under`; on the CPU, in fp32."""
        own = self._own(slot)
        return own if self.under is None else stacked([self.under, own])

    def _own(self, slot: int) -> AdapterFiles:
        rank, spec = self.ranks[slot], self.specs[slot]

        def copied(tensor: torch.Tensor) -> torch.Tensor:
            return tensor.detach().to("cpu", torch.float32, copy=True).contiguous()

        return AdapterFiles(
            tensors={
                name: (copied(a), copied(b))
                for name, layer in self.layers.items()
                for a, b in [layer.beside(slice(slot, slot + 1)).of(0, rank)]
            },
            rank=rank,
            alpha=spec.alpha,
            target_modules=self.target_modules,
            use_rslora=spec.use_rslora,
            embeddings=tuple(n for n, s in self.flat.shapes.items() if s.is_embedding),
        )

    @torch.no_grad()
    def _refresh(self) -> None:
        """Updates the working copy: the factors in the base's dtype, with B scaled."""
        if self._stale:
            kernels.cast_rows(self.values_KP, self.work_KP, self.flat.b_from, self.layout.scale_K)
            self._stale = False

    def _rank(self, spec: SlotSpec) -> int:
        return fitting_rank(self.targets, spec.rank) if self.clamp_ranks else spec.rank

    def _seat(self, slot: int, spec: SlotSpec) -> None:
        rank = self._rank(spec)
        if rank > self.width:
            raise BadInput(f"rank {rank} is above the bank's {self.width}; make a wider bank")
        if self.features is not None:
            self.features.release(slot)
        self.specs[slot], self.ranks[slot], self.steps[slot] = spec, rank, 0
        self.layout.scale_K[slot] = spec.scale(rank)
        self.optimizer.restart(slot, spec.learning_rate, spec.weight_decay, spec.clip_norm)
        self._stale = True

    @torch.no_grad()
    def _draw(self, slot: int) -> None:
        """Fresh factors drawn from the slot's own seed: one is small and random, the other zero."""
        rng = torch.Generator().manual_seed(self.specs[slot].seed)
        rank = self.ranks[slot]
        self.values_KP[slot].zero_()
        for name, layer in self.layers.items():
            a, b = layer.factors.a_KRI[slot, :rank], layer.factors.b_KOR[slot, :, :rank]
            # an embedding's A is looked up, not summed over: there B is the random one, as in PEFT
            random = b if self.flat.shapes[name].is_embedding else a
            bound = 3.0**0.5 if random is b else (3.0 / a.shape[1]) ** 0.5
            drawn = torch.rand(random.shape, generator=rng, dtype=torch.float64) * 2 - 1
            random.copy_(drawn * bound)
        self._stale = True

    def _dropout(self, part: Sequence[Placed], starts: Sequence[int]) -> Dropout | None:
        stretches = [
            Stretch(
                start,
                len(placed.encoded),
                self.specs[placed.slot].dropout,
                Stretch.seed_of(
                    self.specs[placed.slot].seed, self.steps[placed.slot], placed.index
                ),
            )
            for placed, start in zip(part, starts, strict=False)
            if self.specs[placed.slot].dropout > 0
        ]
        return Dropout(stretches, starts[-1]) if stretches else None

    def _build_layers(self) -> dict[str, BankedLinear | BankedEmbedding]:
        layers: dict[str, BankedLinear | BankedEmbedding] = {}
        for name, module in self.targets.items():
            factors = factors_of(self.flat, self.values_KP, name)
            frozen: Any = module
            layers[name] = _kind(module)(frozen, name, self.buffers, factors, self.layout)
        return layers

    def _column(self, *values: float) -> torch.Tensor:
        return self.values_KP.new_tensor(values)


@contextmanager
def bank_of(model: nn.Module, adapters: Sequence[AdapterFiles]) -> Iterator[AdapterBank | None]:
    """The model with trained adapters in its slots, to generate with; no bank without adapters."""
    if not adapters:
        yield None
        return
    specs = [SlotSpec(rank=adapter.rank, alpha=adapter.alpha) for adapter in adapters]
    targets = list(adapters[0].tensors)
    with AdapterBank(model, specs, targets, clamp_ranks=False, training=False) as bank:
        for slot, adapter in enumerate(adapters):
            bank.load(slot, adapter)
        yield bank


def _kind(module: nn.Module) -> type[Any]:
    if isinstance(module, FinalStates):
        return BankedHead
    return BankedEmbedding if isinstance(module, nn.Embedding) else BankedLinear


def _put(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
