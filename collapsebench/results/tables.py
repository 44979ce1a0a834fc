"""What is kept of a run: Arrow schemas, one writer, one reader.

One folder per table under ``results/``, one small parquet file per job and stage in it, so that
``pd.read_parquet("results/metrics")``, a DuckDB glob and polars read it with no help from us, and
merging two machines is copying folders.
"""

from __future__ import annotations

import json
import os
import re
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from collapsebench.results import rowfiles
from collapsebench.results.disk import replace_atomically

if TYPE_CHECKING:
    import pandas as pd

SCHEMA_VERSION = 1  # not raised by a column without which rows still say what they said
SUFFIX = ".parquet"
COMPACTED = "compacted-"  # begins the name of a file that holds the rows of many

FINAL = ("done", "diverged", "incompatible")  # results; every other status runs again
FAILED = ("error", "timeout", "out_of_memory", "cancelled")

_S, _I, _F, _B = pa.string(), pa.int64(), pa.float64(), pa.bool_()
_TIME = pa.timestamp("us", tz="UTC")

# What names a row: repeated in every table, so that no join comes before a plot.
KEY: list[tuple[str, pa.DataType]] = [
    ("schema_version", pa.int16()),
    ("job_id", _S),  # everything that decides the trained model
    ("config_id", _S),  # the same without the seed: one table cell
    ("comparison_id", _S),  # without method, its settings and seed: who may share a table
    ("stage", _S),  # train, encode, prior, sample, score
    ("stage_id", _S),  # this stage's own settings and those of the stages before it
    ("method", _S),
    ("label", _S),  # printed name; settings that differ from the default are in it
    ("network", _S),
    ("dataset", _S),
    ("codebook_size", _I),
    ("code_dim", _I),
    ("seed", _I),
    ("scale", _S),
]

SCHEMAS: dict[str, pa.Schema] = {
    name: pa.schema(fields)
    for name, fields in {
        "runs": [  # one row per attempt and stage
            *KEY,
            ("run_id", _S),
            ("attempt", _I),
            ("status", _S),
            ("message", _S),  # reason of any status but done, one line
            ("started_at", _TIME),
            ("finished_at", _TIME),
            ("wall_s", _F),
            ("steps", _I),  # optimizer steps done in this stage
            ("items_per_s", _F),  # images (train, encode, score) or token grids (prior, sample)
            ("peak_memory_bytes", _I),  # resident set of the process
            ("peak_gpu_memory_bytes", _I),  # torch's max_memory_allocated; null on a CPU
            ("parameters_encoder", _I),
            ("parameters_decoder", _I),
            ("parameters_quantizer", _I),
            ("parameters_prior", _I),
            ("implementation", _S),  # version or source hash of method and network
            ("precision", _S),
            ("variant", _S),  # plain, or bf16 for networks in bfloat16
            ("device", _S),
            ("device_name", _S),
            ("threads", _I),
            ("deterministic", _B),
            ("tf32", _B),
            ("host_hash", _S),  # the machine, not its name
            ("launcher", _S),
            ("launcher_job", _S),
            ("package_version", _S),
            ("versions", _S),  # JSON: python, torch, torchvision, torch-fidelity, prdc, numpy, ...
            ("git_sha", _S),
            ("git_dirty", _B),
            ("data_hash", _S),  # content of all images
            ("split_hash", _S),  # which image is in which split
            ("settings", _S),  # JSON, all resolved; expanded by `read(..., settings=True)`
        ],
        "metrics": [  # long: one row per metric; each of several codebooks has names of its own
            *KEY,
            ("metric", _S),
            ("value", _F),
            ("split", _S),
            ("codebook", _I),  # index of the one that the value is of; 0 where there is one or none
            ("protocol", _S),  # id in the table `protocols`; "" where none applies
            ("n_items", _I),  # images, or tokens for codebook metrics
            ("ceiling", _F),  # what uniform usage would give at that number of tokens
        ],
        "protocols": [  # how a distance was measured
            *KEY,
            ("protocol", _S),
            ("name", _S),  # full, quick, ci, tiny
            ("rankable", _B),
            ("extractor", _S),
            ("extractor_sha256", _S),
            ("verified", _B),  # Inception weights whose hash was checked
            ("details", _S),  # JSON: layer, counts, k, resize, reference split and hash, versions
        ],
        "curves": [  # one row per logged step and quantity, at most 500 points each
            *KEY,
            ("step", _I),
            ("metric", _S),
            ("value", _F),
        ],
        "codes": [  # how often each code was chosen
            *KEY,
            ("split", _S),
            ("codebook", _I),  # 0, or the index among Q codebooks
            ("counts", pa.list_(_I)),
        ],
    }.items()
}

# What names a row: no two rows of a table say different things under one key.
ROW_KEYS = {
    "runs": ("job_id", "stage_id", "run_id"),
    "metrics": ("job_id", "stage_id", "metric", "split", "codebook", "protocol"),
    "protocols": ("job_id", "stage_id", "protocol"),
    "curves": ("job_id", "stage_id", "metric", "step"),
    "codes": ("job_id", "stage_id", "split", "codebook"),
}

Row = Mapping[str, Any]

# Of a column that a row leaves out, or that an older file has not; any other is null there.
DEFAULTS: Row = {"schema_version": SCHEMA_VERSION, "codebook": 0}


def write(results: Path, table: str, name: str, rows: Sequence[Row]) -> Path:
    """One parquet file of ``rows`` in ``results/<table>/<name>.parquet``, atomically.

    A row may leave a column out (``DEFAULTS``, else null); an unknown column or a wrong type is
    refused.

    Raises:
        KeyError: a column that the table's schema does not have.
        pyarrow.ArrowException: a value that its column's type refuses.
    """
    schema = SCHEMAS[table]
    for row in rows:
        if unknown := set(row) - set(schema.names):
            raise KeyError(f"no column {sorted(unknown)} in table {table!r}")
    default = {name: value for name, value in DEFAULTS.items() if name in schema.names}
    full = [{**default, **row} for row in rows]
    arrow = pa.Table.from_pylist(full, schema=schema)
    path = results / table / f"{name}{SUFFIX}"
    replace_atomically(
        path, lambda p: pq.write_table(arrow, p, write_page_checksum=True), pq.read_table
    )
    return path


def read(
    results: Path | str | Iterable[Path | str],
    table: str,
    *,
    jobs: Collection[str] | None = None,
    columns: Sequence[str] | None = None,
    settings: bool = False,
) -> pd.DataFrame:
    """Every row of a table from one results folder or several; the one reader of row files.

    Files that are torn, foreign or of another schema are skipped. Equal rows, of copies of one
    file, count once; rows that say different things under one key are left out.

    Args:
        results: a folder that holds the table's folder, or several such folders.
        table: a key of ``SCHEMAS``.
        jobs: only these job ids; the others' files are not opened.
        columns: only these and ``schema_version``, in the schema's order; None is all. Reading
            takes its time by file and column.
        settings: expand the JSON column ``settings`` of ``runs`` into columns like
            ``train.steps``.

    Returns:
        A frame with exactly the schema's columns, or those asked for (and the expanded ones),
        whatever was found.

    Raises:
        KeyError: a table or a column that is not in ``SCHEMAS``.

    Warns:
        UserWarning: for each file that is skipped, with its name and the reason; and for rows
            that are left out.
    """
    import pandas as pd

    found = _read(results, table, columns, jobs)
    if jobs is not None:
        found = found.filter(pc.is_in(found["job_id"], pa.array(jobs, pa.string())))
    wanted = SCHEMAS[table].names if columns is None else {"schema_version", *columns}
    frame = found.select([n for n in found.column_names if n in wanted]).to_pandas()
    if settings and table == "runs" and len(frame):
        nested = pd.json_normalize([json.loads(s or "{}") for s in frame["settings"]])
        frame = frame.drop(columns="settings").join(nested)
    return frame


def tuples(results: Path, table: str, columns: Sequence[str]) -> Iterator[tuple[Any, ...]]:
    """Every row of a table as the values of these columns; see ``read``, which loads pandas."""
    found = _read(results, table, columns)
    return zip(*(found[name].to_pylist() for name in columns), strict=True)


def _read(
    results: Path | str | Iterable[Path | str],
    table: str,
    columns: Sequence[str] | None,
    jobs: Collection[str] | None = None,
) -> pa.Table:
    """Rows of files that may hold those of the jobs, the columns of the table's key among them."""
    schema = SCHEMAS[table]
    wanted = schema.names if columns is None else ["schema_version", *columns]
    if unknown := set(wanted) - set(schema.names):
        raise KeyError(f"no column {sorted(unknown)} in table {table!r}")
    key = [name for name in ROW_KEYS[table] if name in schema.names]
    schema = pa.schema([f for f in schema if f.name in {*wanted, *key}])
    roots = [results] if isinstance(results, str | Path) else list(results)
    found = _loaded([Path(root) / table for root in roots], schema, jobs)
    together = _together(found, schema)
    if rowfiles.flaw(together):  # of one file or other: to ask each takes longer
        found = [(path, _sound(part)) for path, part in found]
        together = _together(found, schema)
    for path, part in found:
        if isinstance(part, str):
            warnings.warn(f"skipped {path}: {part}", stacklevel=3)
    whole, clashes = rowfiles.distinct(together, key)
    if clashes:
        first = ", ".join(f"{name} {value}" for name, value in clashes[0].items())
        text = f"{table}: left out {len(clashes)} rows that are there twice and differ: {first}"
        warnings.warn(text, stacklevel=3)
    return whole.combine_chunks()


def _together(found: Iterable[tuple[Path, pa.Table | str]], schema: pa.Schema) -> pa.Table:
    empty = pa.Table.from_batches([], schema)  # ``empty_table`` would load pandas
    return pa.concat_tables([empty, *(part for _, part in found if not isinstance(part, str))])


def _sound(part: pa.Table | str) -> pa.Table | str:
    return part if isinstance(part, str) else rowfiles.flaw(part) or part


def _loaded(
    folders: Iterable[Path], schema: pa.Schema, jobs: Collection[str] | None
) -> list[tuple[Path, pa.Table | str]]:
    """The files of a table with what they hold; listed again while any is merged into another."""

    def load(path: Path) -> pa.Table | str:
        return rowfiles.read(path, schema, SCHEMA_VERSION, DEFAULTS)

    while True:
        paths = [path for folder in folders for path in sorted(folder.glob(f"*{SUFFIX}"))]
        if jobs is not None:
            paths = [path for path in paths if _may_hold(path, jobs)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            found = list(zip(paths, pool.map(load, paths), strict=True))
        if all(os.path.lexists(path) for path, part in found if isinstance(part, str)):
            return found


def compacted(folder: Path) -> list[Path]:
    """The files of a table's folder that hold the rows of many."""
    return sorted(folder.glob(f"{COMPACTED}*{SUFFIX}"))


class Compacted(dict[str, set[tuple[str, str]]]):
    """Table -> (job_id, stage_id) of the rows in its compacted files, read when first asked for."""

    def __init__(self, results: Path):
        super().__init__()
        self.results = results

    def __missing__(self, table: str) -> set[tuple[str, str]]:
        found = [stages(path) or set() for path in compacted(self.results / table)]
        self[table] = set().union(*found)
        return self[table]


def stages(path: Path) -> set[tuple[str, str]] | None:
    """(job_id, stage_id) of the rows in a file of a table; None if it cannot be read."""
    found = columns(path, ["job_id", "stage_id"])
    return None if found is None else set(zip(*found, strict=True))


def columns(path: Path, names: Sequence[str]) -> list[list[str]] | None:
    """Columns of a file of a table; None if it cannot be read."""
    schema = SCHEMAS[path.parent.name]
    part = rowfiles.load(path, schema, SCHEMA_VERSION, DEFAULTS)
    return None if isinstance(part, str) else [part[name].to_pylist() for name in names]


def whole(path: Path) -> bool:
    """Whether a file ends as parquet files do: a torn one does not. Quicker than reading it."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            file.seek(-4, os.SEEK_END)
            return file.read() == b"PAR1"
    except OSError:
        return False


def _may_hold(path: Path, jobs: Collection[str]) -> bool:
    return path.name.partition(".")[0] in jobs or not of_one_job(path)


def of_one_job(path: Path) -> bool:
    """Whether a row file names its job; a baseline's holds many and names none."""
    return re.fullmatch(r"[0-9a-f]{16}", path.name.partition(".")[0]) is not None
