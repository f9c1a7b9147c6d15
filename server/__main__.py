"""python -m server: the same command as server/server.py."""

from __future__ import annotations

from hone.errors import run_command
from server.server import main

if __name__ == "__main__":
    run_command(main)
