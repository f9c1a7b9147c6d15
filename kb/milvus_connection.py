"""Connects to Milvus, by a file of milvus-lite or a server's address, and reports its errors.

Credentials, a token or a name and password, are never in a knowledge base or on a command line:
they are read from the environment variable HONE_MILVUS_TOKEN.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hone.errors import BadInput, NotThere, Unreachable
from hone.files import check_writable

TOKEN = "HONE_MILVUS_TOKEN"
PATIENCE = 30.0  # seconds to wait for an answer


def checked_uri(uri: str) -> str:
    """A server's address unchanged, or a file's path made absolute; refuses what cannot be used,
    before the work begins."""
    if uri.startswith(("http://", "https://")):
        return uri
    if "://" in uri or not uri.endswith(".db"):
        raise BadInput(
            f"--milvus_uri is {uri}; give a server's address (http://...) or a file that ends in"
            " .db"
        )
    check_writable(Path(uri).parent, "--milvus_uri")
    return str(Path(uri).resolve())


def check_client() -> None:
    """Refuses where the packages that Milvus needs are not installed."""
    if not (find_spec("pymilvus") and find_spec("milvus_lite")):
        raise NotThere(
            "a knowledge base in Milvus needs the packages pymilvus and milvus-lite, which are not"
            " installed: bash install.sh --extras milvus"
        )


def connected(uri: str) -> Any:
    """A pymilvus client; safe to use from many threads."""
    check_client()
    from pymilvus import MilvusClient

    logging.getLogger("milvus_lite").setLevel(logging.CRITICAL)  # else it prints a traceback
    with milvus_said(uri):
        return MilvusClient(uri, token=os.environ.get(TOKEN, ""), timeout=PATIENCE)


@contextmanager
def milvus_said(uri: str) -> Iterator[None]:
    """Turns an error of Milvus, or of the connection, into one line."""
    from grpc import RpcError
    from pymilvus.exceptions import MilvusException

    try:
        yield
    except (MilvusException, RpcError) as error:
        said = error.message if isinstance(error, MilvusException) else str(error)
        raise Unreachable(
            f"Milvus at {uri}: {said.splitlines()[0]}; check that it runs, that {TOKEN} is right"
            " where it asks for a login, and that no other process has the file open"
        ) from error
