"""A name for everything except the queries that determines a run's answers.

Answers on disk are stored under it. A run that was killed and started again skips what is answered,
and a run with other settings does not take over those answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hone.files import short_hash
from hone.settings import as_plain

if TYPE_CHECKING:
    from client.adaptation import Adaptation

# Settings that do not change answers. Base and knowledge base are identified by their content, not
# by where they are.
_NOT_SHAPING = {
    *("preset", "platform", "model_path", "knowledge_base_path", "server_url"),
    *("server_knowledge_base", "local_adapter_manager_dir", "local_adapter_manager_memory_mb"),
    *("cohort_dir", "trained_dir", "keep_trained"),
    *("data_dir", "out_dir", "limit", "compare"),
    *("query", "query_file", "answer_file", "task", "dry_run", "json", "trace_dir"),
    *("serve", "host", "port", "most_waiting"),
    *("threads", "feature_cache_mb", "memory_limit_mb", "token_budget", "residency"),
}


def run_name(adaptation: Adaptation, *more: object) -> str:
    """`more` holds whatever else determines the answers."""
    retriever, settings = adaptation.retriever, as_plain(adaptation.settings)
    knowledge = retriever.info().content_hash if retriever else None
    reusing = settings["local_adapter_managing"]
    unused = [] if reusing else [n for n in settings if n.startswith("local_adapter_manager_")]
    if settings["mode"] == "strict":
        unused += [name for name in settings if name.startswith("cohort_")]
    unused += [] if reusing else ["k"]  # K matters only for how soon a stored adapter can be reused
    shaping = {n: value for n, value in settings.items() if n not in _NOT_SHAPING.union(unused)}
    base = adaptation.base.fingerprint, adaptation.base.context
    return short_hash(shaping, base, knowledge, *more, adaptation.stands_on)
