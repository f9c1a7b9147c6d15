"""Reads every byte of a knowledge base and says whether it is what was written.

    python -m kb verify --knowledge_base_path knowledge_base

Files are checked against their checksums; records against theirs, the content hash and the counts
of the sources; vectors must have length 1. Of a knowledge base in Milvus, all rows are read.
"""

from __future__ import annotations

import hashlib
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import Damaged, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from kb.store import KnowledgeBase

_AT_ONCE = 4096  # rows
_UNIT = 1e-3  # how far from 1 a vector's length may be


@dataclass(frozen=True)
class VerifySettings:
    knowledge_base_path: Path = option(Path("knowledge_base"), "folder that kb/build_kb.py wrote")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        VerifySettings, argv, env_prefix="HONE_VERIFY_", description=__doc__ or ""
    )
    from kb.store import KnowledgeBase

    with closing(KnowledgeBase.open(settings.knowledge_base_path, verify=True)) as base:
        check(base)
        manifest = base.manifest
    print(f"{settings.knowledge_base_path} is sound: {manifest.records} records")
    print(f"content hash {manifest.content_hash}")
    return 0


def check(base: KnowledgeBase) -> None:
    """Checks what checksums do not show: that all files are of the same knowledge base."""
    from kb.partial import ContentHash

    manifest, counts = base.manifest, Counter[str]()
    content, vectors = ContentHash(manifest.embedder_fingerprint), hashlib.sha256()
    for rows in _blocks(manifest.records):
        for record in base.records(rows):
            content.add(record)
            counts[record.source] += 1
        vectors.update(_checked_vectors(base, rows))
    if list(counts.items()) != list(manifest.sources.items()):
        raise Damaged(f"{base.path} holds {dict(counts)}, its manifest says {manifest.sources}")
    if content.value() != manifest.content_hash:
        raise Damaged(f"{base.path}: the records are not those of the manifest; rebuild it")
    if manifest.milvus and vectors.hexdigest() != manifest.milvus.vectors_sha256:
        raise Damaged(f"{base.path}: Milvus has other vectors than were written; rebuild it")


def _checked_vectors(base: KnowledgeBase, rows: range) -> bytes:
    """The bytes of these rows' vectors, which must have length 1."""
    import numpy as np

    vectors = base.vectors(np.array(rows))
    odd = ~(np.abs(np.linalg.norm(vectors, axis=1) - 1) <= _UNIT)  # NaN is odd too
    if odd.any():
        row = rows[int(odd.argmax())]
        raise Damaged(f"{base.path}: vector {row} is not of length 1; rebuild the knowledge base")
    return vectors.tobytes()


def _blocks(count: int) -> Iterator[range]:
    for start in range(0, count, _AT_ONCE):
        yield range(start, min(start + _AT_ONCE, count))


if __name__ == "__main__":
    run_command(main)
