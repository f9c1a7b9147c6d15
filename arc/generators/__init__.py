"""Task families of our own, by concept; importing this package fills the registry."""

from arc.generators import (  # noqa: F401 - importing them fills the registry
    bars,
    connect,
    count,
    crop,
    denoise,
    fill,
    gravity,
    logic,
    move,
    outline,
    recolour,
    scale,
    symmetry,
    tile,
)
from arc.generators.family import (
    FAMILIES,
    Family,
    Rule,
    held_out_families,
    held_out_tasks,
    sample_task,
    sample_with_rule,
    training_families,
)

__all__ = [
    "FAMILIES",
    "Family",
    "Rule",
    "held_out_families",
    "held_out_tasks",
    "sample_task",
    "sample_with_rule",
    "training_families",
]
