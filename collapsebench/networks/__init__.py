"""One file per family of encoder and decoder, found by its name.

A family has a ``label``, an ``implementation`` number, published settings ``for_dataset``, its
``Settings``, and an ``Encoder`` and a ``Decoder``, built from the size of an item (the side of
images, the shape of anything else), a number of channels and the settings. ``reads`` says which
items it is for; without it, images. ``recordable`` says of it what it says of a method.
"""

from __future__ import annotations

from types import ModuleType

from collapsebench.quantizer import Incompatible


def refuse_unread(family: ModuleType, noun: str) -> None:
    """Raises ``Incompatible`` unless the family reads "images", "vectors" or "sequences"."""
    reads = getattr(family, "reads", ("images",))
    if noun not in reads:
        name = family.__name__.rpartition(".")[2]
        raise Incompatible(f"the network {name} reads {' and '.join(reads)}, these are {noun}")
