"""The knowledge bases that are served, by name; a rebuilt one replaces its older version.

    with bases.use("maths") as served:
        served.retriever.info()

A request keeps the version that it began with until it is answered. A version that was replaced is
closed after its last request. All of this happens on the event loop, so it needs no thread locks.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from fastapi.concurrency import run_in_threadpool

from hone.errors import BadInput, HoneError
from kb.manifest import MANIFEST
from kb.retriever import LocalRetriever
from kb.store import KnowledgeBase
from kb.vector_map import VectorMap, vector_map
from kb.wire import Method
from server.metrics import Metrics

_NAMED = re.compile(r"([\w.-]+)=(.+)")
log = logging.getLogger("hone.server")


@dataclass(frozen=True)
class Place:
    """The folder of a knowledge base, and the name that requests use for it."""

    name: str
    path: Path

    @classmethod
    def parse(cls, spelled: str) -> Place:
        found = _NAMED.fullmatch(spelled)
        if found is None:
            raise BadInput(
                f"--more_knowledge_bases {spelled!r} is not NAME=PATH; name it, as in"
                " maths=bases/maths"
            )
        return cls(found[1], Path(found[2]))

    @property
    def mark(self) -> tuple[int, ...] | None:
        """What tells one build from another; None while the folder is being replaced."""
        with suppress(OSError):
            about = (self.path / MANIFEST).stat()
            return about.st_ino, about.st_mtime_ns, about.st_size
        return None


class Served:
    """One version of a knowledge base, open."""

    def __init__(self, place: Place, method: Method) -> None:
        self.place, self.mark = place, place.mark
        self.base = KnowledgeBase.open(place.path)
        self.retriever = LocalRetriever(self.base, method)
        self.users, self.replaced = 0, False
        self._map: VectorMap | None = None
        self._drawing = asyncio.Lock()

    async def vector_map(self) -> VectorMap:
        """The map of the vectors, computed once, when it is first asked for."""
        async with self._drawing:
            if self._map is None:
                self._map = await run_in_threadpool(vector_map, self.base)
            return self._map

    def close_if_done(self) -> None:
        if self.replaced and not self.users:
            self.base.close()


class KnowledgeBases:
    def __init__(self, places: Sequence[Place], method: Method) -> None:
        """Opens all of them; the first is meant where a request names none."""
        self._method = method
        self._served: dict[str, Served] = {}
        self._refused: dict[str, tuple[int, ...] | None] = {}  # name -> mark that was refused
        for place in places:
            if place.name in self._served:
                raise BadInput(
                    f"two knowledge bases are named {place.name!r}; give one another name with"
                    " --more_knowledge_bases NAME=PATH"
                )
            self._served[place.name] = Served(place, method)
        self.default = places[0].name

    def current(self) -> dict[str, Served]:
        return dict(self._served)

    @contextmanager
    def use(self, name: str | None) -> Iterator[Served]:
        """The current version, which stays open during the context."""
        served = self._served.get(self.default if name is None else name)
        if served is None:
            raise BadInput(f"no knowledge base {name!r}; there are: {', '.join(self._served)}")
        served.users += 1
        try:
            yield served
        finally:
            served.users -= 1
            served.close_if_done()

    async def watch(self, seconds: float, metrics: Metrics) -> None:
        """Opens rebuilt knowledge bases until it is cancelled; with 0 seconds, never."""
        for name, served in self._served.items():
            metrics.serves(name, served.base.manifest)
        while seconds:
            await asyncio.sleep(seconds)
            for served in self.current().values():
                if self._was_rebuilt(served):
                    await self._take_up(served.place, metrics)

    def _was_rebuilt(self, served: Served) -> bool:
        seen = (None, served.mark, self._refused.get(served.place.name))
        return served.place.mark not in seen

    async def _take_up(self, place: Place, metrics: Metrics) -> None:
        mark = place.mark
        try:
            new = await run_in_threadpool(Served, place, self._method)
        except Exception as error:  # whatever it is, the open version goes on serving
            self._refused[place.name] = mark
            metrics.reloads.labels(place.name, "refused").inc()
            unforeseen = not isinstance(error, HoneError)
            log.warning("could not reload %s: %s", place.name, error, exc_info=unforeseen)
            return
        self._replace(place.name, new)
        metrics.reloads.labels(place.name, "taken").inc()
        metrics.serves(place.name, new.base.manifest)
        log.info("reloaded %s, content hash %s", place.name, new.base.manifest.content_hash)

    def _replace(self, name: str, new: Served) -> None:
        old, self._served[name] = self._served[name], new
        old.replaced = True
        old.close_if_done()

    def close(self) -> None:
        for served in self._served.values():
            served.base.close()
