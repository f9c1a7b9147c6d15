"""Work in background threads beside the training.

One thread prepares what is trained next, another writes what has been trained to disk.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

from hone.errors import HoneError, spoken

Thing = TypeVar("Thing")


def made_ahead(source: Iterator[Thing], ahead: int) -> Generator[Thing]:
    """Yields what `source` yields, in the same order, and computes up to `ahead` of them in a
    thread in advance. Close the generator if you may not read it to its end."""
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
    """Runs the submitted work in one thread, in order; `finished` yields the results.

    On a normal exit of its context, all work is completed. On an error or Ctrl-C, the work that is
    running is completed and the rest is dropped."""

    def __init__(self, most: int) -> None:
        self.most = most  # results in waiting; each holds an adapter in memory
        self._waiting: deque[Future[Thing]] = deque()

    def __enter__(self) -> BackgroundWriter[Thing]:
        self._thread = ThreadPoolExecutor(1, "background-writer")
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)

    def submit(self, work: Callable[[], Thing]) -> None:
        self._waiting.append(self._thread.submit(work))

    def finished(self, *, all_of_it: bool = False) -> Iterator[Thing]:
        """Yields finished results, oldest first. Waits if more than `most` are unfinished, or with
        `all_of_it` for all. Exceptions of the thread are raised here."""
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
