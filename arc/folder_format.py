"""Which format a base model reads: its folder says so.

`arc_format.json` holds `{"format": "canvas"}` or `{"format": "digits"}`; without the file it is
digits. For a canvas base, the file may also say `"positions": "1d"` (by default 2d) if positions
only count tokens, and `"mode": "pair"` (by default in_context) if the base reads no demos.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from arc.canvas import MODES, POSITIONS, CanvasFormat
from arc.digits import DigitsFormat, Tokenizer
from arc.formats import ArcFormat
from hone.errors import Damaged
from hone.files import read_json

FILE = "arc_format.json"
FORMATS = ("canvas", "digits")


def format_of(model_folder: Path, tokenizer_loader: Callable[[], Tokenizer]) -> ArcFormat:
    """The folder's format; the tokenizer is loaded only where the format needs one."""
    if format_name(model_folder) == "canvas":
        file = model_folder / FILE
        return CanvasFormat(_word(file, "positions", POSITIONS), _word(file, "mode", MODES))
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


def _word(file: Path, name: str, known: tuple[str, ...]) -> str:
    found = read_json(file).get(name, known[0])
    if found not in known:
        raise Damaged(f"{file} names the {name} {found!r}; there are: {', '.join(known)}")
    return str(found)
