"""Chooses how many adapters train together, and how many tokens are computed at once.

It takes what was asked for, limited by memory; `--k auto` chooses the fastest number of adapters by
measuring a few steps. These choices do not change results beyond rounding.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeVar

from client.training_queue import empty_bank
from hone.settings import was_given

if TYPE_CHECKING:
    from client.jobs import Job
    from client.settings import Settings
    from models.base import Base
    from models.decoding.write import Bounds
    from models.memory.footprint import Footprint
    from models.memory.plan import Plan, Wanted
    from models.multilora.bank import AdapterBank
    from models.multilora.peft_files import AdapterFiles
    from models.multilora.probe import Probe

_Thing = TypeVar("_Thing")
MOST = 16  # most adapters that `--k auto` tries
LIKE_AN_ITEM = 2  # tokens assumed for an answered row, as a multiple of the longest training item


class Layout:
    """As a context, it watches memory. Making a bank may lower `k` (memory, or `--k auto`)."""

    def __init__(self, base: Base, settings: Settings) -> None:
        from models.memory.keeper import MemoryKeeper

        self.base, self.settings = base, settings
        self.keeper = MemoryKeeper(base.device, settings.memory_limit_mb)
        self.under: AdapterFiles | None = None  # the shared adapter below those that are trained
        self.k = MOST if settings.k == "auto" else settings.k
        self.probed: Probe | None = None
        self._footprint: Footprint | None = None

    def __enter__(self) -> Layout:
        self.keeper.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.keeper.__exit__()

    def bank(self, jobs: Sequence[Job], queries: int) -> AdapterBank:
        """A bank to train `queries` queries with, of which `jobs` are the first."""
        wanted = self._wanted(jobs)
        if wanted.k_is_asked:
            self.keeper.check(self.footprint, wanted)
        plan = self._fitting(wanted, queries)
        if self.settings.k == "auto" and self.probed is None and queries > 1:
            self.probed = self._probe(plan, jobs)
            self.k = self.probed.k
            plan = self._fitting(replace(wanted, k=self.k), queries)
        return self._bank(plan, plan.k)

    def _fitting(self, wanted: Wanted, queries: int) -> Plan:
        k = min(wanted.k, queries)
        plan = self.keeper.lay_out(self.footprint, replace(wanted, k=k))
        if plan.k < k:
            self.k = plan.k
        return plan

    def enter(self, bank: AdapterBank, job: Job) -> None:
        """Called before a job takes a slot: saves memory from now on if it is short."""
        self.keeper.at_border(bank, max(len(item.encoded) for item in job.items))

    def of(self, bank: AdapterBank) -> dict[str, Any]:
        """The current layout, for a query's trace."""
        plan = self.keeper.plan
        assert plan is not None
        return {
            "k": len(bank.specs),
            "token_budget": plan.token_budget,
            "checkpointing": plan.checkpointing,
        }

    @property
    def bounds(self) -> Bounds:
        """The bounds on memory while answers are written."""
        return self.keeper.bounds(self.base.model)

    def report(self) -> dict[str, Any]:
        """The memory used, and what the probe measured if there was one."""
        told = self.keeper.report() | {"residency": self.base.residency}
        if self.probed is not None:
            told["probe"] = vars(self.probed)
        return told

    @property
    def footprint(self) -> Footprint:
        from models.memory.footprint import footprint_of

        if self._footprint is None:
            chosen = self.settings
            self._footprint = footprint_of(
                self.base.model, chosen.lora_rank, chosen.target_modules, chosen.adapter_layers
            )
        return self._footprint

    def _wanted(self, jobs: Sequence[Job]) -> Wanted:
        from models.memory.plan import Wanted

        lengths = [sorted(len(item.encoded) for item in job.items) for job in jobs]
        longest = max(own[-1] for own in lengths)
        return Wanted(
            k=self.k,
            k_is_asked=self.settings.k != "auto" and was_given(self.settings, "k"),
            longest=longest,
            step=max(sum(own[-job.batch :]) for own, job in zip(lengths, jobs, strict=True)),
            answer=min(self.base.context, LIKE_AN_ITEM * longest),
            token_budget=self.settings.token_budget,
            features=self.settings.feature_cache_mb << 20,
            features_are_asked=was_given(self.settings, "feature_cache_mb"),
        )

    def _bank(self, plan: Plan, slots: int) -> AdapterBank:
        chosen = self.settings
        return empty_bank(
            self.base.model,
            slots,
            chosen.lora_rank,
            chosen.target_modules,
            placement=chosen.adapter_layers,
            feature_cache_mb=plan.features >> 20,
            under=self.under,
            token_budget=plan.token_budget,
            checkpointing=plan.checkpointing,
        )

    def _probe(self, plan: Plan, jobs: Sequence[Job]) -> Probe:
        import torch

        from models.multilora.probe import probe

        drawn = [next(job.batches()) for job in jobs]
        batches = [[(item.encoded, item.weight) for item in own] for own in drawn]
        found = probe(
            lambda k: self._bank(plan, k),
            batches,
            plan.k,
            choose_threads=self.settings.threads == 0 and self.base.device.type == "cpu",
        )
        torch.set_num_threads(found.threads)
        print(f"note: {found}", file=sys.stderr)
        return found


def groups(things: Iterable[_Thing], size: Callable[[], int]) -> Iterator[list[_Thing]]:
    """Splits `things` into groups; `size` is asked for the size of each group when it begins."""
    source = iter(things)
    for first in source:
        yield [first, *islice(source, size() - 1)]
