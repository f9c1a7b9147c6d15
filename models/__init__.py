"""Every network: embedders, the frozen base, the multi-LoRA bank, decoding, base training."""

import os

# How long OpenMP's threads wait awake for their siblings: a hundredth of a millisecond. Asleep at
# once, a step of many small parts takes half as long again; awake for longer, two trainings on two
# cores keep each other from their work. OpenMP reads this when torch is loaded, so it stands here,
# before any module that imports torch; the first is for libraries that lack the second.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
