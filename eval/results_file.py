"""Reads the `results.json` of a run that has ended."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hone.errors import BadInput, NotThere
from hone.files import read_json


def read_results(run: Path, *wanted: str) -> dict[str, Any]:
    """The results in a run's folder or file, whose rows must have the fields `wanted`."""
    file = run / "results.json" if run.is_dir() else run
    if not file.is_file():
        raise NotThere(f"no file {file}; name the --out_dir of a run that has ended")
    results = read_json(file)
    rows = results.get("tasks") if isinstance(results, dict) else None
    if not (isinstance(rows, list) and rows and all(_tells(row, {"id", *wanted}) for row in rows)):
        raise BadInput(f"{file} lacks results that this version writes; run the evaluation again")
    return dict(results)


def _tells(row: Any, wanted: set[str]) -> bool:
    return isinstance(row, dict) and wanted <= row.keys()
