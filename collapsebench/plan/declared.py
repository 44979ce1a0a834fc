"""What a user's method says of itself, read once and by its kinds: the rest relies on it."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from collapsebench.plan.grid import MOST
from collapsebench.plan.userfile import explained
from collapsebench.settings import CANONICAL, UserError, build, identity, shown

if typing.TYPE_CHECKING:
    from collapsebench.quantizer import Quantizer

ATTRIBUTES = ("label", "network", "implementation", "sources", "for_dataset")


def check(cls: type[Quantizer], path: Path) -> None:
    """Refuses what a plan could not be made of.

    Raises:
        UserError: a class attribute of another kind than ``Quantizer`` says, ``Settings`` that is
            no dataclass of plain values with defaults, or code of the class that raises.
    """
    from collapsebench.quantizer import Quantizer

    hints = typing.get_type_hints(Quantizer)
    with explained(path):
        for name in ATTRIBUTES:
            value = getattr(cls, name)
            try:
                TypeAdapter(typing.get_args(hints[name])[0]).validate_python(value, strict=True)
            except ValidationError as error:
                reason = error.errors()[0]["msg"].lower()
                raise UserError(
                    f"{path}: bad value for '{name}': {shown(value)} ({reason})"
                ) from None
        try:
            CANONICAL.encode(identity(build(cls.Settings, {}, "Settings")))
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{path}: Settings must be a dataclass of plain values with defaults: {error}"
            ) from None


def dim_for(cls: type[Quantizer], path: Path, codebook_size: int, settings: Any) -> int | None:
    """The code dimension that a user's method ties to a codebook size; None = free.

    Raises:
        UserError: its code raises, or returns no such number.
    """
    with explained(path):
        dim = cls.dim_for(codebook_size, settings)
    if dim is not None and (type(dim) is not int or not 1 <= dim <= MOST["code_dim"]):
        raise UserError(
            f"{path}: dim_for({codebook_size}) must be None or a positive whole number up to "
            f"{MOST['code_dim']:,}, not {shown(dim)}"
        )
    return dim
