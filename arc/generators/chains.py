"""Chains: tasks that ask for what two other families ask for, one after the other."""

from __future__ import annotations

from arc.generators.combine import chain
from arc.generators.crop import peel, take_half
from arc.generators.denoise import clean_boxes, keep_colour
from arc.generators.extract import extract_by_size, odd_colour_out
from arc.generators.gravity import gravity
from arc.generators.grow import shrink
from arc.generators.logic import in_both
from arc.generators.outline import frame, hollow
from arc.generators.scale import upscale
from arc.generators.symmetry import flip, mirror_double, rotate

chain("half_then_turn", take_half, rotate, held_out=True)
chain("extract_then_frame", extract_by_size, frame)
chain("odd_one_enlarged", odd_colour_out, upscale)
chain("keep_then_fall", keep_colour, gravity)
chain("peel_then_flip", peel, flip)
chain("shrink_then_turn", shrink, rotate)
chain("both_then_mirror", in_both, mirror_double)
chain("clean_then_hollow", clean_boxes, hollow)
