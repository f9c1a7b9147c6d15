"""Which format a base model reads: a property of its folder.

`arc_format.json` holds `{"format": "canvas"}` or `{"format": "digits"}`; absent, digits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from arc.canvas import CanvasFormat
from arc.digits import DigitsFormat, Tokenizer
from arc.formats import ArcFormat
from hone.errors import Damaged
from hone.files import read_json

FILE = "arc_format.json"
FORMATS = ("canvas", "digits")


def format_of(model_folder: Path, tokenizer_loader: Callable[[], Tokenizer]) -> ArcFormat:
    """The folder's format; the tokenizer is loaded only where the format needs one."""
    if format_name(model_folder) == "canvas":
        return CanvasFormat()
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
