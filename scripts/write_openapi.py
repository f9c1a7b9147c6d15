"""Write docs/openapi.json from the server's routes, or check that it is up to date.

python scripts/write_openapi.py
python scripts/write_openapi.py --check
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "openapi.json"

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from hone.errors import run_command  # noqa: E402
from hone.files import write_page  # noqa: E402
from hone.settings import option, read_settings  # noqa: E402


@dataclass(frozen=True)
class OpenApiSettings:
    check: bool = option(False, "change nothing; fail if the page is stale")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        OpenApiSettings, argv, env_prefix="HONE_OPENAPI_", description=__doc__ or ""
    )
    write_page(PAGE, openapi_page(), "python scripts/write_openapi.py", check=settings.check)
    return 0


def openapi_page() -> str:
    from server.app import create_app
    from server.server import ServerSettings

    return json.dumps(create_app(ServerSettings()).openapi(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    run_command(main)
