"""The records that were left out of a knowledge base, and why: left_out.jsonl, a line for each.

{"source": "math_50k", "number": 17, "why": "test question", "like": "mawps_test row 3", ...}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Literal

from hone.errors import Damaged

Why = Literal["no answer", "exact duplicate", "near duplicate", "test question"]
LEFT_OUT = "left_out.jsonl"
_SHOWN = 160  # characters of a prompt


@dataclass(frozen=True)
class LeftOut:
    source: str
    number: int  # place in the source, or in the base that was changed, from 1
    why: Why
    prompt: str  # the beginning of its prompt
    like: str = ""  # the test question, or the record (by its row in the build), that it repeats
    share: float = 1.0  # how much of that it repeats

    @classmethod
    def of(
        cls, source: str, number: int, why: Why, prompt: str, like: str = "", share: float = 1.0
    ) -> LeftOut:
        return cls(source, number, why, prompt[:_SHOWN], like, round(share, 3))


@dataclass
class Report:
    """Written line by line as records are read; a build that is continued writes it anew."""

    path: Path | None = None  # None: records are only counted
    counts: Counter[tuple[str, Why]] = field(default_factory=Counter)  # by source and reason
    _file: IO[str] | None = None

    def __enter__(self) -> Report:
        self._file = self.path.open("w", encoding="utf-8") if self.path else None
        return self

    def __exit__(self, *exc: object) -> None:
        if self._file is not None:
            self._file.close()

    def add(self, left: LeftOut) -> None:
        self.counts[left.source, left.why] += 1
        if self._file is not None:
            self._file.write(json.dumps(asdict(left), ensure_ascii=False) + "\n")

    def totals(self) -> dict[Why, int]:
        """Counts by reason alone."""
        totals: Counter[Why] = Counter()
        for (_, why), count in self.counts.items():
            totals[why] += count
        return dict(totals)

    def __str__(self) -> str:
        return ", ".join(f"{why} {count}" for why, count in self.totals().items())


def read_report(path: Path) -> Iterator[LeftOut]:
    """The entries of an earlier report; none where there is no file."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield LeftOut(**json.loads(line))
            except (ValueError, TypeError):
                raise Damaged(
                    f"{path} line {number} is damaged; rebuild the knowledge base"
                ) from None
