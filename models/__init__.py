"""All networks: embedders, the frozen base, the multi-LoRA bank, decoding, base training."""

import os

# OpenMP's threads spin for a hundredth of a millisecond while they wait for each other, then sleep.
# If they slept at once, a step of many small parts would take half as long again; if they spun for
# longer, two trainings on two cores would keep each other from working. GOMP_SPINCOUNT sets this;
# OMP_WAIT_POLICY is for libraries that do not know it. OpenMP reads both when torch is loaded, so
# they are set here, before any module imports torch.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    os.environ.setdefault("GOMP_SPINCOUNT", "1000")
