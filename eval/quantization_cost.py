"""Measures the effect of four bits on a base: memory, loss on unseen tasks, time of one token.

    python eval/quantization_cost.py --count 5

Measures the base unquantized, with NF4 values stored in its dtype, and with packed linear layers.
The tasks are of families that the bundled base was not trained on. Times are processor milliseconds
of one thread, the least of several.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import BUNDLED_BASE
from hone.errors import BadInput, run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from arc.formats import Encoded
    from models.base import Base

FORMS = (("none", "resident"), ("nf4", "resident"), ("nf4", "packed"))
TIMES = 9


@dataclass(frozen=True)
class CostSettings:
    model_path: str = option(
        str(BUNDLED_BASE), "folder or hub id of the base", shown="models/arc-base"
    )
    dtype: str = option("auto", "dtype that the base computes in", choices=("auto", "fp32", "bf16"))
    count: int = option(5, "number of tasks of each family", low=1)


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(CostSettings, argv, env_prefix="HONE_COST_", description=__doc__ or "")

    import torch

    from models.base import load_base

    torch.set_num_threads(1)
    print(
        f"{'quantization':14}{'residency':12}{'linears':>10}{'loss':>9}{'right':>8}{'a token':>11}"
    )
    for quantization, residency in FORMS:
        base = load_base(
            settings.model_path,
            dtype=settings.dtype,
            device="cpu",
            quantization=quantization,
            residency=residency,
        )
        loss, right = answered(base, _items(base, settings.count))
        print(
            f"{quantization:14}{residency:12}{megabytes_of_linears(base):7.2f} MB{loss:9.4f}"
            f"{right:8.4f}{processor_ms(partial(one_token, base)):8.2f} ms"
        )
    return 0


def _items(base: Base, count: int) -> list[Encoded]:
    from arc.generators import held_out_families, sample_task

    tasks = [sample_task(found, seed) for found in held_out_families() for seed in range(count)]
    items = [base.format.example(task) for task in tasks]
    fitting = [item for item in items if len(item) <= base.context]
    if not fitting:
        raise BadInput(f"no task fits into the {base.context} tokens that {base.path} reads")
    return fitting


def answered(base: Base, items: Sequence[Encoded]) -> tuple[float, float]:
    """Mean loss of the answers' tokens, and the share of them that are the likeliest."""
    import torch

    loss = right = total = 0.0
    with torch.no_grad():
        for item in items:
            ids = torch.as_tensor(item.ids)[None]
            places = torch.as_tensor(item.positions)[None]
            ones = torch.ones_like(ids)
            logits = base.model(ids, position_ids=places, attention_mask=ones).logits[0, :-1]
            labels = torch.as_tensor(item.labels)[1:]
            counted, wanted = logits[labels >= 0].float(), labels[labels >= 0]
            loss += float(torch.nn.functional.cross_entropy(counted, wanted, reduction="sum"))
            right += int((counted.argmax(-1) == wanted).sum())
            total += len(wanted)
    return loss / total, right / total


def megabytes_of_linears(base: Base) -> float:
    from models.frozen_linear import is_frozen_linear

    state = [m.state_dict() for m in base.model.modules() if is_frozen_linear(m)]
    return 1e-6 * float(sum(t.nbytes for tensors in state for t in tensors.values()))


def one_token(base: Base) -> None:
    import torch

    ids = torch.zeros(1, 1, dtype=torch.long)
    with torch.no_grad():
        base.model(ids, attention_mask=torch.ones_like(ids), use_cache=False)


def processor_ms(work: Callable[[], None]) -> float:
    def once() -> float:
        start = time.process_time()
        work()
        return float(time.process_time() - start)

    once()
    return 1e3 * min(once() for _ in range(TIMES))


if __name__ == "__main__":
    run_command(main)
