"""All answers that a model gives at least a certain probability.

Every beginning of such an answer is at least as probable itself, so beginnings are followed token
by token for as long as they are. Beginnings of one length exclude each other: of one prompt, fewer
than 1 / threshold are alive at a time. So all prompts' beginnings are followed together, a token at
a time, where a depth-first search would follow them one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

from arc.formats import Cursor, Encoded
from hone.errors import BadInput
from models.decoding.frontier import Frontier
from models.decoding.write import Writing

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


@dataclass(frozen=True)
class Found:
    tokens: tuple[int, ...]  # the stop token is the last
    log_probability: float


@dataclass
class _Beginning:
    prompt: int
    cursor: Cursor
    tokens: tuple[int, ...] = ()
    log_probability: float = 0.0


def search(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Encoded],
    rooms: Sequence[int],
    threshold: float,
    *,
    slots: Sequence[int] | None = None,
    bank: AdapterBank | None = None,
) -> list[list[Found]]:
    """For every prompt all answers that end with the format's stop token within its room and are
    more probable than the threshold, the most probable first."""
    if not 0 < threshold < 1:
        raise BadInput(f"threshold is {threshold}; a probability above 0 and below 1")
    found: list[list[Found]] = [[] for _ in prompts]
    asked = [i for i, room in enumerate(rooms) if room > 0]
    if asked:
        own = None if slots is None else [slots[i] for i in asked]
        frontier = Frontier(model, [prompts[i] for i in asked], slots=own, bank=bank)
        alive = [_Beginning(i, form.cursor(prompts[i])) for i in asked]
        while alive:
            steps = _steps(frontier.log_probs, alive, math.log(threshold))
            alive = _follow(frontier, alive, steps, found, rooms, form.stop)
    for own_found in found:
        own_found.sort(key=lambda one: -one.log_probability)
    return found


_Step = tuple[int, int, float]  # which beginning, its next token, the log-probability of both


@torch.inference_mode()
def _steps(log_probs_RV: torch.Tensor, alive: Sequence[_Beginning], least: float) -> list[_Step]:
    before = torch.tensor([one.log_probability for one in alive], dtype=torch.float64)
    both = log_probs_RV.double() + before.to(log_probs_RV.device)[:, None]
    rows, tokens = (both > least).nonzero(as_tuple=True)
    return list(zip(rows.tolist(), tokens.tolist(), both[rows, tokens].tolist(), strict=True))


def _follow(
    frontier: Frontier,
    alive: Sequence[_Beginning],
    steps: Sequence[_Step],
    found: list[list[Found]],
    rooms: Sequence[int],
    stop: int,
) -> list[_Beginning]:
    """Answers that are complete go among the found; the others are extended."""
    rows, longer, places = [], [], []
    for row, token, log_probability in steps:
        old = alive[row]
        tokens = (*old.tokens, token)
        if token == stop:
            found[old.prompt].append(Found(tokens, log_probability))
        elif len(tokens) < rooms[old.prompt]:
            cursor = deepcopy(old.cursor)
            places.append(cursor.advance(token))
            rows.append(row)
            longer.append(_Beginning(old.prompt, cursor, tokens, log_probability))
    if longer:
        frontier.keep(rows)
        frontier.extend([one.tokens[-1] for one in longer], places)
    return longer
