"""What training and answering need in memory, and how they are held to a limit.

footprint.py  estimates, before anything is run
live.py       bytes of tensors while something runs
plan.py       K, tokens at once, checkpointing: chosen to fit
monitor.py    what the process holds, now and at most
keeper.py     plans, tightens at borders, tells what was used
"""
