"""Threads beside the training: what is made ahead, what is written behind, what goes wrong."""

from __future__ import annotations

import errno
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from client.background import BackgroundWriter, made_ahead
from hone.errors import BadInput, HoneError


def counting(made: list[int], upto: int = 10) -> Iterator[int]:
    for i in range(upto):
        made.append(i)
        yield i


def alive(name: str) -> bool:
    return any(name in thread.name for thread in threading.enumerate())


def test_things_come_in_order_and_are_made_so_far_ahead() -> None:
    made: list[int] = []
    with closing(made_ahead(counting(made), 3)) as source:
        assert made == []
        first = next(source)
        for _ in range(1000):
            if len(made) == 4:
                break
            threading.Event().wait(0.005)
        assert (first, made) == (0, [0, 1, 2, 3])
        assert list(source) == list(range(1, 10))
    assert not alive("made-ahead")


def test_closed_early_nothing_more_is_made() -> None:
    made: list[int] = []
    with closing(made_ahead(counting(made), 2)) as source:
        next(source)
    assert not alive("made-ahead") and len(made) <= 3


def test_an_error_in_the_making_arrives_in_its_turn() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise BadInput("no second one")

    ahead = made_ahead(source(), 4)
    assert next(ahead) == 1
    with pytest.raises(BadInput, match="no second one"):
        next(ahead)
    assert not alive("made-ahead")


def test_what_is_done_comes_back_in_order() -> None:
    gate = threading.Event()
    with BackgroundWriter[int](most=3) as writer:
        writer.submit(lambda: int(gate.wait(60)))
        writer.submit(lambda: 2)
        assert list(writer.finished()) == []
        gate.set()
        assert list(writer.finished(all_of_it=True)) == [1, 2]
        assert list(writer.finished()) == []
    assert not alive("background-writer")


def test_only_so_many_wait_at_once() -> None:
    with BackgroundWriter[int](most=2) as writer:
        gate = threading.Event()
        for i in range(3):
            writer.submit(lambda i=i: gate.wait(60) and i)  # type: ignore[misc]
        threading.Timer(0.05, gate.set).start()
        assert next(writer.finished()) == 0  # waits, though it is not done yet


def test_left_in_the_ordinary_way_all_is_written(tmp_path: Path) -> None:
    with BackgroundWriter[int](most=9) as writer:
        for i in range(5):
            writer.submit(lambda i=i: (tmp_path / str(i)).write_text("whole"))  # type: ignore[misc]
    assert len(list(tmp_path.iterdir())) == 5


def test_left_by_ctrl_c_what_was_begun_is_finished_and_the_rest_dropped(tmp_path: Path) -> None:
    begun, gate = threading.Event(), threading.Event()

    def slow() -> int:
        begun.set()
        gate.wait(60)
        return (tmp_path / "first").write_text("whole")

    with pytest.raises(KeyboardInterrupt), BackgroundWriter[int](most=9) as writer:
        writer.submit(slow)
        writer.submit(lambda: (tmp_path / "second").write_text("never"))
        begun.wait(60)
        threading.Timer(0.05, gate.set).start()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.iterdir()] == ["first"]


def test_errors_of_the_thread_are_the_callers_in_one_line() -> None:
    def fails(error: Exception) -> int:
        raise error

    faults = [
        (BadInput("a zero vector"), "a zero vector"),
        (OSError(errno.ENOSPC, "No space left on device", "/there"), "cannot write to /there: No"),
        (PermissionError(errno.EACCES, "Permission denied", "/there"), "cannot use /there"),
    ]
    for error, said in faults:
        with pytest.raises(HoneError, match=said), BackgroundWriter[int](most=1) as writer:
            writer.submit(lambda error=error: fails(error))  # type: ignore[misc]
            list(writer.finished(all_of_it=True))
    with pytest.raises(ZeroDivisionError), BackgroundWriter[int](most=1) as writer:
        writer.submit(lambda: 1 // 0)  # a fault of ours stays one
        list(writer.finished(all_of_it=True))
