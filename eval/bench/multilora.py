"""What K adapters cost a step: trained together, one after another, and by stock PEFT in sequence.

    python -m eval.bench multilora --quick
    python -m eval.bench multilora --out_dir runs/bench --plot docs/bench-multilora.svg
    python -m eval.bench multilora --profile --shapes 6m --tokens 256 --k 8

All three sides train the same adapters from the same first values on the same items, interleaved in
one run; a row is a median. PEFT computes in the way that is fastest for it at that size and length,
found by trying them. Making adapters and compiling is not timed. Every row is on disk before the
next is measured; started again, a run goes on where it was. The last line is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run by path, this folder would be searched for modules
    sys.path[0] = str(Path(__file__).parent.parent.parent)

from hone.errors import run_command
from hone.settings import option, read_settings

if TYPE_CHECKING:
    from eval.bench.cells import Bench

ON_CPU = ("3m", "6m", "25m")
LENGTHS, SIZES = (32, 64, 128, 256, 512), (1, 2, 4, 8, 16)
PEFT_MODES = tuple(
    f"{dtype}{how}"
    for how in ("", "_compiled", "_graphs")
    for dtype in ("fp32", "bf16_autocast", "bf16_weights", "bf16_weights_autocast")
)


@dataclass(frozen=True)
class MultiloraSettings:
    shapes: tuple[str, ...] = option(
        (),
        f"models to measure: {', '.join(ON_CPU)}, tiny, or 7b (a GPU's) (default: the first three)",
        choices=(*ON_CPU, "tiny", "7b"),
    )
    tokens: tuple[int, ...] = option((), f"tokens of each task (default: {LENGTHS})", low=2)
    k: tuple[int, ...] = option((), f"adapters trained together (default: {SIZES})", low=1)
    quick: bool = option(False, "6m, 64 and 256 tokens, K 8, where nothing else is named")
    repeats: int = option(5, "times that each side is measured; the median counts", low=1)
    seconds: float = option(2.0, "least time that a row is measured, with more repeats", low=0)
    steps: int = option(2, "steps in a row that are timed at once", low=1)
    rank: int = option(16, "of the adapters, beside all seven projections", low=1)
    dtype: str = option(
        "auto",
        "what this engine's base computes in; auto: bf16 where the machine is faster in it",
        choices=("auto", "fp32", "bf16"),
    )
    peft_mode: str = option(
        "auto",
        "how PEFT computes; auto: the fastest at that size and length",
        choices=("auto", *PEFT_MODES),
    )
    device: str = option("auto", "where both run", choices=("auto", "cpu", "cuda"))
    threads: int = option(0, "CPU threads; 0: all", low=0, high=1024)
    profile: bool = option(False, "print where a grouped step's time goes, and measure nothing")
    out_dir: Path = option(Path("runs/bench"), "multilora.jsonl, a line for every row")
    plot: Path | None = option(None, "draw the rows as curves over K into this SVG")

    def cells(self) -> list[tuple[str, int, list[int]]]:
        """Shape, tokens and the Ks, in the order of measuring."""
        usual = (("6m",), (64, 256), (8,)) if self.quick else (ON_CPU, LENGTHS, SIZES)
        shapes, tokens, ks = self.shapes or usual[0], self.tokens or usual[1], self.k or usual[2]
        return [
            (shape, n, list(dict.fromkeys(ks)))
            for shape in dict.fromkeys(shapes)
            for n in dict.fromkeys(tokens)
        ]


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(
        MultiloraSettings, argv, env_prefix="HONE_BENCH_MULTILORA_", description=__doc__ or ""
    )
    bench = open_bench(settings)
    told: dict[str, Any] = {
        "bench": "multilora",
        "device": bench.device_name,
        "threads": bench.threads,
    }
    if settings.profile:
        told["profile"] = list(profiled(bench))
    else:
        told["gemm_peak_gflops"] = bench.peak
        told["rows"] = list(measured(bench))
        if settings.plot is not None:
            draw(settings.plot, told["rows"])
    print(json.dumps(told))
    return 0


def open_bench(settings: MultiloraSettings) -> Bench:
    """What cannot be measured here is refused before anything is."""
    from eval.bench.cells import Bench
    from hone.files import check_writable

    check_writable(settings.out_dir, "--out_dir")
    return Bench(settings)


def measured(bench: Bench) -> Iterator[dict[str, Any]]:
    """The rows, each told to the reader as it is done."""
    from tqdm import tqdm

    print(
        f"{bench.device_name}, {bench.threads} threads; adapters and their moments are fp32 on all"
        f" sides, this engine's base is {bench.dtype}, PEFT computes as each row says"
    )
    total = sum(len(ks) for _, _, ks in bench.cells)
    with tqdm(total=total, unit="row", disable=None, leave=False) as bar:
        for shape, tokens, ks in bench.cells:
            bar.set_postfix_str(f"{shape}, {tokens} tokens")
            for row in bench.rows(shape, tokens, ks):
                bar.update()
                with bar.external_write_mode(sys.stdout):
                    print(spelled(row), flush=True)
                yield row


def spelled(row: dict[str, Any]) -> str:
    return (
        f"{row['shape']:>8} {row['tokens']:4} tokens  K {row['k']:2}"
        f"  peft {row['peft_ms']:9.1f} ms ({row['peft_mode']})  solo {row['solo_ms']:8.1f}"
        f"  grouped {row['grouped_ms']:8.1f}  {row['speedup_vs_peft']:5.2f}x"
        f"  {row['gflops']:7.1f} GFLOP/s, {row['share_of_peak']:.2f} of peak"
    )


def profiled(bench: Bench) -> Iterator[dict[str, Any]]:
    from eval.bench.profiling import as_table

    for shape, tokens, ks in bench.cells:
        for k in ks:
            found = bench.profile(shape, tokens, k)
            print(f"\n{shape}, {tokens} tokens, K {k}: {found['grouped_ms']:.1f} ms a step")
            print(as_table(found["ops"]), flush=True)
            yield found


def draw(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    from eval.bench.curves import speedup_curves
    from hone.files import write_text

    write_text(path, speedup_curves(rows))


if __name__ == "__main__":
    run_command(main)
