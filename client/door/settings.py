"""The settings of `--serve`."""

from __future__ import annotations

from dataclasses import dataclass

from hone.settings import option


@dataclass(frozen=True)
class DoorSettings:
    """Serving other programs."""

    serve: bool = option(False, "answer requests as OpenAI's API takes them, until told to stop")
    host: str = option("127.0.0.1", "of --serve: address to listen on; 0.0.0.0 for all")
    port: int = option(8001, "of --serve: port to listen on; 0 for any free one", low=0, high=65535)
    most_waiting: int = option(
        8,
        "of --serve: most requests that wait while one is answered; further ones are refused",
        low=1,
    )
