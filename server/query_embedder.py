"""Embeds queries on the server, only where its operator allows it (--embed_queries).

    vectors = await embedder.vectors(query, manifest)

Clients embed their queries themselves and send only vectors. The page has no embedder, so it sends
what is pasted there as it is. One query is embedded at a time; up to MOST_WAITING wait.
"""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import HTTPException
from fastapi.concurrency import run_in_threadpool
from pydantic import Field

from arc.task import task_from_json
from hone.errors import BadInput
from kb.manifest import Manifest
from kb.wire import SearchOptions
from models.embedder import Embedder, Query, Vectors, open_embedder

MOST_WAITING = 16  # queries
MOST_PAIRS = 40  # of a task, demos and tests together
MOST_CHARACTERS = 20_000


class Words(SearchOptions):
    """A query that is not embedded yet, a text or an ARC task, and what is asked about it."""

    text: str | None = Field(None, min_length=1, max_length=MOST_CHARACTERS)
    task: dict[str, Any] | None = Field(None, description="an ARC task as JSON")


class QueryEmbedder:
    """The embedders of the knowledge bases that are served, each opened when first needed."""

    def __init__(self) -> None:
        self._opened: dict[str, Embedder] = {}  # by fingerprint
        self._turn, self._waiting = asyncio.Lock(), 0

    def opened_for(self, manifest: Manifest) -> Embedder:
        """The embedder of the knowledge base; refuses where the one here is different."""
        wanted = manifest.embedder_fingerprint
        if wanted not in self._opened:
            embedder = open_embedder(manifest.embedder)
            if embedder.fingerprint != wanted:
                raise BadInput(
                    f"the embedder {manifest.embedder} is {embedder.fingerprint} here, the"
                    f" knowledge base was built with {wanted}; build it anew, or serve it without"
                    " --embed_queries"
                )
            self._opened[wanted] = embedder
        return self._opened[wanted]

    async def vectors(self, query: Query, manifest: Manifest) -> Vectors:
        """[1, dimension] the query's vector, embedded in turn."""
        if self._waiting >= MOST_WAITING:
            raise HTTPException(
                429,
                f"{self._waiting} queries are waiting to be embedded; try again in a moment",
                {"retry-after": "1"},
            )
        self._waiting += 1
        try:
            async with self._turn:
                return await run_in_threadpool(self._embedded, query, manifest)
        finally:
            self._waiting -= 1

    def _embedded(self, query: Query, manifest: Manifest) -> Vectors:
        return self.opened_for(manifest).embed([query])


def query_in(words: Words, manifest: Manifest) -> Query:
    """The query to embed, which must be of the kind that the knowledge base holds."""
    if manifest.kind == "text":
        if words.text is None or words.task is not None:
            raise BadInput("the knowledge base holds texts; ask with text")
        return words.text
    if words.task is None or words.text is not None:
        raise BadInput("the knowledge base holds ARC tasks; ask with task, an ARC task as JSON")
    task = task_from_json(words.task, "asked", "task")
    if (pairs := len(task.train) + len(task.test)) > MOST_PAIRS:
        raise BadInput(f"the task has {pairs} pairs, the most is {MOST_PAIRS}; leave some out")
    return task
