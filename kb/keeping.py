"""Where the vectors and records of a finished build are kept, and how they are searched."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from hone.errors import BadInput
from kb.checked_file import FileStamp
from kb.index import Asked, IndexCard, build_index
from kb.manifest import INDEX, RECORDS, VECTORS, Manifest, MilvusPlace
from kb.record_file import RecordFile
from kb.vector_file import VectorFile


@dataclass(frozen=True)
class Keeping:
    """The place is Milvus if there is a URI, else files; the index `auto` goes by size."""

    index: Asked = "auto"
    milvus_uri: str | None = None

    def keep(
        self, folder: Path, shape: tuple[int, int], content_hash: str
    ) -> tuple[IndexCard, MilvusPlace | None]:
        """Indexes what `folder` holds, or uploads it: the index's card, and the place in Milvus."""
        (folder / INDEX).unlink(missing_ok=True)  # of a build that was killed later on
        vectors = VectorFile(folder / VECTORS, FileStamp.of(folder / VECTORS), shape)
        if self.milvus_uri is None:
            return build_index(self.index, vectors, folder / INDEX), None
        from kb.milvus_upload import uploaded

        records = RecordFile(folder / RECORDS, shape[0], content_hash)
        try:
            return uploaded(self.milvus_uri, self.index, content_hash, vectors, records)
        finally:
            records.close()


def keeping(index: Asked, store: str, milvus_uri: str | None, before: Manifest | None) -> Keeping:
    """What is asked for; `auto` keeps a knowledge base that is changed as it was before."""
    if index == "auto" and before is not None:
        index = before.index.asked
    if store == "auto":
        store = "milvus" if before is not None and before.milvus else "faiss"
    if store == "faiss":
        if milvus_uri is not None:
            raise BadInput(f"--milvus_uri {milvus_uri} is for --store milvus; give both or none")
        return Keeping(index)
    if milvus_uri is None and before is not None and before.milvus:
        milvus_uri = before.milvus.uri
    if milvus_uri is None:
        raise BadInput(
            "--store milvus needs --milvus_uri; give a file that ends in .db or a server's address"
        )
    from kb.milvus_connection import check_client, checked_uri
    from kb.milvus_store import index_parameters

    check_client()
    if index != "auto":
        index_parameters(index, records=1)
    return Keeping(index, checked_uri(milvus_uri))


def remove_staged(folder: Path) -> None:
    """Removes the files that a build wrote before it uploaded them to Milvus."""
    for name in (VECTORS, RECORDS):
        (folder / name).unlink(missing_ok=True)
