"""What the tests of the client share: a base that chats, a small disk, refusals."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tiny_bases import write_text_base

from hone.errors import run_command

if TYPE_CHECKING:
    from openai import OpenAI

    from client.text_answerer import Answer

Refused = Callable[..., str]


@pytest.fixture(scope="session")
def chat_base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_text_base(tmp_path_factory.mktemp("bases") / "chat", chat=True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "small_disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if os.geteuid() != 0 or not shutil.which("mount") or subprocess.run(mount).returncode:
        pytest.skip("a small disk can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    """Run a command's `main` as its script does; the one line on stderr, and nothing on stdout."""

    def run(main: Callable[[list[str]], int], *argv: object) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            run_command(lambda: main([str(word) for word in argv]))
        out, err = capsys.readouterr()
        assert (left.value.code, out, err.count("\n")) == (2, "", 1), err
        assert err.startswith("error: ")
        return err

    return run


@pytest.fixture(scope="module")
def url(chat_base: Path, text_kb: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An open door's address."""
    from opened_door import opened

    with opened(chat_base, text_kb, tmp_path_factory.mktemp("door")) as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[OpenAI]:
    from opened_door import asking

    with asking(url) as client:
        yield client


@pytest.fixture(scope="module")
def one_shot(chat_base: Path, text_kb: Path) -> Callable[..., Answer]:
    """What the one-shot client answers."""
    from opened_door import LEARNING

    from client.opening import open_adaptation
    from client.settings import Settings
    from client.text_answerer import TextAnswerer

    chosen = {name: value for name, value in LEARNING.items() if name != "max_new_tokens"}
    settings = Settings(model_path=str(chat_base), knowledge_base_path=text_kb, **chosen)
    answerer = TextAnswerer(open_adaptation(settings, "text"), LEARNING["max_new_tokens"])

    def answer(query: str, *, adapt: bool = True) -> Answer:
        return answerer.answer([query], adapt=adapt)[0]

    return answer
