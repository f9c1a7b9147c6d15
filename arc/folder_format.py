"""Which format a base model reads: a property of its folder.

`arc_format.json` holds `{"format": "canvas"}` or `{"format": "digits"}`; absent, digits. A canvas
base whose positions only count tokens says `"positions": "1d"` beside it; absent, 2d.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from arc.canvas import POSITIONS, CanvasFormat
from arc.digits import DigitsFormat, Tokenizer
from arc.formats import ArcFormat
from hone.errors import Damaged
from hone.files import read_json

FILE = "arc_format.json"
FORMATS = ("canvas", "digits")


def format_of(model_folder: Path, tokenizer_loader: Callable[[], Tokenizer]) -> ArcFormat:
    """The folder's format; the tokenizer is loaded only where the format needs one."""
    if format_name(model_folder) == "canvas":
        return CanvasFormat(_positions(model_folder / FILE))
    return DigitsFormat(tokenizer_loader())


def format_name(model_folder: Path) -> str:
    file = model_folder / FILE
    if not file.exists():
        return "digits"
    content = read_json(file)
    name = content.get("format") if isinstance(content, dict) else None
    if name not in FORMATS:
        raise Damaged(f"{file} names the format {name!r}; there are: {', '.join(FORMATS)}")
    return str(name)


def _positions(file: Path) -> str:
    found = read_json(file).get("positions", POSITIONS[0])
    if found not in POSITIONS:
        raise Damaged(f"{file} names the positions {found!r}; there are: {', '.join(POSITIONS)}")
    return str(found)
