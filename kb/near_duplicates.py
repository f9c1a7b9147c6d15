"""Finds near-duplicates among texts: MinHash over runs of words, looked up in a table of bands.

    near = NearDuplicates()
    near.like_or_add(record, row)    # (row, share) of an earlier record that it nearly repeats

The share of equal hashes estimates the Jaccard similarity of the two texts' sets of runs of words,
to within about 0.03. Records with answers must also have the same numbers: with other numbers it is
another problem. Memory grows by about 0.3 KB for each record, beyond some 25 MB.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from kb.records import Record
from kb.words import numbers, runs, spelled_hash, words

Keys = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

THRESHOLD = 0.9
RUN = 3  # words in a run
BANDS, ROWS = 12, 10  # two texts at the threshold share a band in 994 of 1000 cases
_HASHES = BANDS * ROWS
_RNG = np.random.default_rng(20240607)
_FACTORS = _RNG.integers(1, 1 << 63, _HASHES, dtype=np.uint64) * 2 + 1  # odd
_SHIFTS = _RNG.integers(0, 1 << 63, _HASHES, dtype=np.uint64)
_MIXERS = _RNG.integers(1, 1 << 63, ROWS + 1, dtype=np.uint64) * 2 + 1
_AT_ONCE = 4096  # runs that are hashed together


class NearDuplicates:
    """The hashes of the texts that were added."""

    def __init__(self) -> None:
        self._signatures = np.empty((1024, _HASHES), dtype=np.uint8)
        self._rows: list[int] = []  # the caller's number of each text
        self._table = BandTable()

    def like_or_add(self, record: Record, row: int) -> tuple[int, float] | None:
        """The most similar record that was added, if similar enough; else adds this one."""
        hashes, keys = _sketch(record)
        found = self._likest(hashes, keys)
        if found is None:
            self._add(hashes, keys, row)
        return found

    def add(self, record: Record, row: int) -> None:
        self._add(*_sketch(record), row)

    def _likest(self, hashes: Bytes, keys: Keys) -> tuple[int, float] | None:
        if not (found := self._table.find(keys)):
            return None
        near = np.array(sorted(found))
        equal = (self._signatures[near] == hashes).mean(1)
        shares = (equal - 1 / 256) / (1 - 1 / 256)  # one in 256 agrees by chance
        best = int(shares.argmax())
        if shares[best] < THRESHOLD:
            return None
        return self._rows[near[best]], float(shares[best])

    def _add(self, hashes: Bytes, keys: Keys, row: int) -> None:
        number = len(self._rows)
        if number == len(self._signatures):
            self._signatures = np.concatenate([self._signatures, np.empty_like(self._signatures)])
        self._signatures[number] = hashes
        self._rows.append(row)
        self._table.add(keys, number)


class BandTable:
    """Numbers by key. New ones are in a dict, older ones in sorted arrays that merge as they grow:
    an array takes 12 bytes for a key, a dict more than a hundred."""

    RECENT = 1 << 17  # keys in the dict before they become an array

    def __init__(self) -> None:
        self._recent: dict[int, list[int]] = {}
        self._recent_count = 0
        self._sorted: list[tuple[Keys, npt.NDArray[np.uint32]]] = []

    def add(self, keys: Keys, number: int) -> None:
        for key in keys.tolist():
            self._recent.setdefault(key, []).append(number)
        self._recent_count += len(keys)
        if self._recent_count >= self.RECENT:
            self._settle()

    def find(self, keys: Keys) -> set[int]:
        found = {number for key in keys.tolist() for number in self._recent.get(key, ())}
        for held, numbers_of in self._sorted:
            starts, ends = np.searchsorted(held, keys), np.searchsorted(held, keys, "right")
            for start, end in zip(starts, ends, strict=True):
                found.update(numbers_of[start:end].tolist())
        return found

    def _settle(self) -> None:
        pairs = [(key, number) for key, group in self._recent.items() for number in group]
        keys, found = zip(*pairs, strict=True)
        run = (np.array(keys, dtype=np.uint64), np.array(found, dtype=np.uint32))
        self._recent, self._recent_count = {}, 0
        while self._sorted and len(self._sorted[-1][0]) <= len(run[0]):
            older = self._sorted.pop()
            run = (np.concatenate([older[0], run[0]]), np.concatenate([older[1], run[1]]))
        order = run[0].argsort(kind="stable")
        self._sorted.append((run[0][order], run[1][order]))


def _sketch(record: Record) -> tuple[Bytes, Keys]:
    """A byte of each hash, and a key for each band of hashes."""
    found = words(f"{record.prompt}\n{record.answer}")
    same_numbers = spelled_hash(numbers(found)) if record.answer else 0
    hashes = _min_hashes(np.fromiter(set(runs(found, RUN)), dtype=np.uint64))
    told = np.concatenate(
        [hashes.reshape(BANDS, ROWS), np.full((BANDS, 1), same_numbers, dtype=np.uint64)], axis=1
    )
    keys = (told * _MIXERS).sum(1, dtype=np.uint64) + np.arange(BANDS, dtype=np.uint64)
    return (hashes & np.uint64(255)).astype(np.uint8), keys


def _min_hashes(values: Keys) -> Keys:
    """[hashes] each hash function's least value over all runs."""
    least = np.full(_HASHES, np.iinfo(np.uint64).max, dtype=np.uint64)
    for start in range(0, len(values), _AT_ONCE):
        part = values[start : start + _AT_ONCE, None] * _FACTORS + _SHIFTS  # modulo 2**64
        least = np.minimum(least, (part >> np.uint64(32)).min(0))
    return least
