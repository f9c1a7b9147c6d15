"""The C++ of native/ as a loaded library, compiled on this machine on first use.

The result is cached in `$XDG_CACHE_HOME` or `~/.cache`, under `hone/kernels/`, named by a hash of
all that it depends on. Where the cache cannot be written, every process compiles for itself.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from hone.errors import BadInput

SOURCES = Path(__file__).parent / "native"
FLAGS = ("-std=c++17", "-O3", "-march=native", "-fno-math-errno", "-fPIC", "-fopenmp")
PATIENCE = 120.0  # seconds for the compiler

# argument types of each function; p: address, l: long, f: float, d: double, i: int
ARGUMENTS = {
    "rms_norm": "i pl p f ll pp",
    "rms_norm_backward": "i pl pl p p pl ll p",
    "rms_norm_weights": "i pl pl p ll p",
    "rotate": "i pl pl pl lll f",
    "attention": "i pl pl pl pl lll f pp",
    "attention_backward": "i pl pl pl pl pp pl lll f pl pl pl",
    "swiglu": "i pl pl ll p",
    "swiglu_backward": "i pl pl pl ll pl pl",
    "times_own": "i pl pll pl ll pl",
    "add_times_own": "i pl pl pll pl ll",
    "add_outer_own": "i pll pl pl pl ll",
    "adamw_rows": "i pppp ll ppp p pp dd f pl p",
    "cast_rows": "i p ll pl p",
}
TYPES = {
    "p": ctypes.c_void_p,
    "l": ctypes.c_long,
    "f": ctypes.c_float,
    "d": ctypes.c_double,
    "i": ctypes.c_int,
}


class Unavailable(Exception):
    """Says why there is no library, and what would change that."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """The library; None where it is switched off or, as a note on stderr says, unavailable."""
    asked = os.environ.get("HONE_KERNELS", "on")
    if asked not in ("on", "off"):
        raise BadInput(f"HONE_KERNELS is {asked!r}; set it to on or off")
    if asked == "off":
        return None
    try:
        loaded = _load()
    except Unavailable as reason:
        print(f"note: {reason}; until then plain torch is used, which is slower", file=sys.stderr)
        return None
    for name, letters in ARGUMENTS.items():
        for kind in ("bf16", "fp32"):
            function = getattr(loaded, f"{name}_{kind}")
            function.argtypes = [TYPES[letter] for letter in letters.replace(" ", "")]
            function.restype = None
    return loaded


def _load() -> ctypes.CDLL:
    compiler = _compiler()
    version = _run([compiler, "--version"])
    built = _cache_folder() / f"{_key(version)}.so"
    with suppress(OSError):  # not there yet, or damaged
        return ctypes.CDLL(str(built))
    try:
        built.parent.mkdir(parents=True, exist_ok=True)
        beside = tempfile.TemporaryDirectory(dir=built.parent, prefix=".building-")
    except OSError:
        beside = tempfile.TemporaryDirectory(prefix="hone-kernels-")
    with beside as folder:
        fresh = Path(folder) / "kernels.so"
        _build(compiler, version, fresh)
        with suppress(OSError):
            fresh = fresh.replace(built)
        try:
            return ctypes.CDLL(str(fresh))
        except OSError as error:
            raise Unavailable(
                f"the compiled kernels do not load ({error}); repair {compiler}"
            ) from None


def _cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hone" / "kernels"


def _compiler() -> str:
    named = os.environ.get("CXX")
    for name in [named] if named else ["g++", "c++", "clang++"]:
        if path := shutil.which(name):
            return path
    what = f"CXX={named} is not a program" if named else "no C++ compiler was found"
    raise Unavailable(f"{what}; install g++ or name one with CXX")


def _key(version: str) -> str:
    parts = [version, *FLAGS, str(_openmp()), platform.machine(), _processor()]
    for source in sorted(SOURCES.iterdir()):
        parts += [source.name, source.read_text()]
    return sha256("\0".join(parts).encode()).hexdigest()[:32]


def _processor() -> str:
    """The processor's features, on which -march=native depends."""
    with suppress(OSError):
        told = Path("/proc/cpuinfo").read_text()
        if found := re.search(r"^(?:flags|Features)\s*:.*$", told, re.MULTILINE):
            return found.group()
    return platform.processor()


def _openmp() -> str | None:
    """The OpenMP library that torch has loaded; a second one would start threads of its own."""
    with suppress(OSError):
        mapped = Path("/proc/self/maps").read_text()
        if found := re.search(r"/\S.*libgomp[^/\n]*\.so[^/\n]*$", mapped, re.MULTILINE):
            return found.group()
    return None


def _build(compiler: str, version: str, result: Path) -> None:
    objects = {
        path: str(result.with_name(f"{path.stem}.o")) for path in sorted(SOURCES.glob("*.cpp"))
    }
    commands = [[compiler, *FLAGS, "-c", str(path), "-o", to] for path, to in objects.items()]
    with ThreadPoolExecutor(os.cpu_count()) as side_by_side:
        list(side_by_side.map(_run, commands))
    openmp = None if "clang" in version else _openmp()
    _run([compiler, "-shared", *objects.values(), openmp or "-fopenmp", "-o", str(result)])


def _run(command: list[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{command[0]} does not work ({error}); repair it or set CXX") from None
    if done.returncode:
        said = next((line for line in done.stderr.splitlines() if "error" in line), "no message")
        raise Unavailable(
            f"{command[0]} could not compile the kernels ({said}); repair it or set CXX"
        )
    return done.stdout
