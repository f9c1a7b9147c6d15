"""Measures a step of K adapters: trained together, one after another, and by PEFT in sequence.

    python -m eval.bench multilora --quick
    python -m eval.bench multilora --out_dir runs/bench --plot docs/bench-multilora.svg
    python -m eval.bench multilora --profile --shapes 6m --tokens 256 --k 8

All three sides train the same adapters from the same initial values on the same items, in turns
within one run; a row holds medians. PEFT runs in the mode that is fastest for it at that size and
length, found by trying all modes. Creating adapters and compiling are not timed. Every row is
written before the next is measured, so a run that was stopped goes on where it was. The last line
of output is one JSON object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":  # run by path, this folder's files would shadow modules
    sys.path[0] = str(Path(__file__).resolve().parent.parent.parent)

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
        f"models to measure: {', '.join(ON_CPU)}, tiny, or on a GPU 7b (default: the first three)",
        choices=(*ON_CPU, "tiny", "7b"),
    )
    tokens: tuple[int, ...] = option((), f"lengths of items, in tokens (default: {LENGTHS})", low=2)
    k: tuple[int, ...] = option(
        (), f"numbers of adapters trained together (default: {SIZES})", low=1
    )
    quick: bool = option(
        False, "measure 6m at 64 and 256 tokens with K 8, unless other values are given"
    )
    repeats: int = option(5, "times that each side is measured; the median counts", low=1)
    seconds: float = option(
        2.0, "least seconds to measure a row for, with more repeats if needed", low=0
    )
    steps: int = option(2, "number of successive steps that are timed as one", low=1)
    rank: int = option(16, "rank of the adapters, which are on all seven projections", low=1)
    dtype: str = option(
        "auto",
        "dtype that this engine's base computes in; auto: bf16 if the machine is faster in it",
        choices=("auto", "fp32", "bf16"),
    )
    peft_mode: str = option(
        "auto",
        "PEFT's mode; auto: the fastest at that size and length",
        choices=("auto", *PEFT_MODES),
    )
    device: str = option("auto", "device that both run on", choices=("auto", "cpu", "cuda"))
    threads: int = option(0, "CPU threads; 0: all", low=0, high=1024)
    profile: bool = option(
        False, "print the operations that a grouped step spends its time in, and measure nothing"
    )
    out_dir: Path = option(
        Path("runs/bench"), "folder of multilora.jsonl, which gets a line for every row"
    )
    plot: Path | None = option(None, "SVG file to draw the rows into, as curves over K")

    def cells(self) -> list[tuple[str, int, list[int]]]:
        """Shapes, tokens and Ks, in the order in which they are measured."""
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
    """The benchmark; refuses what cannot be measured here before anything is measured."""
    from eval.bench.cells import Bench
    from hone.files import check_writable

    check_writable(settings.out_dir, "--out_dir")
    return Bench(settings)


def measured(bench: Bench) -> Iterator[dict[str, Any]]:
    """The rows, each printed when it is done."""
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
