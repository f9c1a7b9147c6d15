"""Uploads a finished build from its files to a collection in Milvus.

The collection is named after the content hash, so a build that was killed during the upload, or is
repeated, finds the same collection: it is used if it is whole, and filled anew if it is not.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Iterator
from contextlib import closing
from typing import Any

from tqdm import tqdm

from hone.errors import Unreachable
from kb.index import Asked, IndexCard, Kind, chosen_kind, least_effort
from kb.manifest import MilvusPlace
from kb.milvus_connection import connected, milvus_said
from kb.milvus_store import TEXT, held_rows, index_parameters, search_parameters, searched
from kb.record_file import RecordFile
from kb.vector_file import VectorFile

_AT_ONCE = 256  # rows sent together
_PIECE = 16_000  # characters in a piece of text, which may have 65535 bytes
_PIECES = 4096  # at most, of one text


def uploaded(
    uri: str, asked: Asked, content_hash: str, vectors: VectorFile, records: RecordFile
) -> tuple[IndexCard, MilvusPlace]:
    """Uploads and indexes the build: what its index finds, and where the whole collection is."""
    count = vectors.shape[0]
    kind = chosen_kind(asked, count)
    index_parameters(kind, count)  # refused before anything is sent
    place = MilvusPlace(uri, f"hone_{content_hash[:16]}_{kind}", vectors_sha256(vectors))
    with closing(connected(uri)) as client, milvus_said(uri):
        if held_rows(client, place.collection) != count:
            _fill(client, place.collection, kind, vectors, records)
        if (held := held_rows(client, place.collection)) != count:
            raise Unreachable(f"Milvus at {uri} took {held} of {count} records; try again")
        return _card(client, place.collection, kind, asked, vectors), place


def vectors_sha256(vectors: VectorFile) -> str:
    """The sha256 over all vectors in order."""
    total = hashlib.sha256()
    for run in vectors.runs(_AT_ONCE):
        total.update(vectors.run(run).tobytes())
    return total.hexdigest()


def _card(client: Any, collection: str, kind: Kind, asked: Asked, vectors: VectorFile) -> IndexCard:
    if kind == "flat":
        return IndexCard.flat(asked)
    count = vectors.shape[0]
    effort, recall = least_effort(
        lambda queries, k, effort: searched(
            client, collection, queries, k, parameters=search_parameters(kind, count, k, effort)
        )[0],
        vectors,
    )
    return IndexCard(kind, asked, effort, recall)


def _fill(
    client: Any, collection: str, kind: Kind, vectors: VectorFile, records: RecordFile
) -> None:
    client.drop_collection(collection)
    _create(client, collection, kind, vectors.shape)
    with tqdm(desc="to Milvus", total=vectors.shape[0], unit="", file=sys.stderr) as bar:
        for run in vectors.runs(_AT_ONCE):
            client.insert(collection, list(_as_rows(run, vectors, records)))
            bar.update(len(run))
    client.flush(collection)


def _create(client: Any, collection: str, kind: Kind, shape: tuple[int, int]) -> None:
    from pymilvus import DataType

    schema = client.create_schema(auto_id=False, enable_dynamic_field=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("vector", DataType.FLOAT_VECTOR, dim=shape[1])
    schema.add_field("checksum", DataType.INT64)
    text = {"element_type": DataType.VARCHAR, "max_length": 65535, "max_capacity": _PIECES}
    for name in TEXT:
        schema.add_field(name, DataType.ARRAY, **text)
    index_type, parameters = index_parameters(kind, shape[0])
    index = client.prepare_index_params()
    index.add_index("vector", index_type=index_type, metric_type="IP", params=parameters)
    client.create_collection(collection, schema=schema, index_params=index)


def _as_rows(run: range, vectors: VectorFile, records: RecordFile) -> Iterator[dict[str, Any]]:
    for row, vector, record in zip(run, vectors.run(run), records.read(run), strict=True):
        texts = {name: _pieces(getattr(record, name)) for name in TEXT}
        yield {"id": row, "vector": vector, "checksum": record.checksum(row), **texts}


def _pieces(text: str) -> list[str]:
    """The text in pieces, at least one, each short enough for a text field of Milvus."""
    return [text[start : start + _PIECE] for start in range(0, len(text) or 1, _PIECE)]
