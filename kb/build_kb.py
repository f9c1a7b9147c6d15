"""Builds a knowledge base: reads data sets, embeds their prompts, writes a folder to search in.

    python kb/build_kb.py --datasets generators:2000 --save_dir knowledge_base
    python kb/build_kb.py --datasets data/gsm8k.jsonl math_50k --save_dir maths

A build that was interrupted goes on where it stopped when the same command is given again.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from kb.partial import PartialBase
    from kb.records import Record
    from kb.sources import Dataset, Fields, Tally
    from kb.store import Manifest
    from models.embedder import Embedder


@dataclass(frozen=True)
class BuildSettings:
    datasets: tuple[str, ...] = option(
        (),
        "data sets in order: generators[:COUNT[:SEED]], math_50k, folders or files of ARC tasks,"
        " .json/.jsonl/.jsonl.gz files of text",
    )
    save_dir: Path = option(Path("knowledge_base"), "folder to write")
    embedder: str = option(
        "auto", "auto (arc for ARC, minilm for text), arc, minilm, a folder or a hub id"
    )
    prompt_field: str | None = option(None, "field of a text record to embed; else recognised")
    answer_field: str | None = option(None, "field of a text record to learn; else recognised")
    batch_size: int = option(256, "records embedded and written at a time", low=1)
    overwrite: bool = option(False, "replace a knowledge base that is there")


class SourcesChanged(Exception):
    """What an unfinished build holds is no longer what the sources say."""


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(BuildSettings, argv, env_prefix="HONE_KB_", description=__doc__ or "")
    manifest, tally = build(settings)
    per_source = ", ".join(f"{count} from {name}" for name, count in manifest.sources.items())
    print(f"{settings.save_dir}: {manifest.records} records ({per_source})")
    print(f"embedder {manifest.embedder}, dimension {manifest.dimension}")
    print(f"content hash {manifest.content_hash}")
    if tally.duplicates or tally.without_answer:
        print(
            f"left out: {tally.duplicates} exact duplicates,"
            f" {tally.without_answer} tasks without answers"
        )
    return 0


def build(settings: BuildSettings) -> tuple[Manifest, Tally]:
    """The knowledge base that the settings ask for, whole and in place."""
    from hone.files import put_in_place
    from kb.partial import check_free, only_builder, partial_folder
    from kb.sources import chosen_fields, find_datasets

    datasets = find_datasets(settings.datasets)
    fields = chosen_fields(settings.prompt_field, settings.answer_field)
    save_dir = settings.save_dir.resolve()
    check_free(save_dir, overwrite=settings.overwrite)
    with only_builder(save_dir):
        check_free(save_dir, overwrite=settings.overwrite)
        embedder = open_for(settings.embedder, datasets)
        folder = partial_folder(save_dir)
        result = Job(embedder, datasets, fields, settings.batch_size, folder).run()
        put_in_place(folder, save_dir)
    return result


def open_for(name: str, datasets: list[Dataset]) -> Embedder:
    """The embedder by name, checked to read what the data sets hold."""
    from models.embedder import open_embedder

    kind = datasets[0].kind
    if name == "auto":
        name = "arc" if kind == "arc" else "minilm"
    if (name == "arc") != (kind == "arc"):
        reads = "ARC tasks" if name == "arc" else "text"
        raise BadInput(
            f"the embedder {name} reads {reads}, {datasets[0].spelled} is {kind};"
            " leave --embedder at auto"
        )
    return open_embedder(name)


@dataclass
class Job:
    """One build, which may be going on behind what an earlier one left."""

    embedder: Embedder
    datasets: list[Dataset]
    fields: Fields | None
    batch_size: int
    folder: Path

    @property
    def identity(self) -> dict[str, Any]:
        """What must be equal for an unfinished build to be gone on with."""
        return {
            "datasets": [dataset.spelled for dataset in self.datasets],
            "fields": None if self.fields is None else str(self.fields),
            "embedder": self.embedder.name,
            "embedder_fingerprint": self.embedder.fingerprint,
        }

    def run(self) -> tuple[Manifest, Tally]:
        from kb.partial import open_partial

        while True:
            partial, note = open_partial(self.folder, self.identity, self.embedder.dimension)
            if note:
                print(note, file=sys.stderr)
            try:
                return self._fill(partial)
            except SourcesChanged:
                print("the data sets say something else now: starting anew", file=sys.stderr)
                partial.discard()
            finally:
                partial.close()
                if not partial.done:  # nothing worth going on with
                    partial.discard()

    def _fill(self, partial: PartialBase) -> tuple[Manifest, Tally]:
        from kb.records import query_of
        from kb.sources import Tally

        tally, counts = Tally(), Counter[str]()
        for records, running_hash in self._blocks(partial, tally, counts):
            vectors = self.embedder.embed([query_of(record) for record in records])
            partial.add(records, vectors, running_hash)
        if not partial.done:
            raise BadInput(f"no records in {', '.join(d.spelled for d in self.datasets)}")
        return partial.finish(self._about(counts)), tally

    def _blocks(
        self, partial: PartialBase, tally: Tally, counts: Counter[str]
    ) -> Iterator[tuple[list[Record], str]]:
        """Records that are not in yet, with the running hash behind each block."""
        from tqdm import tqdm

        from kb.partial import ContentHash
        from kb.sources import read_records

        content = ContentHash(self.embedder.fingerprint)
        block: list[Record] = []
        there, before, number = partial.done, partial.running_hash, 0
        records = read_records(self.datasets, self.fields, tally)
        for number, record in enumerate(tqdm(records, "records", unit=""), 1):
            content.add(record)
            counts[record.source] += 1
            if number == there and content.value() != before:
                raise SourcesChanged
            if number > there:
                block.append(record)
            if len(block) == self.batch_size:
                yield block, content.value()
                block = []
        if number < there:
            raise SourcesChanged
        if block:
            yield block, content.value()

    def _about(self, counts: Counter[str]) -> dict[str, Any]:
        from kb.store import hone_version

        return {
            "kind": self.datasets[0].kind,
            "embedder": self.embedder.name,
            "embedder_fingerprint": self.embedder.fingerprint,
            "sources": dict(counts),
            "built_from": self.identity,
            "hone_version": hone_version(),
        }


if __name__ == "__main__":
    run_command(main)
