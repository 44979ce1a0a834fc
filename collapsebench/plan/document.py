"""What a grid's TOML document may hold: every table and the kind of every value, in one model.

Which names and numbers mean something is decided where they are used: axes, seeds and rules in
``grid``, settings in ``settings.build``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    create_model,
)
from pydantic_core import ErrorDetails

from collapsebench.settings import (
    GROUPS,
    LONGEST_QUOTED,
    UserError,
    did_you_mean,
    file_name_flaw,
    printable,
    shortened,
    shown,
)


def _finite(value: JsonValue) -> JsonValue:
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("must be a finite number")
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for part in parts:
        _finite(part)
    return value


def _file_name(name: str) -> str:
    if flaw := file_name_flaw(name):
        raise ValueError(flaw)
    return name


def _known(version: int) -> int:
    if version != 1:
        raise ValueError("must be 1")
    return version


OneLine = Annotated[str, AfterValidator(printable)]  # of what is printed
FileName = Annotated[str, AfterValidator(_file_name)]
TomlValue = Annotated[JsonValue, AfterValidator(_finite)]  # no dates, no inf
TomlTable = dict[str, TomlValue]
Override = dict[str, TomlTable]
STRICT = ConfigDict(strict=True, extra="forbid")


class ScaleTable(BaseModel):
    """``[scale.NAME]``; what is no field here is a dotted setting or axis."""

    model_config = ConfigDict(strict=True, extra="allow")
    __pydantic_extra__: dict[str, TomlValue]
    note: OneLine = ""
    override: list[Override] = []
    stages: list[str] | None = None


class Replicates(BaseModel):
    """``[replicates]``."""

    model_config = STRICT
    seed: TomlValue = None


class GridTables(BaseModel):
    """A grid but for its shared groups of settings."""

    model_config = STRICT
    schema_: Annotated[int, AfterValidator(_known)] = Field(default=1, alias="schema")
    name: FileName = ""
    title: OneLine = ""
    reproduces: list[OneLine] = []
    stages: list[str] = ["train", "encode"]
    default_scale: str | None = None
    axes: TomlTable = {}
    replicates: Replicates = Replicates()
    override: list[Override] = []
    exclude: list[TomlTable] = []
    scale: dict[FileName, ScaleTable] = {}


FIELDS: dict[str, Any] = dict.fromkeys(GROUPS, (TomlTable, {}))
Document = create_model("Document", __base__=GridTables, **FIELDS)  # the shipped files in grids/


WORDS = {
    "list_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "string_type": "must be a text",
    "invalid-json-value": "must be a number, a text, true or false, or lists or tables of them",
    "int_type": "must be a whole number",
    "recursion_depth_exceeded": "is nested too deeply",
}


def scales(content: Mapping[str, Any], where: str) -> dict[str, ScaleTable]:
    """The scales that a document of scales alone defines; raises as ``read`` does."""
    return read({"scale": content}, where).scale


def read(content: Mapping[str, Any], where: str) -> GridTables:
    """The document, all kinds of values as they must be.

    Args:
        content: parsed TOML.
        where: the grid, for the message.

    Raises:
        UserError: an unknown table or key (with a did-you-mean), or a value of another kind.
    """
    try:
        return Document.model_validate(dict(content))
    except ValidationError as error:
        raise UserError(f"{where}: {_said(error.errors()[0])}") from None


def _said(error: ErrorDetails) -> str:
    """What is wrong, in the words of a grid's author."""
    *tables, last = error["loc"]
    place = shortened(".".join(shown(part).strip("'") for part in error["loc"]), LONGEST_QUOTED)
    if error["type"] == "extra_forbidden":
        fields = Replicates.model_fields if tables else Document.model_fields
        known = [field.alias or name for name, field in fields.items()]
        inside = f" in [{'.'.join(map(str, tables))}]" if tables else ""
        return f"unknown key {shown(last)}{inside}{did_you_mean(str(last), known)}"
    own = error.get("ctx", {}).get("error")  # what a validator of this module says
    words = own or WORDS.get(error["type"], error["msg"].lower())
    return f"{place} {words}, not {shown(error['input'])}"
