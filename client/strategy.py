"""Strategy files such as configs/strategies/ttt.yaml: which settings each of their keys sets.

    --config configs/strategies/ttt.yaml, or --preset mit-seed, which is the same file as a preset

The files are divided into sections and use the keys of MIT's seed. They may also hold settings by
Hone's own names.
"""

from __future__ import annotations

from hone.yaml_layers import Meaning, multiplied, sets, switch

SYMMETRIES = 8  # number of a square's symmetries; importing it from arc.steps would import numpy

KEYS: dict[str, Meaning] = {
    "model.name": sets("model_path"),
    "model.quantization": switch(on={"quantization": "nf4"}, off={"quantization": "none"}),
    "model.mixed_precision": switch(on={"dtype": "bf16"}, off={"dtype": "fp32"}),
    # a task's own adapter uses per_instance_lr if that is given, else this rate
    "training.learning_rate": sets("learning_rate", "cohort_learning_rate"),
    "training.per_instance_lr": sets("learning_rate"),
    # the number of epochs decides, so a preset's number of steps is reset
    "training.per_instance_epochs": sets("num_epochs", steps=0),
    "training.batch_size": sets("batch_size"),
    "training.max_training_time": sets("max_training_time"),
    "lora.rank": sets("lora_rank"),
    "lora.alpha": sets("lora_alpha"),
    "lora.dropout": sets("lora_dropout"),
    "adaptation.use_basic_augmentation": switch(
        on={"augmentations": ["symmetries"]}, off={"augmentations": []}
    ),
    "adaptation.permute_n": multiplied("views", SYMMETRIES),
    # comes after permute_n: without a vote there is only one view
    "adaptation.use_self_consistency": switch(on={"voting": "self-consistency"}, off={"views": 1}),
}
