import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collapsebench.results import tables

ROW = {
    "job_id": "a" * 16,
    "stage": "encode",
    "method": "dvae",
    "codebook_size": 8,
    "metric": "mse",
    "value": 0.5,
    "split": "test",
}


def test_rows_come_back_with_every_column_of_the_schema(tmp_path):
    tables.write(tmp_path, "metrics", "one", [ROW, ROW | {"value": 0.25}])
    frame = tables.read(tmp_path, "metrics")
    assert list(frame.columns) == tables.SCHEMAS["metrics"].names
    assert frame["value"].tolist() == [0.5, 0.25]
    assert frame["schema_version"].tolist() == [tables.SCHEMA_VERSION] * 2
    assert frame["ceiling"].isna().all()


def test_pandas_duckdb_and_polars_read_a_table_without_our_help(tmp_path):
    for i in range(3):
        tables.write(tmp_path, "metrics", f"f{i}", [ROW | {"value": float(i)}])
    folder, names = tmp_path / "metrics", tables.SCHEMAS["metrics"].names
    by_pandas = pd.read_parquet(folder)
    by_duckdb = duckdb.sql(f"select * from '{folder}/*.parquet'").fetchall()
    by_polars = pl.read_parquet(f"{folder}/*.parquet")
    assert list(by_pandas.columns) == names == by_polars.columns
    assert sorted(by_pandas["value"]) == sorted(by_polars["value"]) == [0.0, 1.0, 2.0]
    assert len(by_duckdb) == 3
    assert len(by_duckdb[0]) == len(names)


def test_torn_and_foreign_files_are_named_and_skipped(tmp_path):
    good = tables.write(tmp_path, "metrics", "good", [ROW])
    (tmp_path / "metrics" / "torn.parquet").write_bytes(good.read_bytes()[:200])
    pq.write_table(pa.table({"x": [1]}), tmp_path / "metrics" / "foreign.parquet")
    with pytest.warns(UserWarning, match="skipped") as caught:
        frame = tables.read(tmp_path, "metrics")
    assert len(frame) == 1
    assert sorted(str(w.message).split(": ")[0].rsplit("/", 1)[1] for w in caught) == [
        "foreign.parquet",
        "torn.parquet",
    ]


def test_an_older_file_without_a_column_is_read_with_nulls(tmp_path):
    tables.write(tmp_path, "metrics", "new", [ROW])
    path = tmp_path / "metrics" / "new.parquet"
    pq.write_table(pq.ParquetFile(path).read().drop_columns(["ceiling"]), path)
    assert tables.read(tmp_path, "metrics")["ceiling"].isna().tolist() == [True]


def test_a_row_or_an_older_file_that_names_no_codebook_is_of_codebook_0(tmp_path):
    tables.write(tmp_path, "metrics", "new", [ROW, ROW | {"codebook": 3}])
    older = tmp_path / "metrics" / "older.parquet"
    new = pq.ParquetFile(tmp_path / "metrics" / "new.parquet").read()
    pq.write_table(new.drop_columns(["codebook"]), older)
    found = tables.read(tmp_path, "metrics")["codebook"]
    assert found.dtype == "int64"
    assert found.tolist() == [0, 3, 0, 0]


def test_a_file_of_a_later_version_is_skipped(tmp_path):
    later = ROW | {"schema_version": tables.SCHEMA_VERSION + 1}
    tables.write(tmp_path, "metrics", "later", [later])
    path = tmp_path / "metrics" / "later.parquet"
    pq.write_table(pq.ParquetFile(path).read().append_column("x", pa.array([1])), path)
    with pytest.warns(UserWarning, match="schema version 2, this program knows 1"):
        assert tables.read(tmp_path, "metrics").empty


def test_only_the_asked_jobs_files_are_opened(tmp_path):
    tables.write(tmp_path, "metrics", f"{'a' * 16}.encode.x", [ROW])
    (tmp_path / "metrics" / f"{'b' * 16}.encode.x.parquet").write_bytes(b"torn")
    assert len(tables.read(tmp_path, "metrics", jobs={"a" * 16})) == 1


def test_only_the_asked_columns_are_read_and_older_or_later_files_treated_alike(tmp_path):
    path = tables.write(tmp_path, "metrics", "new", [ROW])
    old = pq.ParquetFile(path).read().drop_columns(["ceiling"])
    pq.write_table(old, tmp_path / "metrics" / "old.parquet")
    tables.write(
        tmp_path, "metrics", "later", [ROW | {"schema_version": tables.SCHEMA_VERSION + 1}]
    )
    with pytest.warns(UserWarning, match="later.parquet: schema version 2"):
        frame = tables.read(tmp_path, "metrics", columns=["value", "ceiling", "job_id"])
    assert list(frame.columns) == ["schema_version", "job_id", "value", "ceiling"]
    assert frame["value"].tolist() == [0.5, 0.5]
    assert frame["ceiling"].isna().all()
    assert tables.read(tmp_path, "codes", columns=["counts"]).empty
    with pytest.raises(KeyError, match="'valu'"):
        tables.read(tmp_path, "metrics", columns=["valu"])


def test_unknown_columns_and_wrong_types_are_refused(tmp_path):
    with pytest.raises(KeyError, match="valu"):
        tables.write(tmp_path, "metrics", "x", [{"valu": 1.0}])
    with pytest.raises(pa.ArrowException):
        tables.write(tmp_path, "metrics", "x", [ROW | {"codebook_size": "many"}])
    assert not list((tmp_path / "metrics").glob("*"))


def test_settings_are_expanded_on_demand(tmp_path):
    row = {"job_id": "a" * 16, "settings": '{"train": {"steps": 5}}', "status": "done"}
    tables.write(tmp_path, "runs", "x", [row])
    assert tables.read(tmp_path, "runs", settings=True)["train.steps"].tolist() == [5]


def test_a_file_of_many_jobs_gives_the_asked_ones(tmp_path):
    other = ROW | {"job_id": "b" * 16, "value": 0.1}
    tables.write(tmp_path, "metrics", "demo", [ROW, other])
    assert tables.read(tmp_path, "metrics", jobs={"b" * 16})["value"].tolist() == [0.1]
