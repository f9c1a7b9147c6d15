"""Benchmarks: this engine beside stock PEFT, on the same items, steps and weights."""
