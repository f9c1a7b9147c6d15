"""SQuAD's two scores of a short answer, as transformers had them until it removed them.

lm-evaluation-harness still imports them from transformers for CoQA.
"""

from __future__ import annotations

import re
import string
import sys
from collections import Counter
from importlib.util import find_spec
from types import ModuleType

_GONE = "transformers.data.metrics"
_ARTICLES = re.compile(r"\b(a|an|the)\b")


def compute_exact(gold: str, answer: str) -> int:
    return int(_words(gold) == _words(answer))


def compute_f1(gold: str, answer: str) -> float:
    """F1 score over words; a repeated word counts as often as both answers have it."""
    ours, theirs = _words(gold), _words(answer)
    if not ours or not theirs:
        return float(ours == theirs)
    shared = sum((Counter(ours) & Counter(theirs)).values())
    return 2 * shared / (len(ours) + len(theirs))


def give_back() -> None:
    """If transformers has no such module any more, makes this module importable under its name."""
    if _GONE not in sys.modules and find_spec(_GONE) is None:
        sys.modules[f"{_GONE}.squad_metrics"] = sys.modules[__name__]
        package = ModuleType(_GONE)
        package.__dict__["squad_metrics"] = sys.modules[__name__]
        sys.modules[_GONE] = package


def _words(text: str) -> list[str]:
    plain = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return _ARTICLES.sub(" ", plain).split()
