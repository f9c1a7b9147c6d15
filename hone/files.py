"""Writes files and folders so that they are complete or absent, even if the program is killed."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from hone.errors import BadInput, Damaged, NotThere


def write_bytes(path: Path, content: bytes) -> None:
    """Writes to a file beside `path`, flushes it to disk, then renames it over `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
    except OSError as error:  # the error of a full disk does not name the file
        raise OSError(error.errno, error.strerror, error.filename or str(path)) from error
    finally:
        beside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def write_page(path: Path, page: str, command: str, *, check: bool) -> None:
    """Writes a document that is made from the code, or with `check` compares it with its file."""
    where = "/".join(path.parts[-2:])
    if not check:
        write_text(path, page)
        print(f"wrote {where}")
    elif not path.is_file() or path.read_text() != page:
        raise BadInput(f"{where} is stale; run {command}")


def read_json(path: Path, *, unique: bool = False) -> Any:
    """The file's JSON, or a one-line error that says where it is wrong. With `unique`, a name that
    occurs twice in an object is refused; JSON would keep the last one."""
    try:
        return json.loads(path.read_bytes(), object_pairs_hook=_unique if unique else None)
    except FileNotFoundError:
        raise NotThere(f"no file {path}; check the path") from None
    except IsADirectoryError:
        raise NotThere(f"{path} is a folder, a JSON file was expected") from None
    except OSError as error:
        raise NotThere(f"cannot read {path}: {error.strerror}; check the path") from None
    except (ValueError, RecursionError) as error:  # also: not UTF-8, a number of 5000 digits
        raise Damaged(f"{path} is not JSON: {error}; mend or remove the file") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)!r} occurs twice")
    return found


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A temporary folder beside `path`, which takes its place if the block raises nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
    beside.mkdir()
    try:
        yield beside
        put_in_place(beside, path)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def put_in_place(folder: Path, path: Path) -> None:
    """Renames `folder` to `path`. A folder that was there is deleted only after the new one is in
    place. If several processes do this at once, the last one's folder remains."""
    for file in folder.rglob("*"):
        if file.is_file():
            _flush(file)
    while not _took_the_place(folder, path):
        pass


def _took_the_place(folder: Path, path: Path) -> bool:
    """One attempt; False if another process put a folder there between the two renames."""
    old = path.with_name(f".{path.name}.old-{uuid4().hex[:8]}")
    with suppress(FileNotFoundError):
        path.rename(old)
    try:
        folder.rename(path)
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST):
            shutil.rmtree(old, ignore_errors=True)
            return False
        if old.exists():
            old.rename(path)
        raise
    _flush(path.parent)
    shutil.rmtree(old, ignore_errors=True)
    return True


def check_writable(folder: Path, flag: str) -> None:
    """Refuses a folder that is not writable before the work begins. Creates nothing."""
    place = folder.absolute()
    there = next(part for part in (place, *place.parents) if part.exists())
    if not there.is_dir():
        raise BadInput(f"{flag} is {folder}, but {there} is a file; name a folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise BadInput(f"{flag} is {folder}, but {there} cannot be written to; name another folder")


def sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def short_hash(*parts: object) -> str:
    """A hash of 16 hex digits of anything that JSON can represent; other objects by their `str`."""
    spelled = json.dumps(parts, sort_keys=True, default=str).encode()
    return hashlib.sha256(spelled).hexdigest()[:16]


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
