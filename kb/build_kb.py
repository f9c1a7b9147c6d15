"""Builds a knowledge base: reads data sets, embeds their prompts, writes a folder to be searched.

    python kb/build_kb.py --datasets generators:2000 --save_dir knowledge_base
    python kb/build_kb.py --datasets data/gsm8k.jsonl math_50k --exclude test.jsonl --save_dir maths
    python kb/build_kb.py --append --datasets mbpp=data/mbpp.parquet --save_dir maths
    python kb/build_kb.py --remove_source gsm8k --save_dir maths

The same command, given again, continues a build that was interrupted. A knowledge base is changed
as a whole: the old one stays in place until the new one is complete.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import BadInput, Damaged, NotThere, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from kb.existing import Existing
    from kb.index import Asked
    from kb.keeping import Keeping
    from kb.left_out import Report
    from kb.manifest import Manifest, MilvusPlace
    from kb.records import Kind
    from kb.sources import Dataset
    from models.embedder import Embedder


@dataclass(frozen=True)
class BuildSettings:
    datasets: tuple[str, ...] = option(
        (),
        "data sets in order: generators[:COUNT[:SEED]], folders or files of ARC tasks, files of"
        " text (.json, .jsonl, .csv, .parquet, also .gz), CT3's data sets by name; NAME=PATH reads"
        " a local copy of those, NAME:COUNT[:SEED] draws a sample of a text",
    )
    save_dir: Path = option(Path("knowledge_base"), "folder to write")
    embedder: str = option(
        "auto", "auto (arc for ARC, minilm for text), arc, minilm, a folder or a hub id"
    )
    prompt_field: str | None = option(None, "field of text records to embed; recognised by default")
    answer_field: str | None = option(None, "field of text records to learn; recognised by default")
    exclude: tuple[Path, ...] = option(
        (), "test sets; records that give away one of their questions are left out"
    )
    keep_near_duplicates: bool = option(False, "keep texts that nearly repeat an earlier one")
    index: str = option(
        "auto",
        "how vectors are searched: flat compares all of them (exact); ivf, hnsw and pq compare a"
        " part; auto keeps the index of a knowledge base that is changed, and for a new one takes"
        " flat up to two million records and ivf above",
        choices=("auto", "flat", "ivf", "hnsw", "pq"),
    )
    store: str = option(
        "auto",
        "where vectors and records are kept: faiss (files of the folder) or milvus; auto leaves a"
        " knowledge base that is changed where it is, and takes faiss for a new one",
        choices=("auto", "faiss", "milvus"),
    )
    milvus_uri: str | None = option(
        None, "where --store milvus is: a file that ends in .db or a server's address (http://...)"
    )
    batch_size: int = option(1024, "records embedded and written at a time", low=1)
    append: bool = option(False, "add to the knowledge base in --save_dir")
    remove_source: tuple[str, ...] = option((), "sources to remove from the one in --save_dir")
    overwrite: bool = option(False, "replace the knowledge base in --save_dir")

    @property
    def changes(self) -> bool:
        """Whether the build starts from the knowledge base in `save_dir`."""
        return self.append or bool(self.remove_source)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(BuildSettings, argv, env_prefix="HONE_KB_", description=__doc__ or "")
    from kb.left_out import LEFT_OUT

    manifest, report = build(settings)
    per_source = ", ".join(f"{count} from {name}" for name, count in manifest.sources.items())
    print(f"{settings.save_dir}: {manifest.records} records ({per_source})")
    print(f"embedder {manifest.embedder}, dimension {manifest.dimension}")
    print(f"content hash {manifest.content_hash}")
    print(manifest.index)
    if report.counts:
        print(f"left out: {report}; {settings.save_dir / LEFT_OUT} says which")
    return 0


def build(settings: BuildSettings) -> tuple[Manifest, Report]:
    """Builds what the settings ask for and puts it in place; also reports what was left out."""
    from hone.files import put_in_place
    from kb.building_place import only_builder
    from kb.decontamination import open_test_sets
    from kb.job import Job
    from kb.partial import partial_folder
    from kb.schemas import named_schema
    from kb.sources import find_datasets

    schema = named_schema(settings.prompt_field, settings.answer_field)
    datasets = find_datasets(settings.datasets, schema)
    _check_asked(settings)
    save_dir = settings.save_dir.resolve()
    if not settings.changes or not save_dir.parent.is_dir():
        _check_place(settings, save_dir)
    with only_builder(save_dir):
        _check_place(settings, save_dir)
        with _existing(settings, save_dir) as existing:
            _check_names(existing, datasets)
            kind = _kind(existing, datasets)
            keeping, replaced = _keeping(settings, existing), _collection(save_dir)
            manifest, report = Job(
                kind=kind,
                embedder=open_for(settings.embedder, kind, existing),
                existing=existing,
                datasets=datasets,
                schema=schema,
                exclude=settings.exclude,
                tests=open_test_sets(settings.exclude, kind) if settings.exclude else None,
                keep_near_duplicates=settings.keep_near_duplicates,
                at_once=settings.batch_size,
                folder=partial_folder(save_dir),
                keeping=keeping,
            ).run()
        put_in_place(partial_folder(save_dir), save_dir)
        _clear_up(save_dir, manifest, replaced)
    return manifest, report


def open_for(name: str, kind: Kind, existing: Existing | None) -> Embedder:
    """Opens the embedder. Refuses one that does not read this kind of record, or is not the one
    with which the existing knowledge base was built."""
    from models.embedder import open_embedder

    before = existing.base.manifest if existing else None
    if name == "auto":
        name = before.embedder if before else ("arc" if kind == "arc" else "minilm")
    if (name == "arc") != (kind == "arc"):
        raise BadInput(
            f"the embedder {name} reads {'ARC tasks' if name == 'arc' else 'text'}, the data sets"
            f" are {kind}; leave --embedder at auto"
        )
    embedder = open_embedder(name)
    if before and embedder.fingerprint != before.embedder_fingerprint:
        raise BadInput(
            f"the knowledge base was built with the embedder {before.embedder}"
            f" ({before.embedder_fingerprint}), {name} is {embedder.fingerprint} here; vectors of"
            " two embedders do not mix: build anew"
        )
    return embedder


def _check_asked(settings: BuildSettings) -> None:
    if not settings.datasets and not settings.changes:
        raise BadInput("no data sets; name some with --datasets")
    kept_anew = (settings.index, settings.store) != ("auto", "auto")
    if settings.append and not (settings.datasets or settings.exclude or kept_anew):
        raise BadInput("nothing to append; name data sets with --datasets")
    if settings.changes and settings.overwrite:
        raise BadInput("--overwrite starts from nothing; leave out --append and --remove_source")


def _check_place(settings: BuildSettings, save_dir: Path) -> None:
    from kb.building_place import check_free, check_there

    if settings.changes:
        check_there(save_dir)
    else:
        check_free(save_dir, overwrite=settings.overwrite)


@contextmanager
def _existing(settings: BuildSettings, save_dir: Path) -> Iterator[Existing | None]:
    """The knowledge base to change, with every byte verified; None for a new build."""
    from kb.existing import Existing
    from kb.store import KnowledgeBase

    if not settings.changes:
        yield None
        return
    with closing(KnowledgeBase.open(save_dir, verify=True)) as base:
        yield Existing(base, tuple(sorted(set(settings.remove_source))))


def _keeping(settings: BuildSettings, existing: Existing | None) -> Keeping:
    from kb.keeping import keeping

    before = existing.base.manifest if existing else None
    return keeping(cast("Asked", settings.index), settings.store, settings.milvus_uri, before)


def _clear_up(save_dir: Path, manifest: Manifest, replaced: MilvusPlace | None) -> None:
    """Removes files that were staged for Milvus. A collection that was replaced is only named, not
    dropped, since servers may still read it."""
    from kb.keeping import remove_staged

    if manifest.milvus is not None:
        remove_staged(save_dir)
    if replaced is not None and replaced != manifest.milvus:
        print(
            f"collection {replaced.collection} in {replaced.uri} was replaced: drop it when no"
            " server uses it any more",
            file=sys.stderr,
        )


def _collection(save_dir: Path) -> MilvusPlace | None:
    """The Milvus collection of the knowledge base that is about to be replaced, if it has one."""
    from kb.manifest import read_manifest

    try:
        return read_manifest(save_dir).milvus
    except (NotThere, Damaged):
        return None


def _kind(existing: Existing | None, datasets: Sequence[Dataset]) -> Kind:
    return existing.base.manifest.kind if existing else datasets[0].kind


def _check_names(existing: Existing | None, datasets: Sequence[Dataset]) -> None:
    """Refuses to append data sets of another kind, or with the name of a source already there."""
    if existing is None:
        return
    for dataset in datasets:
        if dataset.kind != existing.base.manifest.kind:
            raise BadInput(
                f"{dataset.spelled} is {dataset.kind}, the knowledge base holds"
                f" {existing.base.manifest.kind}; build another for it"
            )
        if dataset.source in existing.sources:
            raise BadInput(
                f"{dataset.source} is in the knowledge base already; replace it with"
                f" --remove_source {dataset.source}, or give the file another name"
            )


if __name__ == "__main__":
    run_command(main)
