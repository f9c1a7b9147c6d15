"""Prints what a knowledge base holds, without reading its records.

python -m kb info --knowledge_base_path knowledge_base
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import run_command
from hone.settings import option, read_settings


@dataclass(frozen=True)
class InfoSettings:
    knowledge_base_path: Path = option(Path("knowledge_base"), "folder that kb/build_kb.py wrote")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(InfoSettings, argv, env_prefix="HONE_INFO_", description=__doc__ or "")
    for line in told(settings.knowledge_base_path):
        print(line)
    return 0


def told(path: Path) -> Iterator[str]:
    from kb.checked_file import CheckedFile
    from kb.left_out import LEFT_OUT, read_report
    from kb.manifest import read_manifest

    manifest = read_manifest(path)
    manifest.check_files(path)
    CheckedFile(path / LEFT_OUT, manifest.files[LEFT_OUT]).check()
    size = sum(stamp.size for stamp in manifest.files.values())
    yield f"{path}: {manifest.records} records of {manifest.kind}, {size / 1e6:.1f} MB here"
    if manifest.milvus is not None:
        yield f"vectors and records in Milvus, {manifest.milvus.uri}: {manifest.milvus.collection}"
    yield str(manifest.index)
    yield f"embedder {manifest.embedder} ({manifest.embedder_fingerprint})"
    yield f"vectors of dimension {manifest.dimension}, format version {manifest.format_version}"
    for name, count in manifest.sources.items():
        yield f"  {count:>9} from {name}"
    reasons = Counter(left.why for left in read_report(path / LEFT_OUT))
    for why, count in reasons.items():
        yield f"  {count:>9} left out: {why}"
    yield f"built by hone {manifest.hone_version}, content hash {manifest.content_hash}"


if __name__ == "__main__":
    run_command(main)
