"""Decides how stored adapters are used for a query: to answer, to begin training from, or not.

    similarity of the nearest stored adapter is at least
      threshold        hit: it answers
      near_threshold   merge: the nearest adapters are merged and answer; or warm start: training
                       begins from the nearest one and takes a part of the steps
      neither          training in full

A hit or merge is refused if the guard finds it no better than the base; the query is then trained
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

Sample = Callable[[], "Encoded | None"]  # makes the query's own sample
HIT, MERGE, WARM_START, TRAIN = "hit", "merge", "warm start", "train"
_COUNTED_AS = {HIT: "hits", MERGE: "merges"}


@dataclass(frozen=True)
class Offer:
    decision: str
    adapter: AdapterFiles | None = None  # the adapter that answers
    start: AdapterFiles | None = None  # the adapter that training begins from
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
        """The decision by similarity alone, with the matches and adapters that it needs. Decides
        again if one of the adapters was damaged or has been evicted when it is read."""
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
        """The offer, or training if the guard refuses it. With no guard or sample, the offer
        stands."""
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
