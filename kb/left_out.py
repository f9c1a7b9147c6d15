"""What was left out of a knowledge base, and why: a line each in left_out.jsonl beside the rest.

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
    number: int  # the record's place in its source, from 1; of one that stood in a base, there
    why: Why
    prompt: str  # its beginning
    like: str = ""  # the test question or the record (its row when it was built) that it repeats
    share: float = 1.0  # of that, as far as it is repeated

    @classmethod
    def of(
        cls, source: str, number: int, why: Why, prompt: str, like: str = "", share: float = 1.0
    ) -> LeftOut:
        return cls(source, number, why, prompt[:_SHOWN], like, round(share, 3))


@dataclass
class Report:
    """Written line by line as records are read; an interrupted build writes it anew."""

    path: Path | None = None  # None: counted only
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
        """By reason alone."""
        totals: Counter[Why] = Counter()
        for (_, why), count in self.counts.items():
            totals[why] += count
        return dict(totals)

    def __str__(self) -> str:
        return ", ".join(f"{why} {count}" for why, count in self.totals().items())


def read_report(path: Path) -> Iterator[LeftOut]:
    """The lines of an earlier report; none where there is no file."""
    if not path.is_file():
        return
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                yield LeftOut(**json.loads(line))
            except (ValueError, TypeError):
                raise Damaged(f"{path} line {number} is damaged; rebuild it") from None
