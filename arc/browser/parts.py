"""The shared scripts and style of this folder as text, which come before a page's own.

They are plain scripts without a build step: a page is made by joining files, and loads nothing from
elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from arc.render import COLOUR_CODES

SHARED = Path(__file__).parent
SCRIPTS = ("elements", "grid", "keyboard")  # in this order


def script_of(own: Path, names: Iterable[str]) -> str:
    """The shared scripts, then those of these names in the folder `own`."""
    colours = f"const COLOURS = {json.dumps(COLOUR_CODES)}; // of cells, from arc/render.py"
    files = [SHARED / f"{name}.js" for name in SCRIPTS] + [own / f"{name}.js" for name in names]
    return "\n".join([colours, *(file.read_text() for file in files)])


def style_of(own: Path) -> str:
    """The shared style, then the page's own in the file `own`."""
    return (SHARED / "look.css").read_text() + own.read_text()
