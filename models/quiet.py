"""Loads models without the progress bars, reports and warnings that their libraries print."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def quiet_loading() -> Iterator[None]:
    """Whoever loads a model here must turn what matters in those reports into an error."""
    kernels = logging.getLogger("bitsandbytes")  # it warns of kernels that nothing here uses
    kernels_level = kernels.level
    kernels.setLevel(logging.ERROR)

    from transformers.utils import logging as of_transformers

    reports: Any = of_transformers  # its functions have no types
    level, bars = reports.get_verbosity(), reports.is_progress_bar_enabled()
    reports.set_verbosity_error()
    reports.disable_progress_bar()
    try:
        yield
    finally:
        kernels.setLevel(kernels_level)
        reports.set_verbosity(level)
        if bars:
            reports.enable_progress_bar()
