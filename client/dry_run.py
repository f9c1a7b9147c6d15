"""`--dry_run`: shows what queries would be trained on, item by item, in the order of the items.

    python client/client.py --task data/examples/crosses-3.json --dry_run

It retrieves, reduces and weighs samples as a training would. It does not look for stored adapters,
so a query may be shown here that one of them would answer without training.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from client.opening import open_adaptation

if TYPE_CHECKING:
    from arc.task import Task
    from client.adaptation import Adapted
    from client.jobs import Item, Job
    from client.settings import Settings

Plan = dict[str, Any]


class Spelling(Protocol):
    def text(self, tokens: list[int]) -> str: ...


def plan_tasks(settings: Settings, tasks: Sequence[Task]) -> list[Plan]:
    from client.arc_solver import ArcSolver

    with open_adaptation(_without_store(settings), "arc") as adaptation:
        plans = ArcSolver(adaptation).plan(tasks)
        form = adaptation.base.format
        return [
            {"id": task.id, **_told(*plan, form)} for task, plan in zip(tasks, plans, strict=True)
        ]


def plan_texts(settings: Settings, queries: Sequence[str]) -> list[Plan]:
    from client.text_answerer import TextAnswerer

    with open_adaptation(_without_store(settings), "text") as adaptation:
        answerer = TextAnswerer(adaptation, max_new_tokens=0)
        plans = answerer.plan(queries)
        return [
            {"query": query, **_told(*plan, answerer.format)}
            for query, plan in zip(queries, plans, strict=True)
        ]


def shown(plan: Plan) -> str:
    """The plan as text. A text query's items are shown in full, a task's by what they are made
    from."""
    title = plan.get("id") or plan["query"].strip()
    out = [f"{title}: {_how(plan)}", f"{'weight':>8} {'tokens':>7} {'trained on':>10}  item"]
    for item in plan["items"]:
        numbers = f"{item['weight']:8.3f} {item['tokens']:7} {item['trained_on']:10}"
        said = f"  {item['text']!r}" if "query" in plan else ""
        out.append(f"{numbers}  {item['name']}{said}")
    return "\n".join(out)


def _how(plan: Plan) -> str:
    if not plan["items"]:
        return "nothing to train on"
    return (
        f"{len(plan['items'])} items, {plan['steps']} steps of {plan['batch_size']},"
        f" {plan['order']}; rank {plan['rank']}, rate {plan['learning_rate']:g}"
    )


def _told(adapted: Adapted, job: Job | None, form: Spelling) -> Plan:
    found = {name: value for name, value in adapted.trace.items() if name not in _NO_PLAN}
    if job is None:
        return found | {"items": []}
    return found | {
        "steps": job.steps,
        "batch_size": job.batch,
        "order": "shuffled each epoch" if job.shuffle else "in this order each epoch",
        "rank": job.spec.rank,
        "learning_rate": job.spec.learning_rate,
        "items": [_item(item, form) for item in job.items],
    }


_NO_PLAN = ("seconds", "decision", "items")  # parts of a trace that are not shown in a plan


def _item(item: Item, form: Spelling) -> dict[str, Any]:
    return {
        "name": item.name,
        "weight": round(item.weight, 6),
        "tokens": len(item.encoded),
        "trained_on": item.encoded.counted,
        "text": form.text(item.encoded.ids.tolist()),
    }


def _without_store(settings: Settings) -> Settings:
    return dataclasses.replace(settings, local_adapter_managing=False)
