"""Rows of a data set on the Hugging Face hub, streamed: nothing is fetched ahead or kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hone.errors import NotThere
from kb.rows import Rows, Sample

_BUFFER = 10_000  # rows held, from which the next one is drawn


@dataclass(frozen=True)
class HubSet:
    """One split of a data set's repository."""

    repo: str
    config: str | None = None
    data_dir: str | None = None
    split: str = "train"

    def rows(self, sample: Sample | None) -> Rows:
        """All rows, or a sample, which is drawn through a buffer from shards in random order: so
        reading a part of a large repository is enough. It is not uniform, since rows of one shard
        come together."""
        rows = self._opened()
        if sample is not None:
            rows = rows.shuffle(seed=sample.seed, buffer_size=_BUFFER).take(sample.count)
        return self._numbered(rows)

    def _numbered(self, rows: Any) -> Rows:
        numbered = enumerate(rows, 1)
        while True:
            try:
                number, row = next(numbered)
            except StopIteration:
                return
            except _faults() as error:
                raise self._unreadable(error) from None
            yield f"{self.repo} row {number}", row

    def _opened(self) -> Any:
        try:
            from datasets import load_dataset
        except ImportError:
            raise NotThere(
                f"{self.repo} is read with the package datasets, which is not installed:"
                f" bash install.sh --extras hub, or read a local copy with NAME=PATH"
            ) from None
        try:
            return load_dataset(
                self.repo, self.config, data_dir=self.data_dir, split=self.split, streaming=True
            )
        except _faults() as error:
            raise self._unreadable(error) from None

    def _unreadable(self, error: Exception) -> NotThere:
        line = next(iter(str(error).splitlines()), "")
        return NotThere(
            f"{self.repo} cannot be read from the hub ({type(error).__name__}: {line}); where it"
            " asks for a login: hf auth login; a local copy is read with NAME=PATH"
        )


def _faults() -> tuple[type[Exception], ...]:
    """What `datasets` raises for data that is missing, forbidden, unreachable or damaged."""
    import httpx
    from datasets.exceptions import DatasetsError
    from pyarrow import ArrowException

    return (OSError, ValueError, RuntimeError, httpx.HTTPError, DatasetsError, ArrowException)
