"""Scores given continuations with Llama-shaped models.

A prompt is read once for all its continuations, and no keys of a continuation are kept.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

import torch

from arc.formats import Encoded
from models.decoding.context import Rectangle
from models.decoding.families import part
from models.decoding.llama import LlamaDecoder
from models.decoding.places import Place, looked_up
from models.decoding.prefill import ALL, LAST, Block, read
from models.decoding.products import Runs

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank

LOGITS = 1 << 24  # most log-probabilities that are in memory at a time


@torch.inference_mode()
def read_llama(
    model: Any,
    bank: AdapterBank | None,
    prompts: Sequence[Encoded],
    continuations: Sequence[Sequence[Encoded]],
    slots: Sequence[int],
    likeliest: int,
    *,
    token_budget: int,
) -> list[list[list[Place]]]:
    """The place of every token, one list for each continuation of each prompt."""
    order = list(dict.fromkeys(slots))
    decoder = LlamaDecoder(model, bank, order)
    numbers = [order.index(slot) for slot in slots]
    places, targets = _asked(continuations)
    blocks = _blocks(decoder, prompts, numbers, continuations)
    found: list[Place] = []
    at = 0
    for hidden, runs in read(decoder, blocks, token_budget):
        first, last = bisect_left(places, at), bisect_left(places, at + len(hidden))
        here = [place - at for place in places[first:last]]
        found += _looked_up(decoder, hidden, runs, here, targets[first:last], likeliest)
        at += len(hidden)
    return _sorted_out(found, continuations)


def _blocks(
    decoder: LlamaDecoder,
    prompts: Sequence[Encoded],
    slots: Sequence[int],
    continuations: Sequence[Sequence[Encoded]],
) -> Iterator[Block]:
    for prompt, slot, own in zip(prompts, slots, continuations, strict=True):
        trunk = Rectangle(decoder.keys, [len(prompt)])
        yield Block([prompt], [slot], LAST, into=trunk)
        longer = [part(one, 0, -1) for one in own if len(one) > 1]
        if longer:
            yield Block(longer, [slot] * len(longer), ALL, before=trunk)


def _looked_up(
    decoder: LlamaDecoder,
    hidden: torch.Tensor,
    runs: Runs,
    places: Sequence[int],
    targets: Sequence[int],
    likeliest: int,
) -> list[Place]:
    """Looks up some places at a time, so that their log-probabilities stay within LOGITS."""
    step = max(1, LOGITS // sum(decoder.head.widths))
    found: list[Place] = []
    for start in range(0, len(hidden), step):
        end = min(start + step, len(hidden))
        first, last = bisect_left(places, start), bisect_left(places, end)
        log_probs = decoder.log_probs(hidden[start:end], runs.within(start, end))
        index, chosen = (
            torch.tensor(column, device=hidden.device)
            for column in ([place - start for place in places[first:last]], targets[first:last])
        )
        found += looked_up(log_probs[index], chosen, likeliest)
    return found


def _asked(continuations: Sequence[Sequence[Encoded]]) -> tuple[list[int], list[int]]:
    """For every given token, in the order in which tokens are read, the place of the hidden state
    that predicts it, and its id. A continuation's first token is predicted by the prompt's last."""
    places, targets, at = [], [], 0
    for own in continuations:
        firsts = [int(one.ids[0]) for one in own]
        rest = [int(token) for one in own for token in one.ids[1:]]
        places += [at] * len(firsts) + list(range(at + 1, at + 1 + len(rest)))
        targets += firsts + rest
        at += 1 + len(rest)
    return places, targets


def _sorted_out(
    found: Sequence[Place], continuations: Sequence[Sequence[Encoded]]
) -> list[list[list[Place]]]:
    values, result = iter(found), []
    for own in continuations:
        firsts = list(islice(values, len(own)))
        result.append(
            [[first, *islice(values, len(one) - 1)] for first, one in zip(firsts, own, strict=True)]
        )
    return result
