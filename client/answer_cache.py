"""A cache of search results: the most recent ones, of one version of the knowledge base.

Results expire after a few minutes, so that a rebuilt knowledge base is noticed.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable

from kb.wire import Hit

Key = tuple[str, bytes]  # search options as JSON, and the vector's bytes
MOST = 512
SECONDS = 300.0


class AnswerCache:
    def __init__(
        self,
        most: int = MOST,
        seconds: float = SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._most, self._seconds, self._clock = most, seconds, clock
        self._kept: OrderedDict[Key, tuple[float, list[Hit]]] = OrderedDict()
        self._version = ""
        self._lock = threading.Lock()

    def get(self, key: Key) -> list[Hit] | None:
        with self._lock:
            when, hits = self._kept.get(key, (float("-inf"), []))
            if self._clock() - when > self._seconds:
                return None
            self._kept.move_to_end(key)
            return list(hits)

    def put(self, version: str, key: Key, hits: list[Hit]) -> None:
        """Stores hits, and drops those of any other version."""
        with self._lock:
            if version != self._version:
                self._kept.clear()
                self._version = version
            self._kept[key] = self._clock(), list(hits)
            self._kept.move_to_end(key)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
