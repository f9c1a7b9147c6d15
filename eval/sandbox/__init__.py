"""Runs programs that a model wrote where they can do no harm."""
