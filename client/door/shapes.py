"""The JSON of OpenAI's responses, whole and in chunks.

Chat and Completion differ in the form of a choice; the envelope around the choices is the same.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import uuid4

from client.door.desk import Order, Spoken
from client.text_answerer import Answer
from client.text_stream import Token

Object = dict[str, Any]
_LEAST = -9999.0  # stands for minus infinity, which JSON cannot spell
_HALF = "\ufffd"


class Shape(Protocol):
    whole: str  # "object" of a whole response, and below of a chunk
    part: str
    name: str  # prefix of a response's id

    def choice(self, text: str, tokens: Sequence[Token] | None) -> Object: ...

    def first(self) -> Object | None:
        """The choice in the first chunk, before it has text; None: there is no such chunk."""
        ...

    def more(self, text: str, tokens: Sequence[Token] | None) -> Object: ...


@dataclass(frozen=True)
class Chat:
    decode: Callable[[list[int]], str]
    whole, part, name = "chat.completion", "chat.completion.chunk", "chatcmpl"

    def choice(self, text: str, tokens: Sequence[Token] | None) -> Object:
        message = {"role": "assistant", "content": text, "refusal": None}
        return {"message": message, "logprobs": self._logprobs(tokens)}

    def first(self) -> Object | None:
        return {"delta": {"role": "assistant", "content": ""}, "logprobs": None}

    def more(self, text: str, tokens: Sequence[Token] | None) -> Object:
        return {"delta": {"content": text} if text else {}, "logprobs": self._logprobs(tokens)}

    def _logprobs(self, tokens: Sequence[Token] | None) -> Object | None:
        if tokens is None:
            return None
        return {"content": [self._token(token) for token in tokens], "refusal": None}

    def _token(self, token: Token) -> Object:
        likeliest = [_spelled(self.decode([one]), value) for one, value in token.place.likeliest]
        own = _spelled(token.text or self.decode([token.id]), token.place.log_probability)
        return {**own, "top_logprobs": likeliest}


@dataclass(frozen=True)
class Completion:
    decode: Callable[[list[int]], str]
    whole, part, name = "text_completion", "text_completion", "cmpl"

    def choice(self, text: str, tokens: Sequence[Token] | None) -> Object:
        return {"text": text, "logprobs": None if tokens is None else self._logprobs(tokens)}

    def first(self) -> Object | None:
        return None

    def more(self, text: str, tokens: Sequence[Token] | None) -> Object:
        return self.choice(text, tokens)

    def _logprobs(self, tokens: Sequence[Token]) -> Object:
        return {
            "tokens": [token.text or self.decode([token.id]) for token in tokens],
            "token_logprobs": [max(token.place.log_probability, _LEAST) for token in tokens],
            "top_logprobs": [self._top(token) for token in tokens],
            "text_offset": [token.begins for token in tokens],
        }

    def _top(self, token: Token) -> dict[str, float]:
        return {self.decode([one]): max(value, _LEAST) for one, value in token.place.likeliest}


def _spelled(text: str, value: float) -> Object:
    whole = _HALF not in text  # else it is part of a character, and its bytes are unknown
    return {
        "token": text,
        "bytes": list(text.encode()) if whole else None,
        "logprob": max(value, _LEAST),
    }


@dataclass(frozen=True)
class Envelope:
    """The parts of a response around its choices, for one request."""

    shape: Shape
    order: Order
    model: str
    fingerprint: str
    answers: int  # number of answers to each query
    shows_tokens: bool
    tells_usage: bool  # whether a stream ends in a chunk with the usage
    made: int = field(default_factory=lambda: int(time.time()))
    number: str = field(default_factory=lambda: uuid4().hex)

    def place(self, spoken: Spoken) -> int:
        """Index of the choice that an event belongs to."""
        return spoken.query * self.answers + spoken.answer

    def whole(self, answers: Sequence[Answer], tokens: Mapping[int, list[Token]]) -> Object:
        choices = [
            self.shape.choice(said.text, tokens.get(i, []) if self.shows_tokens else None)
            | {"index": i, "finish_reason": said.ended}
            for i, said in enumerate(said for answer in answers for said in answer.said)
        ]
        told = {"usage": self.usage(answers), "hone": [how(answer) for answer in answers]}
        return self._around(self.shape.whole, choices) | told

    def chunk(self, choices: list[Object], **more: Any) -> Object:
        return self._around(self.shape.part, choices) | more

    def usage(self, answers: Sequence[Answer]) -> Object:
        read = sum(len(asked.prompt) for asked in self.order.asked)
        written = sum(said.tokens for answer in answers for said in answer.said)
        return {
            "prompt_tokens": read,
            "completion_tokens": written,
            "total_tokens": read + written,
        }

    def _around(self, name: str, choices: list[Object]) -> Object:
        return {
            "id": f"{self.shape.name}-{self.number}",
            "object": name,
            "created": self.made,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
            "choices": choices,
        }


def how(answer: Answer) -> Object:
    """The part of the trace that is returned to programs; the trace's file has all of it."""
    trace = answer.trace
    told = {"decision": trace["decision"], "seconds": trace["seconds"]}
    told |= {name: trace[name] for name in ("adapter", "similarity", "items") if name in trace}
    return told | {"steps": len(trace.get("losses", []))}


def told_model(name: str, made: int) -> Object:
    return {"id": name, "object": "model", "created": made, "owned_by": "hone"}
