"""Keeps the trainings of a process within a limit: lays them out before they start, tightens what
follows where the measured peak came near, and tells what was used.

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

from hone.errors import BadInput
from models.free_memory import free_bytes
from models.memory.footprint import Footprint
from models.memory.monitor import MemoryMonitor
from models.memory.plan import Limit, Plan, Wanted, mb, plan
from models.multilora.packed_engine import PackedEngine

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank

NEAR = 0.9  # of the room between what was there before and the limit


class MemoryKeeper:
    """`limit_mb` 0: as much as is free when a training is laid out."""

    def __init__(self, device: torch.device, limit_mb: int = 0) -> None:
        self.monitor, self.limit_mb = MemoryMonitor(device), limit_mb
        self.plan: Plan | None = None
        self.notes: list[str] = []
        self._check()

    def __enter__(self) -> MemoryKeeper:
        self.monitor.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.monitor.__exit__()

    def lay_out(self, footprint: Footprint, wanted: Wanted) -> Plan:
        """BadInput where the limit leaves no room for it."""
        self._footprint, self._wanted = footprint, wanted
        self._before = self.monitor.now()
        self._limit = self._limit_now()
        self.plan = plan(footprint, wanted, self._limit, self._before)
        self._note(*self.plan.notes)
        return self.plan

    def at_border(self, bank: AdapterBank, longest: int) -> None:
        """Between two steps, when an adapter enters whose longest item has so many tokens."""
        assert self.plan is not None, "lay a training out first"
        if longest > self._wanted.longest:
            self._make_room_for(longest)
        most = self.monitor.lap()
        if most - self._before > NEAR * (self._limit.size - self._before):
            self._tighten(most)
        bank.token_budget = self.plan.token_budget
        if isinstance(bank.engine, PackedEngine):
            bank.engine.checkpointing = self.plan.checkpointing

    def report(self) -> dict[str, Any]:
        """What was used, for the run's results."""
        told: dict[str, Any] = {
            "peak_mb": mb(self.monitor.peak()),
            "limit_mb": self.limit_mb,
            "notes": list(self.notes),
        }
        if self.plan is not None:
            told |= {
                "k": self.plan.k,
                "token_budget": self.plan.token_budget,
                "checkpointing": self.plan.checkpointing,
                "planned_mb": mb(self.plan.peak),
            }
        return told

    def _make_room_for(self, longest: int) -> None:
        """Of those that train already none can leave, so K stays or the run ends here."""
        assert self.plan is not None
        self._wanted = replace(
            self._wanted,
            k=self.plan.k,
            k_is_asked=True,
            longest=longest,
            token_budget=self.plan.token_budget,
        )
        longer = plan(self._footprint, self._wanted, self._limit, self._before)
        checkpointing = self.plan.checkpointing or longer.checkpointing
        self.plan = replace(longer, checkpointing=checkpointing)
        self._note(*longer.notes)

    def _tighten(self, most: int) -> None:
        assert self.plan is not None
        wanted, tight = self._wanted, self.plan
        now_at_once = tight.token_budget or tight.k * wanted.step
        if now_at_once > wanted.longest:
            tight = replace(tight, token_budget=max(wanted.longest, now_at_once // 2))
            how = f"{tight.token_budget} tokens at once from here on"
        elif self._footprint.checkpoints and not tight.checkpointing:
            tight = replace(tight, checkpointing=True)
            how = "layers are computed again on the way back from here on"
        else:
            return
        self.plan = tight
        self._note(f"{mb(most)} MB were used of {self._limit}: {how}")

    def _limit_now(self) -> Limit:
        if self.limit_mb:
            return Limit(self.limit_mb << 20, f"--memory_limit_mb {self.limit_mb}")
        free = free_bytes(self.monitor.device)
        # where nobody can say what is free, nothing is held to it
        return Limit(sys.maxsize if free is None else self._before + free, "the free memory")

    def _check(self) -> None:
        """What is there before anything is trained must fit; a GPU then holds the limit itself."""
        now, device = self.monitor.now(), self.monitor.device
        if not self.limit_mb:
            return
        if now > self.limit_mb << 20:
            raise BadInput(
                f"--memory_limit_mb {self.limit_mb} is less than the {mb(now)} MB that Python,"
                " torch and the base take; give more"
            )
        if device.type == "cuda":
            whole = torch.cuda.get_device_properties(device).total_memory
            torch.cuda.set_per_process_memory_fraction(
                min(1.0, (self.limit_mb << 20) / whole), device
            )

    def _note(self, *notes: str) -> None:
        for note in notes:
            if note not in self.notes:
                self.notes.append(note)
                print(f"note: {note}", file=sys.stderr)
