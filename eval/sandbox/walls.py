"""The walls of the sandbox, which separate a program from the machine.

All kinds but `none` give the program its own file tree: the system's libraries and this Python,
read-only, and a small /tmp in memory. Network, processes and shared memory are separate too, so
nothing outside can be seen, reached or signalled, and when the program ends or is killed, the
kernel kills everything that it has started.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

_SYSTEM = ("/usr", "/bin", "/lib", "/lib64")
# user ids that no account has; the limit on processes is counted per user id
_NOBODY_S = (61184, 65519)
_DROPPED = ("--bounding-set=-all", "--inh-caps=-all", "--no-new-privs")
_TO_BE_NOBODY = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP")

# sh remains process 1 of the namespace, so that the program cannot escape the signal that ends it
# when its parent dies
_BUILD = """
set -eu
root=$1 size=$2
shift 2
mount -t tmpfs -o mode=755,nosuid hone "$root"
while [ "$1" != -- ]; do
  mkdir -p "$root$1"
  mount --bind "$1" "$root$1"
  mount -o remount,bind,ro,nosuid,nodev "$root$1"
  shift
done
shift
mkdir "$root/dev" "$root/tmp"
for name in null zero random urandom; do
  : > "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
mount -t tmpfs -o "mode=1777,size=$size,nosuid,nodev" hone "$root/tmp"
mount -o remount,ro hone "$root"
chroot "$root" "$@"
exit $?
"""


class Walls(Protocol):
    @property
    def name(self) -> str: ...

    def around(self, command: Sequence[str], place: Path, tmp_bytes: int) -> list[str]:
        """The command that runs `command` behind the walls; `place` is an empty folder to build
        them on."""
        ...


class Bubblewrap:
    """Walls by the package `bubblewrap`."""

    name = "bwrap"

    def around(self, command: Sequence[str], place: Path, tmp_bytes: int) -> list[str]:
        apart = [f"--unshare-{what}" for what in ("ipc", "pid", "net", "uts", "cgroup-try")]
        seen = [word for folder in _visible() for word in _bound(folder)]
        own = ["--dev", "/dev", "--perms", "1777", "--size", str(tmp_bytes), "--tmpfs", "/tmp"]
        flags = [*apart, *seen, *own, "--die-with-parent", "--new-session", "--cap-drop", "ALL"]
        flags += ["--remount-ro", "/"]
        if not _is_root():
            return ["bwrap", "--unshare-user", *flags, "--", *command]
        caps = [word for cap in _TO_BE_NOBODY for word in ("--cap-add", cap)]
        return ["bwrap", *flags, *caps, "--", *_as_nobody(command)]


class Namespaces:
    """Walls by util-linux, which every Linux system has."""

    name = "unshare"

    def around(self, command: Sequence[str], place: Path, tmp_bytes: int) -> list[str]:
        who = [] if _is_root() else ["--user", "--map-root-user"]
        apart = ["--mount", "--pid", "--net", "--ipc", "--uts", "--fork", "--kill-child"]
        build = ["sh", "-c", _BUILD, "walls", str(place), str(tmp_bytes), *_visible(), "--"]
        return ["unshare", *who, *apart, "--", *build, *_as_nobody(command)]


class NoWalls:
    """No walls, limits only: the program can access what its user can, and the network."""

    name = "none"

    def around(self, command: Sequence[str], place: Path, tmp_bytes: int) -> list[str]:
        return list(command)


KINDS: tuple[Walls, ...] = (Bubblewrap(), Namespaces())  # in the order in which they are tried


def _as_nobody(command: Sequence[str]) -> list[str]:
    """The command without any privileges. Root changes to an unused account, because the limit on
    processes does not apply to root."""
    who = []
    if _is_root():
        number = random.SystemRandom().randint(*_NOBODY_S)
        who = [f"--reuid={number}", f"--regid={number}", "--clear-groups"]
    return ["setpriv", *who, *_DROPPED, *command]


def _bound(folder: str) -> list[str]:
    """Flags that bind a folder, and make its parents, which bubblewrap would make for its own
    account only."""
    above = [str(path) for path in reversed(Path(folder).parents)][1:]
    return [*(word for path in above for word in ("--dir", path)), "--ro-bind", folder, folder]


def _visible() -> list[str]:
    """Folders that the program may read; none is inside another."""
    chosen: list[Path] = []
    for folder in (*_SYSTEM, sys.base_prefix, sys.prefix):
        path = Path(folder)
        if path.is_dir() and not any(path.is_relative_to(other) for other in chosen):
            chosen.append(path)
    return [str(path) for path in chosen]


def _is_root() -> bool:
    return os.geteuid() == 0
