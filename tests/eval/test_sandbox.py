"""Programs that try to get out, or never to end; behind each kind of walls that stands here."""

from __future__ import annotations

import os
import socket
import time
from functools import cache
from pathlib import Path

import pytest

from eval.sandbox.cell import Limits, Sandbox, _fault, open_sandbox
from eval.sandbox.walls import KINDS, NoWalls
from hone.errors import BadInput

QUICK = Limits(seconds=2, memory_mb=256, processes=8, files_mb=1, output_kb=64)
WALLS = {walls.name: walls for walls in KINDS}
fault_of = cache(lambda name: _fault(WALLS[name]))


@pytest.fixture(params=[*WALLS])
def walled(request: pytest.FixtureRequest) -> Sandbox:
    if fault := fault_of(request.param):
        pytest.skip(f"no walls by {request.param} here: {fault}")
    return Sandbox(WALLS[request.param], QUICK)


@pytest.fixture
def bare() -> Sandbox:
    return Sandbox(NoWalls(), QUICK)


def test_it_says_how_a_program_ended(walled: Sandbox) -> None:
    assert walled.run("import math\nassert math.gcd(4, 6) == 2").passed
    failed = walled.run("assert 1 == 2, 'not so'")
    assert (failed.ending, failed.reason) == ("failed", "AssertionError: not so")
    assert walled.run("if").reason.startswith("SyntaxError")
    assert walled.run("input()").reason.startswith("EOFError")
    classes = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    assert walled.run(f"{classes}@dataclass\nclass A:\n    x: int\nassert A(1) == A(1)").passed


@pytest.mark.parametrize("leaving", ["import sys; sys.exit(0)", "import os; os._exit(0)"])
def test_leaving_early_is_not_passing(walled: Sandbox, leaving: str) -> None:
    assert not walled.run(f"{leaving}\nassert False").passed


def test_no_file_outside_can_be_read_or_written(walled: Sandbox, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    at_home = Path.home() / ".profile"
    for place in (secret, Path(__file__), "/etc/passwd", "/proc/1/environ", at_home):
        assert "Error" in walled.run(f"open({str(place)!r}).read()").reason
    for place in (secret, "/usr/hone", "/hone", f"{os.path.dirname(os.__file__)}/hone.py"):
        assert "Error" in walled.run(f"open({str(place)!r}, 'w')").reason
    assert secret.read_text() == "secret"
    assert walled.run("import os\nassert not os.listdir('.')\nopen('own', 'w').write('x')").passed
    assert walled.run("import os\nassert not os.listdir('/tmp')").passed, "nothing stays"


def test_nothing_of_ours_is_in_its_environment(
    walled: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HONE_SECRET", "secret")
    assert walled.run("import os\nassert 'HONE_SECRET' not in os.environ").passed


def test_no_network_is_reached(walled: Sandbox) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = server.getsockname()
        tried = walled.run(f"import socket\nsocket.create_connection({here!r}, 1)")
        assert "Error" in tried.reason
        name = f"hone-{os.getpid()}"
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(f"\0{name}")
            other.listen()
            unix = "import socket\ns = socket.socket(socket.AF_UNIX)\n"
            assert "Error" in walled.run(f"{unix}s.connect('\\0{name}')").reason


def test_a_fork_bomb_stops_at_the_limit(walled: Sandbox) -> None:
    bomb = walled.run("import os\nwhile True:\n    os.fork()")
    assert not bomb.passed
    count = "import os, time\nfor i in range(50):\n    if not os.fork():\n        time.sleep(9)"
    assert walled.run(count).reason.startswith("BlockingIOError")


def test_a_fork_does_not_speak_for_the_program(walled: Sandbox) -> None:
    forked = "import os, time\nif os.fork():\n    time.sleep(0.3)\n    assert False"
    assert walled.run(forked).ending == "failed"


def test_memory_ends_at_the_limit(walled: Sandbox) -> None:
    assert walled.run("x = bytearray(1 << 30)").reason.startswith("MemoryError")
    assert walled.run("x = bytearray(1 << 26)").passed


def test_files_in_memory_end_at_the_limit(walled: Sandbox) -> None:
    filled = "for i in range(9):\n    open(str(i), 'wb').write(bytes(1 << 19))"
    assert "No space" in walled.run(filled).reason


def test_endless_output_ends(walled: Sandbox, bare: Sandbox) -> None:
    endless = "while True:\n    print('x' * 999, flush=True)"
    assert [box.run(endless).ending for box in (walled, bare)] == ["too much output"] * 2


def test_endless_work_and_endless_waiting_end(walled: Sandbox, bare: Sandbox) -> None:
    short = [Sandbox(box.walls, Limits(seconds=0.3)) for box in (walled, bare)]
    for box in short:
        assert box.run("while True:\n    pass").ending == "timed out"
        assert box.run("import time\ntime.sleep(99)").ending == "timed out"


ESCAPE = """
import ctypes, os, time
ctypes.CDLL(None).prctl(1, 0)  # the signal that would end it with whoever started it
if not os.fork():
    os.setsid()
    if not os.fork():
        os.execvp("sleep", ["sleep", "{naptime}"])
    os._exit(0)
os.setpgid(0, 0)
time.sleep({then})
"""


@pytest.mark.parametrize("then", [0.1, 99], ids=["ends", "is ended"])
def test_a_child_that_was_forked_twice_dies_too(walled: Sandbox, then: float) -> None:
    naptime = 1000 + os.getpid() + then
    box = Sandbox(walled.walls, Limits(seconds=0.7))
    box.run(ESCAPE.format(naptime=naptime, then=then))
    deadline = time.monotonic() + 3
    while is_running(str(naptime)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(str(naptime))


def is_running(word: str) -> bool:
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = process.read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if words[:1] == [b"sleep"] and word.encode() in words:
            return True
    return False


def test_privileges_are_gone(walled: Sandbox) -> None:
    denied = "import ctypes\nassert ctypes.CDLL(None).mount(b'a', b'/tmp', b'tmpfs', 0, 0) == -1"
    assert walled.run(denied).passed
    assert "PermissionError" in walled.run("import os\nos.setuid(1)").reason
    assert "Error" in walled.run("import os\nos.chroot('/tmp')").reason


def test_without_walls_there_are_limits(bare: Sandbox) -> None:
    assert bare.run("x = bytearray(1 << 30)").reason.startswith("MemoryError")
    assert bare.run("import os\nassert not os.listdir('.')\nopen('own', 'w')").passed


def test_what_does_not_stand_is_refused_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BadInput, match=r"no sandbox works here \(bwrap: not installed; unshare"):
        open_sandbox("auto")
    assert open_sandbox("none").walls.name == "none"


def test_walls_that_do_not_come_up_say_nothing_about_the_program(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broken = ["sh", "-c", "echo no tmpfs; exit 1"]
    monkeypatch.setattr(WALLS["unshare"], "around", lambda *_: broken)
    with pytest.raises(BadInput, match="the sandbox did not come up: no tmpfs"):
        Sandbox(WALLS["unshare"]).run("pass")
