"""Task families of our own, by concept; importing this package fills the registry."""

from arc.generators.family import FAMILIES, Family, Rule, sample_task

__all__ = ["FAMILIES", "Family", "Rule", "sample_task"]
