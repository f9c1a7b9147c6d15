"""Draw docs/page.png: the service's page at the width of a desktop and of a phone.

    python scripts/draw_page.py

It shows a knowledge base built for this from generated tasks and data/examples.
"""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from hone.errors import BadInput, run_command  # noqa: E402
from hone.settings import option, read_settings  # noqa: E402

DATASETS = ["generators:160", "generators:80:7", str(ROOT / "data/examples")]
HEIGHT, DESK, PHONE = 860, 1180, 390  # pixels
FRAME = """
<style>
body { margin: 0; width: max-content; display: flex; gap: 24px; }
body { padding: 24px; background: #d9d5cb; }
img { border-radius: 12px; box-shadow: 0 2px 14px rgb(0 0 0 / .18); }
</style>"""


@dataclass(frozen=True)
class DrawPageSettings:
    out: Path = option(Path("docs/page.png"), "picture to write")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        DrawPageSettings, argv, env_prefix="HONE_DRAW_PAGE_", description=__doc__ or ""
    )
    from kb import build_kb

    with TemporaryDirectory() as folder, chromium() as browser:
        base = Path(folder) / "puzzles"
        build_kb.main(["--datasets", *DATASETS, "--save_dir", str(base)])
        with serving(base) as url:
            shots = [desk(browser, url), phone(browser, url)]
        settings.out.write_bytes(side_by_side(browser, shots))
    print(f"wrote {settings.out}")
    return 0


@contextmanager
def chromium() -> Iterator[Any]:
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        raise BadInput("no chromium on the path; install one")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise BadInput(
            "the package playwright is not installed; run bash install.sh --extras browser"
        ) from None
    with sync_playwright() as started:
        yield started.chromium.launch(executable_path=path, args=["--no-sandbox"])


@contextmanager
def serving(base: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "server", "--knowledge_base_path", str(base), "--port", "0"]
    with subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            found = re.search(r"http://\S+", server.stdout.readline())
            if found is None:
                raise BadInput("the server did not start; its own message is above")
            yield found.group()
        finally:
            server.terminate()


def desk(browser: Any, url: str) -> bytes:
    """A screenshot of the map with a record chosen on it."""
    page = opened(browser, f"{url}/#view=map", DESK)
    page.locator("svg.plane").click(position={"x": 210, "y": 290})
    page.wait_for_selector(".chosen .card")
    return bytes(page.screenshot())


def phone(browser: Any, url: str) -> bytes:
    page = opened(browser, url, PHONE)
    page.wait_for_selector(".card")
    return bytes(page.screenshot())


def opened(browser: Any, address: str, width: int) -> Any:
    page = browser.new_page(viewport={"width": width, "height": HEIGHT}, color_scheme="light")
    page.goto(address)
    page.wait_for_selector("#view:not([aria-busy]) > *")
    return page


def side_by_side(browser: Any, shots: Sequence[bytes]) -> bytes:
    images = (f'<img src="data:image/png;base64,{base64.b64encode(s).decode()}">' for s in shots)
    page = browser.new_page()
    page.set_content(FRAME + "".join(images))
    return bytes(page.locator("body").screenshot())


if __name__ == "__main__":
    run_command(main)
