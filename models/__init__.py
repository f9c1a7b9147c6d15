"""Every network: embedders, the frozen base, the multi-LoRA bank, decoding, base training."""

import os

# Threads that wait by spinning starve each other as soon as a second process wants a core (two
# trainings on two cores: 2.3 times slower each); sleeping costs nothing when alone. OpenMP reads
# this when torch is loaded, so it stands here, before any module that imports torch.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
