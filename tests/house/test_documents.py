"""Documents lead somewhere, and the project speaks of itself alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
CODE = re.compile(r"^(`{3,}).*?^\1\s*$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
MACHINE_PATH = re.compile(
    "(?<![\\w.}<~-])/(?:" + "|".join(["work", "home", "root", "Users"]) + ")/"
)
REGISTRY = re.compile(r"(?:pypi|pythonhosted|download\.pytorch|anaconda)\.org")
EMOJI = re.compile("[\U0001f000-\U0001faff\ufe0f\u2705\u274c\u2728\u26a0\u2b50]")


def text_of(path: Path) -> str:
    content = path.read_bytes()
    return "" if b"\0" in content[:8192] or content[:2] == b"\x1f\x8b" else content.decode()


def pages(files: tuple[Path, ...]) -> list[Path]:
    return [path for path in files if path.suffix == ".md"]


def anchors(page: Path) -> set[str]:
    words = (re.sub(r"[^\w\- ]", "", title.lower()) for title in HEADING.findall(page.read_text()))
    return {title.replace(" ", "-") for title in words}


def broken_links(page: Path) -> list[str]:
    broken = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = page.parent / name if name else page
        if not target.exists() or (
            anchor and target.suffix == ".md" and anchor not in anchors(target)
        ):
            broken.append(link)
    return broken


def test_links_lead_somewhere(files, root):
    broken = {page.relative_to(root).as_posix(): broken_links(page) for page in pages(files)}
    assert not {name: links for name, links in broken.items() if links}


@pytest.mark.parametrize(
    ("pattern", "remedy"),
    [
        (MACHINE_PATH, "spell paths from the project's folder"),
        (REGISTRY, "the user's configuration chooses where packages come from"),
        (EMOJI, "say it in words"),
    ],
    ids=["machine paths", "registry hosts", "emoji"],
)
def test_the_project_speaks_of_itself_alone(files, root, pattern, remedy):
    found = [
        f"{path.relative_to(root)}:{number}: {line.strip()[:100]}"
        for path in files
        for number, line in enumerate(text_of(path).splitlines(), 1)
        if pattern.search(line)
    ]
    assert not found, f"{remedy}:\n" + "\n".join(found)
