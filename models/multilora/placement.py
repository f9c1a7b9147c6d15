"""Which part of a model gets adapters.

all      every layer
top:N    the last N layers; what lies below them is frozen, and computed once per item
head     no layer, but the states that the head reads: logits = W (h + scale * h A^T B^T)
"""

from __future__ import annotations

from dataclasses import dataclass

from hone.errors import BadInput


@dataclass(frozen=True)
class Placement:
    last: int | None = None  # number of layers, counted from the end; None: all
    on_states: bool = False  # True: the head's input instead of layers

    @classmethod
    def parse(cls, spelled: str) -> Placement:
        if spelled in ("all", "head"):
            return cls(on_states=spelled == "head")
        kind, _, number = spelled.partition(":")
        try:
            if kind == "top":
                return cls(last=int(number))
        except ValueError:
            pass
        raise BadInput(
            f"adapter_layers is {spelled!r}; give all, top:N (the last N layers) or head"
        )

    def first_layer(self, layers: int) -> int:
        """The lowest layer with adapters in a model of so many layers."""
        if self.last is None:
            return 0
        if not 1 <= self.last <= layers:
            raise BadInput(
                f"adapter_layers is top:{self.last}, but the base has {layers} layers;"
                f" give top:1 to top:{layers}"
            )
        return layers - self.last


def layer_number(name: str) -> int:
    """The number of the decoder layer that a module is in, which is the first number in its name;
    -1 where there is none."""
    return next((int(part) for part in name.split(".") if part.isdecimal()), -1)
