"""Harness scripts, benchmarks and the demo."""
