"""Requests of OpenAI's API: the fields that are supported, with their checks.

An unsupported field that would change the answer is refused rather than ignored, unless it holds
the value that changes nothing.
"""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from client.door.refusal import Refusal

_UNTOUCHED: dict[str, tuple[Any, ...]] = {  # the harmless values of unsupported fields
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "tool_choice": ("none",),
    "functions": ([],),
    "function_call": ("none",),
    "parallel_tool_calls": (True, False),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "echo": (False,),
    "best_of": (1,),
    "suffix": ("",),
}
_ABOUT_THE_ASKER = {
    *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),
}


def _listed(value: Any) -> Any:
    """A single string stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _parts(value: Any) -> Any:
    return [{"type": "text", "text": value}] if isinstance(value, str) else value


class _Checked(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)


class TextPart(_Checked):
    type: Literal["text"]
    text: str


class Message(_Checked):
    role: Literal["system", "developer", "user", "assistant"]
    content: Annotated[list[TextPart], BeforeValidator(_parts)]
    name: str | None = None

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.content)


class StreamOptions(_Checked):
    include_usage: bool = False
    include_obfuscation: bool = False


class _Request(_Checked):
    """The fields that chats and completions share."""

    model: str
    max_tokens: int | None = Field(None, ge=1)
    n: int = Field(1, ge=1, le=16)
    seed: int | None = None
    stop: Annotated[
        list[Annotated[str, Field(min_length=1)]], BeforeValidator(_listed), Field(max_length=4)
    ] = []
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, gt=0, le=1)


class ChatRequest(_Request):
    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    logprobs: bool = False
    top_logprobs: int = Field(0, ge=0, le=20)

    @property
    def room(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def likeliest(self) -> int | None:
        """How many of the likeliest tokens to report at each place, beside the chosen one; None:
        report no log-probabilities."""
        return self.top_logprobs if self.logprobs else None


class CompletionRequest(_Request):
    prompt: Annotated[list[str], BeforeValidator(_listed), Field(min_length=1, max_length=64)]
    logprobs: int | None = Field(None, ge=0, le=5)

    @property
    def room(self) -> int | None:
        return self.max_tokens

    @property
    def likeliest(self) -> int | None:
        return self.logprobs


AnyRequest = ChatRequest | CompletionRequest
Kind = TypeVar("Kind", ChatRequest, CompletionRequest)


def read_request(body: bytes, kind: type[Kind]) -> Kind:
    """The request; raises Refusal with the first thing that is wrong with the body."""
    try:
        return kind.model_validate(_known(_object(body)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        param = str(first["loc"][0]) if first["loc"] else None
        if first["type"] == "extra_forbidden":
            raise Refusal(
                400, f"the field {place} is not supported; leave it out", param=param
            ) from None
        raise Refusal(400, f"{place}: {first['msg']}", param=param) from None


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = _without_nulls(json.loads(body))
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"the request body is not JSON: {error}") from None
    if isinstance(found, dict):
        return found
    raise Refusal(400, "the request body is not a JSON object")


def _without_nulls(found: Any) -> Any:
    """JSON without its nulls: a null means that the field was left out."""
    if isinstance(found, dict):
        return {name: _without_nulls(value) for name, value in found.items() if value is not None}
    return [_without_nulls(one) for one in found] if isinstance(found, list) else found


def _known(given: dict[str, Any]) -> dict[str, Any]:
    """The fields without those that do not change the answer; refuses unsupported values."""
    for name, harmless in _UNTOUCHED.items():
        if name in given and given[name] not in harmless:
            raise Refusal(
                400,
                f"{name} is {json.dumps(given[name])[:80]}, which is not supported; leave it out",
                param=name,
                code="unsupported_parameter",
            )
    return {n: value for n, value in given.items() if n not in _ABOUT_THE_ASKER | set(_UNTOUCHED)}
