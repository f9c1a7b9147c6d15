"""Test-time training: retrieve, reuse or train, generate, vote."""
