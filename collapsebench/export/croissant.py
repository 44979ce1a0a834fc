"""Croissant metadata of a folder of rows: every table with its columns, for dataset loaders.

Format: Croissant 1.0, http://mlcommons.org/croissant/1.0, as mlcroissant 1.1 checks it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from collapsebench import __version__
from collapsebench.results import disk, tables
from collapsebench.settings import UserError

FILE = "croissant.json"
ITS_WORDS = (
    "citeAs", "column", "equivalentProperty", "extract", "field", "fileObject", "fileProperty",
    "fileSet", "format", "includes", "isLiveDataset", "jsonPath", "key", "md5", "parentField",
    "path", "recordSet", "references", "regex", "repeated", "replace", "samplingRate", "separator",
    "source", "subField", "transform",
)  # fmt: skip
CONTEXT: dict[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
} | {word: f"cr:{word}" for word in ITS_WORDS}


def write(results: Path, out: Path | None, by: str, license_: str) -> Path:
    """Writes the description into the folder that it describes; returns its path.

    Raises:
        UserError: no rows there, or another place: its paths are relative to the folder.
    """
    path = out or results / FILE
    if path.suffix != ".json" or path.parent.resolve() != results.resolve():
        raise UserError(f"{path}: a description lies in its folder, like {results / FILE}")
    disk.write_json(path, described(results, by, license_))
    return path


def described(results: Path, by: str, license_: str) -> dict[str, Any]:
    """The description of a results folder, of a frozen tag, or of a folder of tags.

    Raises:
        UserError: no rows there.
    """
    folders = [results, *sorted(path for path in results.glob("*") if path.is_dir())]
    having = [folder for folder in folders if any((folder / "metrics").glob(f"*{tables.SUFFIX}"))]
    if not having:
        raise UserError(f"no rows in {results}")
    inner = "" if results in having else "*/"
    files = {n: list(results.glob(f"{inner}{n}/*{tables.SUFFIX}")) for n in tables.SCHEMAS}
    there = [name for name, paths in files.items() if paths]
    ended = max(tables.read(folder, "runs")["finished_at"].max() for folder in having)
    about = {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": "collapsebench-rows",
        "description": "Codebook usage, reconstruction and generation of vector quantizers, one "
        "row per metric and seed, with the runs that they come from.",
        "creator": {"@type": "sc:Organization", "name": by},
        "citeAs": f"{by}: rows made with collapsebench {__version__}",
        "version": __version__,
        "datePublished": ended.date().isoformat(),
        "distribution": [_files(name, inner) for name in there],
        "recordSet": [_records(name, files[name]) for name in there],
    }
    return about | ({"license": f"https://spdx.org/licenses/{license_}.html"} if license_ else {})


def _files(table: str, inner: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileSet",
        "@id": f"{table}-files",
        "encodingFormat": "application/x-parquet",
        "includes": f"{inner}{table}/*{tables.SUFFIX}",
    }


def _records(table: str, files: list[Path]) -> dict[str, Any]:
    """The columns that all files have: older ones may lack one."""
    shared = set.intersection(*(set(pq.read_schema(file).names) for file in files))
    fields = [_field(table, column) for column in tables.SCHEMAS[table] if column.name in shared]
    return {"@type": "cr:RecordSet", "@id": table, "name": table, "field": fields}


def _field(table: str, column: pa.Field) -> dict[str, Any]:
    listed = pa.types.is_list(column.type)
    field = {
        "@type": "cr:Field",
        "@id": f"{table}/{column.name}",
        "name": column.name,
        "dataType": _data_type(column.type.value_type if listed else column.type),
        "source": {
            "fileSet": {"@id": f"{table}-files"},
            "extract": {"column": column.name},
        },
    }
    return field | ({"repeated": True} if listed else {})


def _data_type(kind: pa.DataType) -> str:
    if pa.types.is_integer(kind):
        return "sc:Integer"
    if pa.types.is_floating(kind):
        return "sc:Float"
    if pa.types.is_boolean(kind):
        return "sc:Boolean"
    return "sc:DateTime" if pa.types.is_timestamp(kind) else "sc:Text"
