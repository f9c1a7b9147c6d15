"""Serves knowledge bases over HTTP: a client sends a vector and gets the records nearest to it.

    python -m server --knowledge_base_path knowledge_base
    python server/server.py --only_faiss --port 8001
    python -m server --knowledge_base_path bases/maths --more_knowledge_bases arc=bases/arc

docs/api.md describes the routes, docs/serving.md how to run the service.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # when run by path, this file hides the package `server`
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import run_command
from hone.settings import option, read_settings


@dataclass(frozen=True)
class ServerSettings:
    knowledge_base_path: Path = option(Path("knowledge_base"), "folder that kb/build_kb.py wrote")
    more_knowledge_bases: tuple[str, ...] = option(
        (), "further knowledge bases, NAME=PATH each, which requests choose by name"
    )
    only_faiss: bool = option(
        False, "return nearest neighbours, not SIFT's choice, where a request names no method"
    )
    embed_queries: bool = option(
        False, "embed texts and tasks that are pasted on the page; otherwise only vectors are taken"
    )
    host: str = option("127.0.0.1", "address to listen on; 0.0.0.0 for all")
    port: int = option(8000, "port to listen on; 0 for any free one", low=0, high=65535)
    log_level: str = option(
        "warning",
        "lowest level to log; info shows each request",
        choices=("debug", "info", "warning", "error"),
    )
    max_body_mb: int = option(16, "largest request body in MiB", low=1)
    max_body_seconds: float = option(30.0, "seconds for a request body to arrive", above=0)
    batch_size: int = option(128, "most vectors that are searched together", low=1)
    queue_size: int = option(
        1024, "most vectors that may wait for a search; further requests must try again", low=256
    )
    reload_seconds: float = option(
        2.0, "seconds between checks for a rebuilt knowledge base; 0: never", low=0
    )


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        ServerSettings, argv, env_prefix="HONE_SERVER_", description=__doc__ or ""
    )
    from hone.listening import listening_socket
    from server.serving import serve

    with listening_socket(settings.host, settings.port) as listener:
        serve(settings, listener)
    return 0


if __name__ == "__main__":
    run_command(main)
