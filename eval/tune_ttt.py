"""Tune test-time training for a base: successive halving over rate, rank, items and epochs.

    python eval/tune_ttt.py --data_dir data/training --out_dir runs/tune

Candidates are judged by the demos of the tasks: each demo is held out in turn and asked with the
others; test outputs are never used. In every rung, the better part of the candidates stays and
answers more questions. The given settings stay to the end, and the best candidate is compared with
them on the same questions. It was chosen by these questions, so measure it on other tasks. Every
answer is on disk as soon as it is there; a run that is started again skips it.

Writes best.yaml (for `--config` of the other commands), table.csv, tune.svg and results.json.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from client.settings import Settings
from eval.halving import DEMOS, Rung, candidates, questions_of, rungs
from eval.judged import GIVEN, Judged, as_csv, judge, markdown, ranked
from eval.variants import refuse_kept_adapters, rows_of
from hone.errors import BadInput, run_command
from hone.files import check_writable, write_json, write_text
from hone.settings import as_plain, option, read_settings

if TYPE_CHECKING:
    from arc.task import Task

WRITTEN = ("learning_rate", "lora_rank", "num_pseudo", "num_epochs", "steps")


@dataclass(frozen=True)
class TuneSettings(Settings):
    data_dir: Path | None = option(None, "folder of ARC tasks, a task file, Kaggle's challenges")
    out_dir: Path = option(Path("runs/tune"), "folder for tables, picture, best.yaml, answers")
    learning_rates: tuple[float, ...] = option(
        (),
        "rates to try (default: a third of the rate that is set, that rate, three times it)",
        above=0,
    )
    ranks: tuple[int, ...] = option(
        (), "ranks to try (default: half of the rank that is set, and that rank)", low=1
    )
    items: tuple[int, ...] = option(
        (), "items to try (default: a quarter of the number that is set, and that number)", low=1
    )
    epochs: tuple[int, ...] = option((1, 2), "numbers of epochs to try", low=1)
    most_candidates: int = option(
        0, "number of candidates, drawn by the seed, with the given settings; 0: all", low=0
    )
    first_questions: int = option(8, "number of held-out demos in the first rung", low=1)
    most_questions: int = option(72, "number of held-out demos in the last rung, at most", low=1)
    keep: int = option(
        3, "one candidate in this many stays, for this many times the questions", low=2
    )


def main(argv: Sequence[str] | None = None) -> int:
    settings = read_settings(TuneSettings, argv, env_prefix="HONE_TUNE_", description=__doc__ or "")
    refuse_kept_adapters(settings)
    told = tune(settings)
    print(json.dumps(told))
    return 0


def tune(settings: TuneSettings) -> dict[str, Any]:
    """Prints the table, writes the files, and returns the best candidate's results beside those of
    the given settings."""
    questions = drawn_questions(settings)
    tried = candidates_of(settings)
    plan = rungs(len(tried), len(questions), settings.first_questions, settings.keep)
    check_writable(settings.out_dir, "--out_dir")
    print("; ".join(f"{rung.candidates} on {rung.questions} questions" for rung in plan))
    judged, solved = climb(settings, tried, questions, plan)
    final = ranked([one for one in judged if one.rung == len(plan)])
    print(markdown(judged))
    told = _compared(final, solved)
    _write(settings, tried[final[0].candidate], judged, told)
    return {"tune": told}


def drawn_questions(settings: TuneSettings) -> list[Task]:
    from client.arc_predictions import check_names
    from eval.arc_eval import drawn_tasks

    tasks = drawn_tasks(settings.data_dir, seed=settings.seed)
    check_names(tasks)
    questions = questions_of(tasks)[: settings.most_questions]
    if not questions:
        raise BadInput(
            f"no task of {settings.data_dir} has {DEMOS} demos, one to hold out and two to learn"
            " from; name other tasks"
        )
    return questions


def candidates_of(settings: TuneSettings) -> list[Settings]:
    rate, rank, items = settings.learning_rate, settings.lora_rank, settings.num_pseudo
    return candidates(
        settings,
        settings.learning_rates or (_two_digits(rate / 3), rate, _two_digits(rate * 3)),
        settings.ranks or sorted({max(1, rank // 2), rank}),
        settings.items or sorted({max(1, items // 4), items}),
        settings.epochs,
        most=settings.most_candidates,
    )


def _two_digits(rate: float) -> float:
    return float(f"{rate:.2g}")


def climb(
    settings: TuneSettings, tried: Sequence[Settings], questions: Sequence[Task], plan: list[Rung]
) -> tuple[list[Judged], dict[int, list[bool]]]:
    """Every candidate's results in each of its rungs, and what each solved in its last."""
    from tqdm import tqdm

    from client.opening import open_adaptation

    judged: list[Judged] = []
    solved: dict[int, list[bool]] = {}
    ranking = list(range(len(tried)))
    with (
        open_adaptation(tried[GIVEN], "arc") as adaptation,
        tqdm(total=_answers(plan), unit="answer", disable=None) as bar,
    ):
        for number, rung in enumerate(plan, 1):
            own = _staying(ranking, rung.candidates)
            asked = questions[: rung.questions]
            for i in own:
                title = f"rung {number} of {len(plan)}"
                rows = rows_of(adaptation, tried[i], asked, settings.out_dir, bar, title)
                judged.append(judge(i, number, tried[i], asked, rows))
                solved[i] = [bool(row["solved"]) for row in rows]
            best = ranked(judged[-len(own) :])
            ranking = [one.candidate for one in best]
            bar.write(f"rung {number}: {len(own)} candidates, the best with {best[0]}")
    return judged, solved


def _answers(plan: Sequence[Rung]) -> int:
    """The number of answers, at most; includes those on disk from earlier rungs."""
    most = plan[0].candidates
    return sum(min(rung.candidates + 1, most) * rung.questions for rung in plan)


def _staying(ranking: list[int], many: int) -> list[int]:
    """The first `many` candidates, and always the given settings."""
    first = ranking[:many]
    return first if GIVEN in first else [*first, GIVEN]


def _compared(final: list[Judged], solved: dict[int, list[bool]]) -> dict[str, Any]:
    from arc.scoring import mcnemar

    best = final[0]
    given = next(one for one in final if one.candidate == GIVEN)
    return {
        "best": asdict(best),
        "given": asdict(given),
        "p_mcnemar": mcnemar(solved[best.candidate], solved[GIVEN]),
    }


def _write(
    settings: TuneSettings, best: Settings, judged: list[Judged], told: dict[str, Any]
) -> None:
    from eval.tune_picture import picture

    out, found, given = settings.out_dir, told["best"], told["given"]
    lines = [
        f"# Tuned on {found['questions']} held-out demos: {found['solved']} solved,"
        f" {given['solved']} with the settings as given (p = {told['p_mcnemar']:.2g}).",
        *([f"preset: {settings.preset}"] if settings.preset else []),
        *(f"{name}: {getattr(best, name)}" for name in WRITTEN),
    ]
    write_text(out / "best.yaml", "\n".join(lines) + "\n")
    write_text(out / "table.csv", as_csv(judged))
    write_text(out / "tune.svg", picture(judged))
    write_json(
        out / "results.json",
        {**told, "judged": [asdict(one) for one in judged], "settings": as_plain(settings)},
    )


if __name__ == "__main__":
    run_command(main)
