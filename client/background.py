"""Work beside the training, by one thread each: what comes next is made ahead, what is done is
brought to the disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from hone.errors import HoneError, spoken

Thing = TypeVar("Thing")


def made_ahead(source: Iterator[Thing], ahead: int) -> Generator[Thing]:
    """What `source` gives, in its order; made while the last ones are still worked with. Close it
    where it may not be read to its end."""
    end = object()
    thread = ThreadPoolExecutor(1, "made-ahead")
    try:
        waiting = deque(thread.submit(next, source, end) for _ in range(ahead))
        while (thing := waiting.popleft().result()) is not end:
            waiting.append(thread.submit(next, source, end))
            yield thing  # type: ignore[misc]
    finally:
        thread.shutdown(cancel_futures=True)


class BackgroundWriter(Generic[Thing]):
    """Does what it is given one after another; `finished` hands out what came of it.

    Used as a context: left in the ordinary way, all is done; left by an error or by Ctrl-C, what
    was begun is finished and the rest is dropped."""

    def __init__(self, most: int) -> None:
        self.most = most  # waiting at once: each holds an adapter in memory
        self._waiting: deque[Future[Thing]] = deque()

    def __enter__(self) -> BackgroundWriter[Thing]:
        self._thread = ThreadPoolExecutor(1, "background-writer")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)

    def submit(self, work: Callable[[], Thing]) -> None:
        self._waiting.append(self._thread.submit(work))

    def finished(self, *, all_of_it: bool = False) -> Iterator[Thing]:
        """What is done by now, oldest first; waits where too much is waiting, or for all of it.
        What went wrong in the thread is raised here."""
        while self._waiting:
            enough = not all_of_it and len(self._waiting) <= self.most
            if enough and not self._waiting[0].done():
                return
            yield _result(self._waiting.popleft())


def _result(future: Future[Thing]) -> Thing:
    try:
        return future.result()
    except OSError as error:
        if isinstance(error, HoneError):
            raise
        raise HoneError(spoken(error)) from error
