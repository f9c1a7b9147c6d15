"""Keeps the trainings of a process within a memory limit.

It plans a training before it starts, tightens the plan between adapters where the measured peak
came near the limit, and reports what was used.

    with MemoryKeeper(device, limit_mb=10240) as keeper:
        plan = keeper.lay_out(footprint, wanted)
        ...                                        # train as the plan says
        keeper.at_border(bank, longest=1800)       # before another adapter enters
        keeper.report()
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from models.free_memory import free_bytes
from models.memory.allocator import give_back_at_once, keep_for_the_next_step
from models.memory.footprint import Footprint
from models.memory.monitor import MemoryMonitor
from models.memory.plan import Limit, Plan, Wanted, bounds_alone, mb, plan
from models.multilora.packed_engine import PackedEngine

if TYPE_CHECKING:
    from models.decoding.write import Bounds
    from models.multilora.bank import AdapterBank

NEAR = 0.9  # of the room up to the limit: from this peak on, the plan is tightened
ROOMY = 2  # a limit of so many planned peaks leaves room for what the C library keeps
LATER = 24 << 20  # bytes of code and the like that a process on a CPU loads once it computes


class MemoryKeeper:
    """A `limit_mb` of 0 stands for the memory that is free when the first training is planned."""

    def __init__(self, device: torch.device, limit_mb: int = 0) -> None:
        self.monitor, self.limit_mb = MemoryMonitor(device), limit_mb
        self.plan: Plan | None = None
        self.notes: list[str] = []
        self._limit: Limit | None = None
        self._before = 0  # bytes the process held when the limit was set
        if limit_mb and device.type == "cuda":
            whole = torch.cuda.get_device_properties(device).total_memory
            share = min(1.0, (limit_mb << 20) / whole)
            torch.cuda.set_per_process_memory_fraction(share, device)

    def __enter__(self) -> MemoryKeeper:
        self.monitor.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.monitor.__exit__()

    @property
    def limit(self) -> Limit:
        """The limit in bytes, set on first use together with what the process held then. It stays,
        because memory that was freed since may still belong to the process."""
        if self._limit is None:
            self._before = self.monitor.now() + (LATER if self.monitor.device.type == "cpu" else 0)
            free = free_bytes(self.monitor.device)
            # where the free memory cannot be asked for, there is no limit
            size = sys.maxsize if free is None else self._before + free
            named = Limit(self.limit_mb << 20, f"--memory_limit_mb {self.limit_mb}")
            self._limit = named if self.limit_mb else Limit(size, "the free memory")
        return self._limit

    def check(self, footprint: Footprint, wanted: Wanted) -> Plan:
        """The plan for this training; BadInput where the limit leaves no room for it."""
        limit = self.limit
        return plan(footprint, wanted, limit, self._before)

    def lay_out(self, footprint: Footprint, wanted: Wanted) -> Plan:
        """The same as `check`, and the plan that `at_border` adjusts from now on."""
        self._footprint, self._wanted = footprint, wanted
        self.plan = self.check(footprint, wanted)
        if self.plan.notes:
            self._gave_way(*self.plan.notes)
        elif ROOMY * self.plan.peak < self.limit.size and self.monitor.device.type == "cpu":
            keep_for_the_next_step()
        return self.plan

    def at_border(self, bank: AdapterBank, longest: int) -> None:
        """Adjusts the bank to the plan. Call it between two steps, before an adapter enters whose
        longest item has `longest` tokens."""
        if longest > self._wanted.longest:
            self._make_room_for(longest)
        most, limit = self.monitor.lap(), self.limit
        if most - self._before > NEAR * (limit.size - self._before):
            self._tighten(most, limit)
        plan = self._laid_out()
        bank.token_budget = plan.token_budget
        if isinstance(bank.engine, PackedEngine):
            bank.engine.checkpointing = plan.checkpointing

    def bounds(self, model: nn.Module) -> Bounds:
        """How many tokens may be read and cached while answers are written: the plan's bounds, or
        without a plan those of the base alone."""
        if self.plan is not None:
            return self.plan.bounds
        limit = self.limit
        return bounds_alone(model, limit, self._before)

    def report(self) -> dict[str, Any]:
        """What was planned and used, for the run's results."""
        told: dict[str, Any] = {"peak_mb": mb(self.monitor.peak()), "limit_mb": self.limit_mb}
        if self.plan is not None:
            told |= {
                "k": self.plan.k,
                "token_budget": self.plan.token_budget,
                "checkpointing": self.plan.checkpointing,
                "planned_mb": mb(self.plan.peak),
            }
        return told | {"notes": list(self.notes)}

    def _laid_out(self) -> Plan:
        assert self.plan is not None, "lay a training out first"
        return self.plan

    def _make_room_for(self, longest: int) -> None:
        """Plans anew for a longer item. Adapters that train already cannot leave, so K stays as it
        is, or the run ends here."""
        before = self._laid_out()
        self._wanted = replace(
            self._wanted,
            k=before.k,
            k_is_asked=True,
            longest=longest,
            token_budget=before.token_budget,
        )
        longer = self.check(self._footprint, self._wanted)
        checkpointing = before.checkpointing or longer.checkpointing
        self.plan = replace(longer, checkpointing=checkpointing)
        self._gave_way(*longer.notes)

    def _tighten(self, most: int, limit: Limit) -> None:
        wanted, tight = self._wanted, self._laid_out()
        at_once = tight.token_budget or tight.k * wanted.step
        if at_once > wanted.longest:
            tight = replace(tight, token_budget=max(wanted.longest, at_once // 2))
            how = f"{tight.token_budget} tokens at once from here on"
        elif self._footprint.checkpoints and not tight.checkpointing:
            tight = replace(tight, checkpointing=True)
            how = "layers are computed again in the backward pass from here on"
        else:
            return
        self.plan = tight
        self._gave_way(f"{mb(most)} MB were used of {limit}: {how}")

    def _gave_way(self, *notes: str) -> None:
        if notes and self.monitor.device.type == "cpu":
            give_back_at_once()
        for note in notes:
            if note not in self.notes:
                self.notes.append(note)
                print(f"note: {note}", file=sys.stderr)
