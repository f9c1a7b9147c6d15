"""Write docs/generators.md from the task families, or check that it is up to date.

python scripts/write_generators.py
python scripts/write_generators.py --check
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "generators.md"

if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from arc.generators import FAMILIES, Family, held_out_families  # noqa: E402
from hone.errors import run_command  # noqa: E402
from hone.files import write_page  # noqa: E402
from hone.settings import option, read_settings  # noqa: E402

PREAMBLE = """\
# Task families of our own

Written by `python scripts/write_generators.py` from the families in `arc/generators/`; a test
checks it against the code.

A family draws tasks that follow the same kind of rule. Its details (a colour, a direction, which of
several things is meant) are drawn anew for each task, and the demonstrations show them. One task in
four of the training families has a background other than black. A few families are chains of two
others.

{count} families of {concepts} concepts; {held_out} are held out: never used for training nor put
into a knowledge base, so that they can be measured on. To look at them:

```bash
python -m arc.generators --out_dir runs/generated    # a task of each, and contact.svg to look at
```

`tests/arc/test_generators_apart.py` tries the rules of all families on the tasks of each. No other
family's rule gives a task's outputs, and every rule that fits all demonstrations gives the same
test output.

| family | concept | held out | what its tasks ask for |
|---|---|---|---|
"""


@dataclass(frozen=True)
class PageSettings:
    check: bool = option(False, "change nothing; fail if the page is stale")


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        PageSettings, argv, env_prefix="HONE_FAMILIES_PAGE_", description=__doc__ or ""
    )
    write_page(PAGE, generators_page(), "python scripts/write_generators.py", check=settings.check)
    return 0


def generators_page() -> str:
    families = sorted(FAMILIES.values(), key=lambda found: (found.concept, found.name))
    opening = PREAMBLE.format(
        count=len(families),
        concepts=len({found.concept for found in families}),
        held_out=len(held_out_families()),
    )
    return opening + "".join(map(_row, families))


def _row(found: Family) -> str:
    held_out = "held out" if found.held_out else ""
    return f"| `{found.name}` | {found.concept} | {held_out} | {found.says} |\n"


if __name__ == "__main__":
    run_command(main)
