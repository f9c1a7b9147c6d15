"""A door that is open, and OpenAI's own client before it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from openai import OpenAI
from tiny_bases import serving_app

from client.client import ClientSettings
from client.door.serving import door
from client.opening import open_adaptation
from hone.api_keys import ApiKeys
from hone.who_may_ask import WhoMayAsk

LEARNING: dict[str, Any] = {
    **{"num_ttt_samples": 1, "only_faiss": True, "num_epochs": 24, "learning_rate": 1e-2},
    **{"lora_rank": 8, "k": 1, "max_new_tokens": 6},
}
CHAT: dict[str, Any] = {"model": "chat:base", "messages": [{"role": "user", "content": "x"}]}
TEXT: dict[str, Any] = {"model": "chat:base", "prompt": "x"}


@contextmanager
def opened(
    base: Path, kb: Path, folder: Path, keys: tuple[str, ...] = (), **changes: Any
) -> Iterator[str]:
    """The door's address; the base as chat_base or text_base wrote it."""
    places = {"model_path": str(base), "knowledge_base_path": kb, "trace_dir": folder / "traces"}
    settings = ClientSettings(**{"ttt": True, **LEARNING, **places, **changes})
    with open_adaptation(settings, "text", adapt=settings.ttt) as adaptation:
        who = WhoMayAsk(settings.host, ApiKeys("HONE_DOOR_KEYS", keys))
        app = door(settings, adaptation, who, "here")
        with serving_app(app) as url:
            yield url


def asking(url: str, **more: Any) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", **{"api_key": "none", "max_retries": 0, **more})


def how_of(found: Any) -> Any:
    """What is said beside OpenAI's fields."""
    return found.model_extra["hone"]


def user(text: str) -> list[Any]:
    return [{"role": "user", "content": text}]


def complete(client: OpenAI) -> Any:
    return client.completions.create(**TEXT)
