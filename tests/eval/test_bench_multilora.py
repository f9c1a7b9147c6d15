"""The comparison is fair: both sides train the same adapters, and the figures are what they say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import torch
from tiny_models import random_item, tiny_llama

from eval.bench import __main__ as door
from eval.bench import cells, machine, multilora, probing
from eval.bench.curves import speedup_curves
from eval.bench.multilora import MultiloraSettings
from eval.bench.peft_seat import MODES, Feed, Mode, PeftSeat, modes_for
from eval.bench.shapes import drawn_items, flops_per_token, linears_of, open_model
from eval.bench.sides import Grouped, Peft, Solo, Work, first_values, largest_gap
from hone.errors import BadInput, Damaged
from hone.journal import Journal
from models import matrix_speed
from models.multilora.bank import AdapterBank, SlotSpec
from models.processor import multiplies_bf16

CPU = torch.device("cpu")
ROW = {
    *("params_m", "tokens", "k", "peft_ms", "solo_ms", "grouped_ms"),
    *("speedup_vs_peft", "speedup_vs_solo", "gflops", "share_of_peak"),
}
FROZEN = 2 * (4 * 32 * 32 + 3 * 32 * 48)  # of the tiny shape, by hand
OWN = 2 * 4 * (4 * (32 + 32) + 3 * (32 + 48))  # of one adapter of rank 4


@pytest.fixture(autouse=True)
def small_peak(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(matrix_speed, "SIZES", (64,))


def words(out_dir: Path, *more: str) -> list[str]:
    small = ("--shapes", "tiny", "--tokens", "12", "--rank", "4", "--repeats", "1")
    ways = ("--seconds", "0", "--dtype", "fp32", "--peft_mode", "fp32", "--device", "cpu")
    return [*small, *ways, "--out_dir", str(out_dir), *more]


def measured(
    out_dir: Path, capsys: pytest.CaptureFixture[str], *more: str
) -> tuple[dict[str, Any], str]:
    assert multilora.main(words(out_dir, *more)) == 0
    told = capsys.readouterr().out.splitlines()
    return json.loads(told[-1]), "\n".join(told[:-1])


def test_rows_say_what_they_should_and_are_not_measured_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = tmp_path / "curves.svg"
    told, shown = measured(tmp_path, capsys, "--k", "1", "3", "--plot", str(drawn))
    assert list(told) == ["bench", "device", "threads", "gemm_peak_gflops", "rows"]
    assert told["bench"] == "multilora" and told["threads"] == torch.get_num_threads()
    assert [row["k"] for row in told["rows"]] == [1, 3] and shown.count("tiny") == 2
    for row in told["rows"]:
        assert set(row) >= ROW
        assert row["speedup_vs_peft"] == pytest.approx(row["peft_ms"] / row["grouped_ms"], rel=0.01)
        assert row["speedup_vs_solo"] == pytest.approx(row["solo_ms"] / row["grouped_ms"], rel=0.01)
        flops = (4 * FROZEN + 6 * OWN) * 12 * row["k"]
        assert row["gflops"] == pytest.approx(flops / row["grouped_ms"] / 1e6, rel=0.05, abs=0.01)
        assert row["share_of_peak"] == pytest.approx(
            row["gflops"] / told["gemm_peak_gflops"], abs=1e-3
        )
        assert row["peft_mode"] == row["hone_dtype"] == "fp32" and row["loss_gap"] < 1e-4
    ElementTree.parse(drawn)

    # a run that was killed while it wrote its last line goes on from there
    journal = tmp_path / "multilora.jsonl"
    journal.write_bytes(journal.read_bytes()[:-20])
    again: list[int] = []
    once = cells.Cell.row
    monkeypatch.setattr(cells.Cell, "row", lambda self, k: again.append(k) or once(self, k))
    resumed, _ = measured(tmp_path, capsys, "--k", "1", "3")
    assert again == [3] and resumed["rows"][0] == told["rows"][0]
    assert resumed["gemm_peak_gflops"] == told["gemm_peak_gflops"]
    assert measured(tmp_path, capsys, "--k", "3", "1")[0]["rows"] == resumed["rows"][::-1]
    assert again == [3]
    measured(tmp_path, capsys, "--k", "1", "--steps", "1")
    assert again == [3, 1], "other settings are measured anew"


def test_the_three_sides_train_the_same_adapters() -> None:
    model = open_model("tiny", torch.float32, CPU)
    specs = [SlotSpec(rank=4, learning_rate=0.01, seed=seed) for seed in range(3)]
    work = Work(specs, drawn_items(20, 3, 16), steps=6)
    seat = PeftSeat(open_model("tiny", torch.float32, CPU), MODES["fp32"], specs[0])
    peft = Peft(seat, first_values(model, specs))
    grouped, solo = Grouped(model, specs), Solo(model, specs[0])
    found = grouped.run(work)
    assert all(own[-1] < 0.9 * own[0] for own in found.losses), "there is something to compare"
    assert len({own[0] for own in found.losses}) == 3
    for other in (solo.run(work), peft.run(work), peft.run(work), grouped.run(work)):
        assert largest_gap(found, other) < 1e-4
        assert other.step_s > 0


def test_a_batch_on_a_canvas_trains_the_same() -> None:
    """Jumping positions, unequal lengths, answers at different places, a schedule."""
    spec = SlotSpec(rank=4, learning_rate=0.02, seed=5)
    items = [random_item(17, 1).encoded, random_item(9, 2).encoded]
    with AdapterBank(tiny_llama(torch.float32), [spec]) as bank:
        start, ours = bank.export(0), []
        for step in range(6):
            ours.append(float(bank.backward([[(item, 1.0) for item in items]]).losses_K[0]))
            bank.step([True], [1 - step / 8])
    seat = PeftSeat(tiny_llama(torch.float32), MODES["fp32"], spec)
    seat.enter(start)
    theirs = [float(seat.step(Feed.of(items, CPU), 1 - step / 8)) for step in range(6)]
    assert theirs == pytest.approx(ours, abs=1e-4) and ours[-1] < 0.95 * ours[0]


def test_plain_positions_are_left_to_the_model() -> None:
    """A mask would keep attention from its fastest way."""
    plain, jumping = drawn_items(8, 1, 16), [random_item(8, 0).encoded]
    assert set(Feed.of(plain, CPU).inputs) == {"input_ids"}
    assert set(Feed.of(jumping, CPU).inputs) == {"input_ids", "position_ids", "attention_mask"}


def test_flops_are_counted_without_the_head() -> None:
    linears = linears_of(open_model("tiny", torch.float32, CPU))
    assert flops_per_token(linears, 4) == 4 * FROZEN + 6 * OWN


@pytest.mark.parametrize(("name", "millions"), [("3m", 2.66), ("6m", 6.43), ("25m", 25.7)])
def test_models_have_the_size_that_they_are_called_by(name: str, millions: float) -> None:
    first, again = (open_model(name, torch.float32, CPU) for _ in range(2))
    total = sum(p.numel() for p in first.parameters())
    assert total / 1e6 == pytest.approx(millions, rel=0.005)
    assert all(
        torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True)
    )


def test_quick_is_a_small_part_and_what_is_named_wins() -> None:
    assert MultiloraSettings(quick=True).cells() == [("6m", 64, [8]), ("6m", 256, [8])]
    assert MultiloraSettings(quick=True, k=(2, 2)).cells()[0] == ("6m", 64, [2])
    everything = MultiloraSettings().cells()
    assert len(everything) == 15 and {tuple(ks) for *_, ks in everything} == {(1, 2, 4, 8, 16)}


def test_the_ways_of_peft_are_the_ones_that_can_be_named() -> None:
    assert set(multilora.PEFT_MODES) == set(MODES)
    assert {mode.compiled for mode in modes_for(CPU, large=False)} == {"", "layers"}
    assert {mode.weights for mode in modes_for(torch.device("cuda"), large=True)} == {"bf16"}


def open_seat(mode: Mode) -> PeftSeat:
    if mode.compiled:
        raise RuntimeError("no compiler\nand a long story")
    return PeftSeat(open_model("tiny", torch.float32, CPU), mode, SlotSpec(rank=2))


def test_without_a_compiler_the_plain_ways_remain() -> None:
    feed = Feed.of(drawn_items(8, 1, 16), CPU)
    modes = [MODES["fp32"], MODES["fp32_compiled"]]
    found = probing.probe(modes, feed, open_seat, float("inf"))
    assert found.fastest().mode.name == "fp32"
    assert found.skipped == {"fp32_compiled": "no compiler"}
    with pytest.raises(BadInput, match=r"--peft_mode fp32_compiled cannot run here \(no compiler"):
        probing.probe(modes[1:], feed, open_seat, 0.0)
    found = probing.probe(modes, feed, open_seat, 0.0)
    assert found.skipped == {"fp32_compiled": "not tried within 0 s"}


def test_compiling_counts_where_it_is_asked_to() -> None:
    slow_start = probing.Tried(MODES["fp32_compiled"], step_s=1.0, first_s=100.0)
    plain = probing.Tried(MODES["fp32"], step_s=2.0, first_s=2.0)
    found = probing.Probe([plain, slow_start], {})
    assert found.fastest() == slow_start == found.fastest(steps=200)
    assert found.fastest(steps=50) == plain


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # torch warns itself of what its compiler does
def test_compiled_layers_train_the_same() -> None:
    spec, item = SlotSpec(rank=4, learning_rate=0.01), drawn_items(20, 1, 16)
    start = first_values(open_model("tiny", torch.float32, CPU), [spec])[0]
    curves = []
    for name in ("fp32", "fp32_compiled"):
        seat = PeftSeat(open_model("tiny", torch.float32, CPU), MODES[name], spec)
        seat.enter(start)
        curves.append([float(seat.step(Feed.of(item, CPU))) for _ in range(5)])
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)


def test_the_profile_says_where_the_time_goes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told, shown = measured(tmp_path, capsys, "--k", "2", "--profile")
    (found,) = told["profile"]
    assert found["k"] == 2 and found["grouped_ms"] > 0
    assert sum(op["share"] for op in found["ops"]) == pytest.approx(1, abs=0.02)
    assert "operation" in shown and found["ops"][0]["op"][:20] in shown
    assert not (tmp_path / "multilora.jsonl").exists(), "nothing was measured"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (("--shapes", "7b"), "--shapes 7b needs a GPU"),
        (("--shapes", "4m"), "choose from 3m, 6m, 25m, tiny, 7b"),
        (("--tokens", "1"), "at least 2"),
        (("--k", "0"), "at least 1"),
        (("--k", "1", "--rank", "64"), "--rank is 64, but the narrowest layer of tiny"),
        (("--peft_mode", "fast"), "choose from auto, fp32"),
        (("--peft_mode", "fp32_graphs"), "--peft_mode fp32_graphs needs a GPU"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    tmp_path: Path, asked: tuple[str, ...], said: str
) -> None:
    with pytest.raises(BadInput, match=said):
        multilora.main(words(tmp_path, *asked))


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInput, match="is a file; name a folder"):
        multilora.main(words(tmp_path / "file" / "bench"))


def test_the_door_knows_both_benchmarks(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["--help"]) == 0 and "multilora --quick" in capsys.readouterr().out
    for given in ([], ["multi"]):
        with pytest.raises(BadInput, match="there are: multilora, solve"):
            door.main(given)
    with pytest.raises(BadInput, match="--kk"):
        door.main(["multilora", "--kk", "3"])


def test_a_journal_keeps_whole_lines_alone(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "lines.jsonl"
    journal = Journal(path)
    journal.add("a", {"ms": 1.5})
    journal.add("b", {"ms": 2})
    with path.open("a") as file:
        file.write('{"key": "c", "m')
    again = Journal(path)
    assert again.find("a") == {"ms": 1.5} and again.find("c") is None
    again.add("c", {"ms": 3})
    assert Journal(path).lines == {"a": {"ms": 1.5}, "b": {"ms": 2}, "c": {"ms": 3}}
    for line in ("no json", '["key"]', '{"ms": 1}'):
        path.write_text(line + "\n")
        with pytest.raises(Damaged, match=r"lines.jsonl, line 1 .*remove the line"):
            Journal(path)


def test_curves_have_a_panel_for_each_model_and_a_line_for_each_length() -> None:
    rows = [
        {
            "shape": s,
            "params_m": 6.4,
            "tokens": t,
            "k": k,
            "speedup_vs_peft": k,
            "speedup_vs_solo": 1,
        }
        for s in ("6m", "<a&b>")
        for t in (32, 64, 128)
        for k in (1, 4, 16)
    ]
    root = ElementTree.fromstring(speedup_curves(rows))
    svg = "{http://www.w3.org/2000/svg}"
    panels = root.findall(f"{svg}g")
    assert len(panels) == 4 and "<a&b>" in str(panels[1].findtext(f"{svg}text"))
    for panel in panels:
        assert len(panel.findall(f"{svg}path[@stroke-width='2']")) == 3
        dots = panel.findall(f"{svg}circle")
        assert len(dots) == 9 and all(0 <= float(dot.attrib["cy"]) <= 200 for dot in dots)
    ElementTree.fromstring(speedup_curves(rows[:1]))  # one point alone


def test_the_machine_is_named_by_what_runs_there() -> None:
    assert "cores" in machine.device_name(CPU)
    assert machine.code_hash("eval/bench") != machine.code_hash("eval/bench", "arc")
    assert matrix_speed.gemm_peak(CPU) > 0
    assert isinstance(multiplies_bf16(CPU), bool)
