"""Turns a request into an order: chooses the answerer, the prompt, and how the answer is written.

A chat is read through the base's chat template, and samples are retrieved for its last message. A
completion's prompt is read as it is, and its samples are spelled without a template, too.
"""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import TYPE_CHECKING

from client.door.desk import Order
from client.door.refusal import Refusal
from client.text_answerer import Asked, Manner, TextAnswerer
from client.text_format import PlainFormat
from hone.errors import BadInput
from hone.files import short_hash

if TYPE_CHECKING:
    from arc.formats import Encoded
    from client.adaptation import Adaptation
    from client.door.asked import AnyRequest, ChatRequest, CompletionRequest
    from models.decoding.choice import Sampling

AS_IT_IS = ":base"  # suffix of a model's name that asks for answers without training


class OrderMaker:
    def __init__(self, adaptation: Adaptation, max_new_tokens: int, *, adapt: bool) -> None:
        self.adapt, self.base = adapt, adaptation.base
        self.chat = TextAnswerer(adaptation, max_new_tokens)
        # its adapters are trained on templated samples, and must not be reused for plain ones
        if self.chat.format.chats:
            adaptation = dataclasses.replace(adaptation, spelling="plain")
        plain = PlainFormat(self.base.tokenizer)
        self.completion = TextAnswerer(adaptation, max_new_tokens, form=plain)

    @property
    def models(self) -> list[str]:
        """The models that requests can name: the base's name, and if that means test-time training,
        also the base without it."""
        name = Path(self.base.path).absolute().name
        return [name, f"{name}{AS_IT_IS}"] if self.adapt else [name]

    def of_chat(self, request: ChatRequest) -> Order:
        adapt = self._adapts(request.model)
        last = request.messages[-1]
        if last.role != "user" or not last.text.strip():
            raise Refusal(
                400,
                "the last message is empty or not the user's; end with a user message",
                param="messages",
            )
        turns = [
            {"role": "system" if one.role == "developer" else one.role, "content": one.text}
            for one in request.messages
        ]
        asked = _asked(self.chat, last.text, self.chat.format.conversation(turns), request)
        return Order(self.chat, [asked], adapt=adapt)

    def of_completion(self, request: CompletionRequest) -> Order:
        adapt = self._adapts(request.model)
        if not all(prompt.strip() for prompt in request.prompt):
            raise Refusal(400, "a prompt is empty; send a text", param="prompt")
        read = self.completion.format.prompt
        asked = [_asked(self.completion, one, read(one), request) for one in request.prompt]
        return Order(self.completion, asked, adapt=adapt)

    def check(self, model: str) -> None:
        """Refuses a model that is not served here."""
        if model not in self.models:
            raise Refusal(
                404,
                f"no model {model!r} here; there are: {', '.join(self.models)}",
                param="model",
                code="model_not_found",
            )

    def _adapts(self, model: str) -> bool:
        self.check(model)
        return self.adapt and not model.endswith(AS_IT_IS)


def _asked(answerer: TextAnswerer, query: str, prompt: Encoded, request: AnyRequest) -> Asked:
    try:
        readable = answerer.readable(prompt)
    except BadInput as error:
        raise Refusal(400, str(error), code="context_length_exceeded") from None
    return Asked(query, readable, _manner(request, answerer.room))


def _manner(request: AnyRequest, room: int) -> Manner:
    sampling = _sampling(request)
    if sampling is None and request.n > 1:
        raise Refusal(
            400,
            f"n is {request.n}, but with a temperature of 0 all answers are the same; raise it",
            param="n",
        )
    seed = random.getrandbits(63) if request.seed is None else request.seed
    return Manner(
        request.room or room,
        tuple(int(short_hash(seed, answer), 16) for answer in range(request.n)),
        sampling,
        tuple(request.stop),
        request.likeliest or 0,
    )


def _sampling(request: AnyRequest) -> Sampling | None:
    from models.decoding.choice import Sampling

    if request.temperature == 0:
        return None
    return Sampling(request.temperature, top_p=request.top_p)
