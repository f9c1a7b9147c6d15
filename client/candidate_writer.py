"""Writes candidate answers under every view: greedy, sampled, and found by search.

    writer = CandidateWriter(base, settings, bounds)
    writer.write(questions, adapters)      # one adapter per question; none: the base writes

With a voting that asks experts, each candidate also gets their probabilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from arc.candidates import Candidate, of_one_view
from arc.voting import vote
from client.experts import judged
from client.question import Question, View
from hone.files import short_hash

if TYPE_CHECKING:
    from arc.grammar import Grammar
    from client.settings import Settings
    from models.base import Base
    from models.decoding.write import Bounds
    from models.multilora.bank import AdapterBank
    from models.multilora.peft_files import AdapterFiles


@dataclass(frozen=True)
class _Row:
    slot: int  # index of the question, and of its adapter in the bank
    view: View
    seeds: list[int | None]  # one per answer to write; None: the greedy one


class CandidateWriter:
    def __init__(self, base: Base, settings: Settings, bounds: Bounds) -> None:
        self.base, self.settings, self.bounds = base, settings, bounds

    def write(
        self, questions: Sequence[Question], adapters: Sequence[AdapterFiles]
    ) -> list[list[Candidate]]:
        """The candidates of each question, in the order of its views."""
        from models.multilora.bank import bank_of

        rows = [
            _Row(slot, view, self._seeds(question, view))
            for slot, question in enumerate(questions)
            for view in question.views
        ]
        with bank_of(self.base.model, adapters) as bank:
            written = self._decoded(rows, bank)
            if self.settings.search_threshold:
                found = self._searched(rows, self._guesses(rows, written), bank)
                written = [[*own, *more] for own, more in zip(written, found, strict=True)]
            by_question = _by_question(rows, written)
            candidates = [by_question.get(slot, []) for slot in range(len(questions))]
            return judged(questions, candidates, self.base, bank, self.bounds)

    def _seeds(self, question: Question, view: View) -> list[int | None]:
        draws = range(self.settings.samples)
        drawn = [int(short_hash(question.seed, view.look.name, i), 16) for i in draws]
        return [None, *drawn] if self.settings.greedy else [*drawn]

    def _decoded(self, rows: Sequence[_Row], bank: AdapterBank | None) -> list[list[Candidate]]:
        """The greedy and sampled candidates of each row; each prompt is read only once."""
        from models.decoding.choice import Sampling
        from models.decoding.write import decode

        draws = [(row, seed) for row in rows for seed in row.seeds]
        written = decode(
            self.base.model,
            self.base.format,
            [row.view.prompt for row, _ in draws],
            [row.view.room for row, _ in draws],
            slots=[row.slot for row, _ in draws],
            bank=bank,
            sampling=Sampling(self.settings.temperature),
            seeds=[seed for _, seed in draws],
            grammars=_grammars([row for row, _ in draws]),
            bounds=self.bounds,
        )
        candidates = iter(
            self._candidate(
                row, one.tokens, one.log_probability, "greedy" if seed is None else "sample"
            )
            for (row, seed), one in zip(draws, written, strict=True)
        )
        return [[next(candidates) for _ in row.seeds] for row in rows]

    def _guesses(
        self, rows: Sequence[_Row], written: Sequence[Sequence[Candidate]]
    ) -> list[list[int]]:
        """For each row, the best grid of its question so far, as tokens in the row's view."""
        best = {}
        for slot, own in _by_question(rows, written).items():
            for grid, _ in vote(own, attempts=1):
                best[slot] = grid
        answer = self.base.format.answer
        return [
            answer(row.view.look.grid(best[row.slot])) if row.slot in best else [] for row in rows
        ]

    def _searched(
        self, rows: Sequence[_Row], guesses: Sequence[Sequence[int]], bank: AdapterBank | None
    ) -> list[list[Candidate]]:
        """The grids to which a row gives a probability above the threshold."""
        from models.decoding.search import search

        found = search(
            self.base.model,
            self.base.format,
            [row.view.prompt for row in rows],
            [row.view.room for row in rows],
            self.settings.search_threshold,
            guesses=guesses,
            grammars=_grammars(rows),
            slots=[row.slot for row in rows],
            bank=bank,
            bounds=self.bounds,
        )
        candidates = [
            [self._candidate(row, one.tokens, one.log_probability, "search") for one in own]
            for row, own in zip(rows, found, strict=True)
        ]
        return [[one for one in own if one.grid is not None] for own in candidates]

    def _candidate(
        self, row: _Row, tokens: Sequence[int], log_probability: float, way: str
    ) -> Candidate:
        cells, look = self.base.format.parse(list(tokens)), row.view.look
        grid = None if cells is None else look.invert(cells)
        # rounded as in the trace, so that a vote from the trace comes out the same
        return Candidate(grid, look.name, round(log_probability, 3), way)


def _by_question(
    rows: Sequence[_Row], written: Sequence[Sequence[Candidate]]
) -> dict[int, list[Candidate]]:
    """The candidates of the question in each slot. A view without any, because its search found
    nothing likely enough, counts as having written no grid."""
    found: dict[int, list[Candidate]] = {}
    for row, own in zip(rows, written, strict=True):
        nothing = Candidate(None, row.view.look.name, way="search")
        found.setdefault(row.slot, []).extend(of_one_view(own or [nothing]))
    return found


def _grammars(rows: Sequence[_Row]) -> list[Grammar]:
    """One grammar per row, or none at all."""
    return [row.view.grammar for row in rows if row.view.grammar is not None]
