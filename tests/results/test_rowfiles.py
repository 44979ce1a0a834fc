"""Row files that are not what they should be, and rows that say two things at once."""

import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from collapsebench.results import tables

JOB, STAGE = "a" * 16, "b" * 16
KEY = {"job_id": JOB, "stage_id": STAGE, "stage": "encode", "method": "dvae", "codebook_size": 8}
METRIC = KEY | {"metric": "mse", "value": 0.5, "split": "test", "protocol": ""}
RUN = KEY | {"run_id": "0f", "status": "done", "settings": '{"train": {"steps": 5}}'}


def changed(path, column, values):
    """Writes the file anew with another column of that name, or without it."""
    table = pq.ParquetFile(path).read()
    place = table.column_names.index(column)
    table = table.remove_column(place)
    pq.write_table(table if values is None else table.add_column(place, column, values), path)


@pytest.mark.parametrize(
    ("column", "values", "reason"),
    [
        ("schema_version", pa.array([None], pa.int16()), "schema version None"),
        ("schema_version", pa.array([0]), "schema version 0"),
        ("schema_version", pa.array([99]), "schema version 99"),
        ("schema_version", pa.array(["one"]), "one"),
        ("schema_version", None, "schema_version"),
        ("job_id", None, "no column 'job_id'"),
        ("job_id", pa.array([7]), "column 'job_id' must be string, not int64"),
        ("value", pa.array(["0.5"]), "column 'value' must be double, not string"),
        ("value", pa.array([[0.5]]), "list"),
        ("codebook_size", pa.array([8.5]), "8.5"),
        ("codebook_size", pa.array([float("nan")]), "nan"),
    ],
)
def test_a_file_of_other_types_or_another_schema_is_named_and_skipped(
    tmp_path, column, values, reason
):
    tables.write(tmp_path, "metrics", "good", [METRIC | {"split": "val"}])
    changed(tables.write(tmp_path, "metrics", "foreign", [METRIC]), column, values)
    with pytest.warns(UserWarning, match=r"skipped .*foreign\.parquet: ") as caught:
        assert tables.read(tmp_path, "metrics")["split"].tolist() == ["val"]
    assert reason in str(caught[0].message)
    assert "\n" not in str(caught[0].message)


@pytest.mark.parametrize(
    "text", ["{", "[]", "5", '{"train": 5}', '{"status": "x"}', "\0"], ids=ascii
)
@pytest.mark.parametrize("expanded", [True, False])
def test_settings_that_are_none_are_named_and_skipped(tmp_path, text, expanded):
    tables.write(tmp_path, "runs", "good", [RUN])
    tables.write(tmp_path, "runs", "bad", [RUN | {"run_id": "1f", "settings": text}])
    with pytest.warns(UserWarning, match=r"skipped .*bad\.parquet"):
        frame = tables.read(tmp_path, "runs", settings=expanded)
    assert frame["run_id"].tolist() == ["0f"]
    assert not expanded or frame["train.steps"].tolist() == [5]


def test_wider_types_of_other_programs_are_read(tmp_path):
    path = tables.write(tmp_path, "metrics", "one", [METRIC])
    changed(path, "codebook_size", pa.array([8], pa.int32()))
    changed(path, "schema_version", pa.array([1], pa.int64()))
    changed(path, "method", pa.array(["dvae"]).dictionary_encode())
    changed(path, "split", pa.array(["test"], pa.large_string()))
    changed(path, "ceiling", pa.nulls(1))
    (row,) = tables.read(tmp_path, "metrics").to_dict("records")
    assert (row["codebook_size"], row["method"], row["split"]) == (8, "dvae", "test")


def test_a_flipped_bit_among_the_values_is_noticed(tmp_path):
    rows = [METRIC | {"metric": f"m{i}", "value": i / 7} for i in range(50)]
    path = tables.write(tmp_path, "metrics", "flipped", rows)
    page = pq.ParquetFile(path).metadata.row_group(0).column(15)
    assert page.path_in_schema == "value"
    content = bytearray(path.read_bytes())
    content[page.data_page_offset + page.total_compressed_size // 2] ^= 1
    path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"skipped .*flipped\.parquet"):
        assert tables.read(tmp_path, "metrics").empty


@pytest.mark.parametrize("content", [None, b"", b"PAR1", b"\0" * 4000])
def test_a_folder_or_garbage_in_a_files_place_is_named(tmp_path, content):
    path = tmp_path / "metrics" / "x.parquet"
    path.parent.mkdir()
    path.mkdir() if content is None else path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"skipped .*x\.parquet"):
        assert tables.read(tmp_path, "metrics").empty


TWICE = {
    "metrics": (METRIC, {"value": 0.25}),
    "codes": (KEY | {"split": "test", "codebook": 0, "counts": [1, 2]}, {"counts": [2, 1]}),
    "curves": (KEY | {"step": 5, "metric": "mse", "value": 0.5}, {"value": 0.25}),
    "protocols": (KEY | {"protocol": "p", "name": "tiny"}, {"name": "full"}),
    "runs": (RUN, {"status": "diverged"}),
}


@pytest.mark.parametrize("table", TWICE)
def test_rows_that_differ_under_one_key_are_named_and_left_out(tmp_path, table):
    row, other = TWICE[table]
    apart = row | {"stage_id": "c" * 16}
    tables.write(tmp_path, table, "one", [row, apart])
    tables.write(tmp_path, table, "two", [row | other])
    with pytest.warns(
        UserWarning, match=f"{table}: left out 1 rows that are there twice"
    ) as caught:
        frame = tables.read(tmp_path, table)
    assert frame["stage_id"].tolist() == ["c" * 16]
    assert f"job_id {JOB}, stage_id {STAGE}" in str(caught[0].message)


def test_columns_that_are_not_asked_for_tell_rows_apart_all_the_same(tmp_path):
    tables.write(tmp_path, "metrics", "one", [METRIC, METRIC | {"split": "val", "value": 0.25}])
    frame = tables.read(tmp_path, "metrics", columns=["value"], jobs={JOB})
    assert list(frame.columns) == ["schema_version", "value"]
    assert frame["value"].tolist() == [0.5, 0.25]
    tables.write(tmp_path, "metrics", "two", [METRIC | {"value": 0.75}])
    with pytest.warns(UserWarning, match="metric mse, split test"):
        frame = tables.read(tmp_path, "metrics", columns=["value"])
    assert frame["value"].tolist() == [0.25]


@pytest.mark.parametrize("table", TWICE)
def test_copies_of_a_file_count_once(tmp_path, table):
    row, _ = TWICE[table]
    path = tables.write(tmp_path / "here", table, "one", [row, row])
    shutil.copy(path, path.with_name("one (copy).parquet"))
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    assert len(tables.read([tmp_path / "here", tmp_path / "there"], table)) == 1


def test_rows_without_an_id_name_nothing_and_all_stay(tmp_path):
    rows = [METRIC | {"stage_id": None}, METRIC | {"stage_id": None, "value": 0.25}]
    tables.write(tmp_path, "metrics", "made by hand", rows)
    assert tables.read(tmp_path, "metrics")["value"].tolist() == [0.5, 0.25]
