"""Evaluation scripts, benchmarks and the demo."""
