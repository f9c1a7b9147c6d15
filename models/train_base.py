"""Train a small base from scratch: a Llama-shaped model that reads ARC's canvas format, or text.

    python models/train_base.py --sources generators data/training --out_dir runs/base --minutes 30
    python models/train_base.py --sources data/halves/a.jsonl --out_dir runs/text --max_tokens 1024

A source is `generators` (the project's training families), a folder of tasks or a `*.jsonl.gz` pair
file. Or all sources are files of text, lines of {"prompt": ..., "completion": ...}, which are read
as bytes. `--weights` gives each source its share of the episodes; `--start_from` begins with the
weights of another base.

Started again on the same `--out_dir`, a run continues from its last checkpoint; with more
`--minutes`, from where the learning rate began to fall. The last `--decay` of the minutes anneals
the rate, then `--out_dir`/base is written, an ordinary Hugging Face folder. With `--steps` instead
of minutes, a run that was killed and resumed ends bit for bit like one that was not.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from hone.errors import run_command
from hone.settings import read_settings
from models.training.settings import TrainBaseSettings, refuse_unusable


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        TrainBaseSettings, argv, env_prefix="HONE_TRAIN_BASE_", description=__doc__ or ""
    )
    refuse_unusable(settings)
    from models.training.checkpoint import only_run

    with only_run(settings.out_dir):
        from models.training.run import Run

        Run(settings).go()
    return 0


if __name__ == "__main__":
    run_command(main)
