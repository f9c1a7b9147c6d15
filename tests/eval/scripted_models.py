"""A model of a script: what it says to each prompt is known before."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from eval.harness.documents import Document, Written


class Scripted:
    """Right in six of every ten documents, on every side; counts what it was asked."""

    def __init__(
        self, right: Callable[[Document], str], wrong: Callable[[Document], str], samples: int = 1
    ) -> None:
        self.right, self.wrong, self.samples = right, wrong, samples
        self.asked: list[str] = []

    def how(self, side: str) -> str:
        return f"script, {side}"

    def answers(self, side: str, documents: Sequence[Document]) -> Iterator[tuple[int, Written]]:
        for i, document in enumerate(documents):
            self.asked.append(document.id)
            said = self.right if self.is_right(document) else self.wrong
            yield i, Written([said(document)] * self.samples, {"decision": "script"})

    @staticmethod
    def is_right(document: Document) -> bool:
        return _number(document.id) % 10 in (0, 2, 3, 5, 7, 8)


def _number(name: str) -> int:
    (digits,) = re.findall(r"\d+$", name)
    return int(digits)
