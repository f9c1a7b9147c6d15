"""What a model thinks of answers that are given.

score(model, form, prompts, answers, slots=slots, bank=bank)[i][j]   # of every token of it
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from arc.formats import Encoded
from models.decoding.write import Writing

if TYPE_CHECKING:
    from models.multilora.bank import AdapterBank


def score(
    model: nn.Module,
    form: Writing,
    prompts: Sequence[Encoded],
    answers: Sequence[Sequence[Sequence[int]]],
    *,
    slots: Sequence[int] | None = None,
    bank: AdapterBank | None = None,
) -> list[list[list[float]]]:
    """The log-probability of every token of each of the `answers[i]` after `prompts[i]`, by the
    adapter in `slots[i]`; without a bank, by the base. All answers to a prompt share its reading.
    """
    from models.decoding.causal_rows import score_causal
    from models.decoding.llama_scores import score_llama
    from models.multilora.decoder import runs_packed

    own = [0] * len(prompts) if slots is None or bank is None else list(slots)
    result: list[list[list[float]]] = [[[] for _ in ones] for ones in answers]
    asked = [(i, j) for i, ones in enumerate(answers) for j, one in enumerate(ones) if len(one)]
    rows = sorted({i for i, _ in asked})
    if not rows:
        return result
    kind = score_llama if runs_packed(model) else score_causal
    placed = [[_placed(form, prompts[i], one) for one in answers[i] if len(one)] for i in rows]
    found = kind(model, bank, [prompts[i] for i in rows], placed, [own[i] for i in rows])
    for (i, j), values in zip(asked, (one for ones in found for one in ones), strict=True):
        result[i][j] = values
    return result


def _placed(form: Writing, prompt: Encoded, answer: Sequence[int]) -> Encoded:
    """The answer's tokens where they stand behind their prompt."""
    cursor, ids = form.cursor(prompt), np.array(answer, dtype=np.int64)
    positions = np.array([cursor.advance(token) for token in ids.tolist()], dtype=np.int64)
    return Encoded(ids, positions, ids)
