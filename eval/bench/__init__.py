"""Benchmarks of this engine, some beside stock PEFT with the same items, steps and weights."""
