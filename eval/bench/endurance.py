"""Clients that search without pause while the knowledge base is rebuilt and the server is killed.

    python -m eval.bench endurance --minutes 10

In turns, one of two knowledge bases replaces the other under the server, and the server is killed
with signal 9 and started again. Every answer is compared with the same search in this process: its
records and scores must be those of one of the two. Searches that fail because of a kill or restart
are repeated by the client, and counted. The last line is one JSON object.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

from hone.errors import HoneError, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from client.http_retriever import HttpRetriever
    from eval.bench.load import ServerProcess
    from kb.retriever import LocalRetriever
    from kb.wire import Hit

_SAME = 1e-4  # scores closer than this are equal: sums may be rounded in another order
_PATIENT = 8  # how often a client repeats a search: a restart takes seconds


@dataclass(frozen=True)
class EnduranceSettings:
    minutes: float = option(10.0, "how long clients search", above=0)
    clients: int = option(8, "number of clients that search at once", low=1)
    n: int = option(50_000, "vectors in each of the two knowledge bases", low=2000)
    dimension: int = option(384, "numbers per vector", low=1)
    k: int = option(32, "records per query", low=1, high=1000)
    every: float = option(
        15.0, "seconds between two events, each a rebuilt knowledge base or a kill", above=0
    )
    out_dir: Path = option(Path("runs/bench/endurance"), "folder of the knowledge bases")


@dataclass
class Tally:
    """The results of all clients together."""

    answers: int = 0
    wrong: int = 0
    retried: int = 0
    given_up: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, *, right: bool) -> None:
        with self.lock:
            self.answers += 1
            self.wrong += not right

    def gave_up(self, error: HoneError) -> None:
        with self.lock:
            self.given_up.append(str(error))


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        EnduranceSettings, argv, env_prefix="HONE_ENDURANCE_", description=__doc__ or ""
    )
    print(json.dumps(endured(settings)))
    return 0


def endured(settings: EnduranceSettings) -> dict[str, Any]:
    from eval.bench.load import start_server, stop_server
    from eval.bench.machine import commit
    from eval.bench.search_base import made_base
    from hone.files import check_writable
    from kb.retriever import LocalRetriever
    from kb.store import KnowledgeBase

    check_writable(settings.out_dir, "--out_dir")
    folders = [made_base(settings.out_dir, settings.n, settings.dimension, i) for i in range(2)]
    truths = [LocalRetriever(KnowledgeBase.open(folder)) for folder in folders]
    served = settings.out_dir / "served"
    _put(folders[0], served)
    tally, done = Tally(), threading.Event()
    server = start_server(served)
    asking = [
        threading.Thread(target=_ask, args=(settings, server.url, truths, seed, tally, done))
        for seed in range(settings.clients)
    ]
    try:
        for thread in asking:
            thread.start()
        server, kills, reloads = _disturb(settings, server, folders, served)
    finally:
        done.set()
        for thread in asking:
            thread.join()
        stop_server(server)
    return {
        "bench": "endurance",
        "minutes": settings.minutes,
        "answers": tally.answers,
        "wrong": tally.wrong,
        "retried": tally.retried,
        "given_up": len(tally.given_up),
        "first_given_up": tally.given_up[:1],
        "kills": kills,
        "reloads": reloads,
        "clients": settings.clients,
        "n": settings.n,
        "commit": commit(),
    }


def _disturb(
    settings: EnduranceSettings, server: ServerProcess, folders: list[Path], served: Path
) -> tuple[ServerProcess, int, int]:
    """Kills the server and replaces the knowledge base in turns; returns the last server, and the
    number of kills and replacements."""
    from eval.bench.load import start_server

    until, kills, reloads = time.monotonic() + 60 * settings.minutes, 0, 0
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, settings.every))
        if left <= settings.every:
            break
        if kills < reloads:
            server.process.kill()
            server.process.communicate()
            server = start_server(served, int(server.url.rpartition(":")[2]))
            kills += 1
        else:
            reloads += 1
            _put(folders[reloads % 2], served)
    return server, kills, reloads


def _put(folder: Path, served: Path) -> None:
    """Puts a copy of the folder in place of the served one, as the builder does."""
    from hone.files import put_in_place

    beside = served.with_name(f".{served.name}.next")
    shutil.rmtree(beside, ignore_errors=True)
    put_in_place(Path(shutil.copytree(folder, beside)), served)


def _ask(
    settings: EnduranceSettings,
    url: str,
    truths: list[LocalRetriever],
    seed: int,
    tally: Tally,
    done: threading.Event,
) -> None:
    from client.http_retriever import HttpRetriever

    with HttpRetriever(url, retries=_PATIENT) as remote:
        number = 0
        while not done.is_set():
            number += 1  # no search is repeated, so that no cache answers it
            try:
                tally.add(right=_right(settings, remote, truths, seed, number))
            except HoneError as error:
                tally.gave_up(error)
        with tally.lock:
            tally.retried += remote.retried


def _right(
    settings: EnduranceSettings,
    remote: HttpRetriever,
    truths: list[LocalRetriever],
    seed: int,
    number: int,
) -> bool:
    """Whether the answer is that of one of the two knowledge bases."""
    from eval.bench.search_base import drawn_vectors

    vectors = drawn_vectors(1000 + seed, number, 1, settings.dimension)
    (found,) = remote.search(vectors, settings.k, method="faiss")
    return any(_agree(found, truth.search(vectors, settings.k)[0]) for truth in truths)


def _agree(found: list[Hit], expected: list[Hit]) -> bool:
    """Whether scores are equal, and records too except for a tie at the end."""
    if len(found) != len(expected):
        return False
    known = {hit.id: hit.prompt for hit in expected}
    common = [hit for hit in found if hit.id in known]
    return (
        all(abs(one.score - two.score) < _SAME for one, two in zip(found, expected, strict=True))
        and all(hit.prompt == known[hit.id] for hit in common)
        and len(common) >= len(found) - 1
    )


if __name__ == "__main__":
    run_command(main)
