"""What a store offers a query: an adapter that answers at once, one to begin training from, or
nothing.

    nearest kept adapter at least as similar as
      threshold        hit: it answers
      near_threshold   merge: the nearest ones answer together; or warm start: training begins from
                       the nearest, with a part of the steps
      neither          train in full

A hit or a merge that the guard finds no better than the base is refused, and the query is trained
in full.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from client.adapters.entry import OWN, SAMPLE
from client.adapters.guard import Guard, sample_from_json
from client.adapters.merging import merge_weights, merged

if TYPE_CHECKING:
    from arc.formats import Encoded
    from client.adapter_store import AdapterStore, Match
    from client.adapters.entry import Key, Vector
    from client.settings import Settings
    from models.multilora.peft_files import AdapterFiles

Sample = Callable[[], "Encoded | None"]  # the query's own, made when it is asked for
HIT, MERGE, WARM_START, TRAIN = "hit", "merge", "warm start", "train"
_COUNTED_AS = {HIT: "hits", MERGE: "merges"}


@dataclass(frozen=True)
class Offer:
    decision: str
    adapter: AdapterFiles | None = None  # it answers
    start: AdapterFiles | None = None  # training begins from it
    trace: dict[str, Any] = field(default_factory=dict)


class Reuse:
    def __init__(self, store: AdapterStore, settings: Settings) -> None:
        self.store, self.settings = store, settings
        near = settings.local_adapter_manager_near_threshold
        self.at_least = store.threshold if near is None else near

    def offer(self, vector: Vector, key: Key, guard: Guard | None, sample: Sample) -> Offer:
        decision, matches, adapters = self._chosen(vector, key)
        if decision == TRAIN:
            self.store.count("misses", [])
            return Offer(TRAIN)
        if decision == WARM_START:
            self.store.count("warm_starts", matches)
            return Offer(WARM_START, start=adapters[0], trace={"warm_start": _told(matches)[0]})
        offer = _together(decision, matches, adapters)
        asked = None if guard is None else sample() or _stored_sample(adapters[0])
        return self._used_if_better(offer, matches, guard, asked)

    def _chosen(
        self, vector: Vector, key: Key
    ) -> tuple[str, Sequence[Match], Sequence[AdapterFiles]]:
        """The decision by likeness alone, and what it needs; asked anew where some of it was
        damaged, or has left by the time that it is read."""
        most = self.settings.local_adapter_manager_merge_of
        while near := self.store.nearest(vector, key, most=most, at_least=self.at_least):
            decision, matches = self._by_likeness(near)
            read = [self.store.read(match) for match in matches]
            if len(adapters := [one for one in read if one is not None]) == len(matches):
                return decision, matches, adapters
        return TRAIN, [], []

    def _by_likeness(self, near: Sequence[Match]) -> tuple[str, Sequence[Match]]:
        if self.store.is_hit(near[0]):
            return HIT, near[:1]
        if self.settings.local_adapter_manager_near == "merge":
            return MERGE, near
        return WARM_START, near[:1]

    def _used_if_better(
        self,
        offer: Offer,
        matches: Sequence[Match],
        guard: Guard | None,
        asked: Encoded | None,
    ) -> Offer:
        """Without a guard, or without anything to ask it, likeness alone decides."""
        if guard is not None and asked is not None and offer.adapter is not None:
            verdict = guard.verdict(asked, offer.adapter)
            if not verdict.beats:
                self.store.count("refused", [])
                return Offer(TRAIN, trace={"refused": offer.trace | verdict.told()})
            offer.trace["guard"] = verdict.told()
        saved = max(match.seconds for match in matches)
        self.store.count(_COUNTED_AS[offer.decision], matches, saved=saved)
        return offer


def _together(decision: str, matches: Sequence[Match], adapters: Sequence[AdapterFiles]) -> Offer:
    if decision == HIT:
        return Offer(HIT, adapters[0], trace=_told(matches)[0])
    weights = merge_weights([match.similarity for match in matches])
    parts = [
        told | {"weight": round(weight, 4)}
        for told, weight in zip(_told(matches), weights, strict=True)
    ]
    return Offer(MERGE, merged(adapters, weights), trace={"merged": parts})


def _told(matches: Sequence[Match]) -> list[dict[str, Any]]:
    return [{"adapter": match.entry_id, "similarity": match.similarity} for match in matches]


def _stored_sample(adapter: AdapterFiles) -> Encoded | None:
    return sample_from_json(adapter.extra.get(OWN, {}).get(SAMPLE))
