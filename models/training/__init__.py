"""Training a base from scratch: its material, its steps, and checkpoints that survive a kill."""
