"""The memory that training and answering need, and how they are kept within a limit.

footprint.py  estimates of the memory, made before anything is run
live.py       the bytes of tensors that are alive while something runs
plan.py       chooses K, tokens at once and checkpointing so that a training fits
monitor.py    the memory the process holds, now and at its peak
keeper.py     plans a training, tightens the plan while it runs, reports the memory used
"""
