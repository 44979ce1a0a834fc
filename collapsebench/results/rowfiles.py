"""One file of rows in the schema of today, or why it is none; rows that name the same thing."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

IDS = ("job_id", "stage_id", "run_id")  # a row without one of these in its key names nothing
STATUSES = (
    "queued", "running", "interrupted", "done", "diverged", "incompatible",
    "out_of_memory", "timeout", "error", "cancelled",
)  # fmt: skip
OBJECTS = ("settings", "versions", "implementation", "details")  # JSON in a text
LARGEST = 1e100  # its square is still a number, and no measurement comes near it


def load(path: Path, schema: pa.Schema, newest: int, defaults: Mapping[str, Any]) -> pa.Table | str:
    """As ``read``, or what no row of this program holds."""
    part = read(path, schema, newest, defaults)
    return part if isinstance(part, str) else flaw(part) or part


def read(path: Path, schema: pa.Schema, newest: int, defaults: Mapping[str, Any]) -> pa.Table | str:
    """The rows of a file, a column that is younger than the file filled with its default.

    Args:
        path: a parquet file; ``tables.write`` gives its pages checksums, which are verified.
        schema: the columns to read, among them ``schema_version``.
        newest: the latest schema version that this program knows.
        defaults: column -> its value in files that are older than it; null for any other.

    Returns:
        The rows, or in one line why the file cannot be read.
    """
    if not path.is_file():  # opening a pipe would wait for ever
        return "no file"
    try:
        # files are small, and many
        file = pq.ParquetFile(path, page_checksum_verification=True)
        part = file.read(columns=schema.names, use_threads=False)
        for version in part.column("schema_version").cast(pa.int64()).unique().to_pylist():
            if version is None or not 1 <= version <= newest:
                return f"schema version {version}, this program knows {newest}"
        return part if part.schema.equals(schema) else _in_schema(part, schema, defaults)
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        return str(error).splitlines()[0] if str(error) else type(error).__name__


def _in_schema(part: pa.Table, schema: pa.Schema, defaults: Mapping[str, Any]) -> pa.Table:
    for field in schema:
        if field.name in part.column_names:
            kind = part.schema.field(field.name).type
            if _is_text(kind) != _is_text(field.type) and not pa.types.is_null(kind):
                # a cast would read numbers out of texts
                raise pa.ArrowInvalid(f"column {field.name!r} must be {field.type}, not {kind}")
        elif field.name in IDS:
            raise KeyError(f"no column {field.name!r}")
        else:
            absent = _constant(defaults.get(field.name), field.type, len(part))
            part = part.append_column(field, absent)
    return part.select(schema.names).cast(schema)


def _constant(number: float | None, kind: pa.DataType, length: int) -> pa.Array:
    """One number, or null, again and again; ``pa.repeat`` would load pandas."""
    if number is None:
        return pa.nulls(length, kind)
    numbers = np.full(length, number, kind.to_pandas_dtype())
    return pa.Array.from_buffers(kind, length, [None, pa.py_buffer(numbers)])


def _is_text(kind: pa.DataType) -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def flaw(rows: pa.Table) -> str:
    """What no row of this program holds; "" if there is nothing of the kind."""
    for name in rows.column_names:
        column = rows.column(name)
        if name == "status" and {*column.unique().to_pylist()} - {None, *STATUSES}:
            return "a status that there is not"
        if name == "counts" and not all(map(_counts, column)):
            return "counts that are none"
        if pa.types.is_floating(column.type) and name != "value" and _beyond(column):
            return f"{name} out of reach"
        if name in OBJECTS and (why := _object_flaw(name, column)):
            return why
    return ""


def _counts(row: pa.ListScalar) -> bool:
    """Whether a list says how often each code was chosen, one at least."""
    if not row.is_valid or not len(row.values) or row.values.null_count:
        return False
    return pc.min(row.values).as_py() >= 0 and pc.sum(row.values).as_py() > 0


def _beyond(column: pa.ChunkedArray) -> bool:
    """Whether times and rates are too large to be any; a measurement may be."""
    return bool(pc.any(pc.greater(pc.abs(column), LARGEST)).as_py())


def _object_flaw(name: str, column: pa.ChunkedArray) -> str:
    """Why texts are no JSON objects, or settings no groups of settings; "" if they are."""
    for text in column.drop_null().unique().to_pylist():
        try:
            content = json.loads(text)
        except ValueError as error:
            return str(error)
        if not isinstance(content, dict):
            return f"{name} must be an object, not {text:.40}"
        if name == "settings" and not all(isinstance(group, dict) for group in content.values()):
            return f"settings must be groups of settings, not {text:.40}"
    return ""


def distinct(rows: pa.Table, key: Sequence[str]) -> tuple[pa.Table, list[dict[str, object]]]:
    """Rows of which no two carry the same key.

    Args:
        rows: of one table.
        key: the columns that name a row.

    Returns:
        The rows, of equal ones the first, without those that say different things under one key;
        and the keys of these.
    """
    ordered = np.sort(_numbers(rows, key))  # ``np.unique`` takes twenty times as long
    if (ordered[1:] != ordered[:-1]).all():
        return rows, []
    frame = rows.to_pandas()
    if "counts" in frame:
        frame["counts"] = frame["counts"].map(tuple, na_action="ignore")
    named = frame[[name for name in key if name in IDS]].notna().all(axis=1)
    again = named & frame.duplicated()
    clash = named & ~again & frame[~again].duplicated(key, keep=False).reindex(frame.index)
    keys = frame.loc[clash, list(key)].drop_duplicates().to_dict("records")
    return rows.filter(pa.array(~(again | clash))), keys


def _numbers(rows: pa.Table, key: Sequence[str]) -> np.ndarray:
    """(len(rows),) int64, equal where the keys are; quicker compared than texts."""
    numbers = np.zeros(len(rows), np.int64)
    for name in key:
        column = rows.column(name).combine_chunks().dictionary_encode(null_encoding="encode")
        indices = np.frombuffer(column.indices.buffers()[1], np.int32)  # ``to_numpy`` loads pandas
        numbers = numbers * len(column.dictionary) + indices[: len(rows)]
    return numbers
