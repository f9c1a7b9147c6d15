"""What a benchmark runs on: the device, the versions of libraries, and the measured code."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import torch

from hone.errors import BadInput
from hone.files import short_hash
from models.processor import cpu_info

ROOT = Path(__file__).parent.parent.parent


def open_device(name: str) -> torch.device:
    if name == "cuda" and not torch.cuda.is_available():
        raise BadInput("--device is cuda, but torch sees no GPU; use cpu or auto")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def device_name(device: torch.device) -> str:
    """The processor's name and its number of cores, or the GPU's product name."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    processor = cpu_info("model name") or platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores"


def versions() -> dict[str, str]:
    return {name: version(name) for name in ("torch", "transformers", "peft")}


def waiting() -> str:
    """How OpenMP threads wait, which determines the cost of many small operations."""
    policy = os.environ.get("OMP_WAIT_POLICY", "unset").lower()
    turns = os.environ.get("GOMP_SPINCOUNT")
    return f"{policy} after {turns} turns" if turns else policy


def code_hash(*folders: str) -> str:
    """A hash of the code in these folders. Results stay valid after a commit that changes nothing
    there, but not after an uncommitted edit."""
    files = [
        path
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in (".py", ".cpp", ".h")
    ]
    return short_hash([(path.relative_to(ROOT).as_posix(), path.read_text()) for path in files])


def commit() -> str:
    """The checked-out commit, with `-dirty` if files were changed since."""
    ask = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    try:
        done = subprocess.run(ask, cwd=ROOT, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
