"""Rows of one grid, arranged; what may not share a cell does not."""

import json
import shlex
import shutil
from dataclasses import replace

import pytest

from collapsebench import report
from collapsebench.report.data import ReportData
from collapsebench.report.rows import NOT_RUN
from collapsebench.report.what_ran import what_ran
from collapsebench.results import tables
from collapsebench.settings import UserError
from tests.report import made_up, made_up_grids


def statuses(data, method, dataset):
    return [j.status for j in data.jobs if (j.method, j.dataset) == (method, dataset)]


def test_rows_and_columns_are_ordered_users_first(data):
    assert [v.label for v in data.variants] == [
        "My VQ", "VQ-VAE-EMA", "GS-VQ-VAE", "SQ-VAE", "VQ-STE++", "dVAE", "EdVAE",
    ]  # fmt: skip
    assert [c.label for c in data.comparisons] == ["CIFAR10", "LSUN Church"]


def test_columns_of_one_codebook_are_told_apart_by_what_differs(tmp_path):
    made_up_grids.of_lengths(tmp_path, 600, 16_000, methods=("edvae",), stages=("train",))
    labels = [c.label for c in ReportData("demo", tmp_path).comparisons]
    assert labels == ["digits, 600 steps", "digits, 16\u00a0000 steps"]


def test_in_focus_is_what_most_methods_have_finished(tmp_path):
    made_up_grids.of_lengths(tmp_path, 600, 1200, methods=("edvae", "dvae"), stages=("train",))
    assert ReportData("demo", tmp_path).focus[0].label == "digits, 1200 steps"  # the longer one
    for run in (tmp_path / "runs").glob("*.train.*"):
        if tables.pq.read_table(run).to_pylist()[0]["steps"] == 1200:
            run.unlink()
    assert ReportData("demo", tmp_path).focus[0].label == "digits, 600 steps"


def test_every_end_of_a_job_is_known(data):
    assert statuses(data, "edvae", "cifar10") == ["done"] * 3
    assert statuses(data, "dvae", "lsun_church") == ["diverged"] * 3
    assert statuses(data, "sq_vae", "lsun_church") == ["incompatible"] * 3
    assert statuses(data, "vq_ste_pp", "lsun_church") == ["error", "done", "done"]
    assert statuses(data, "edvae", "lsun_church") == ["done", NOT_RUN, NOT_RUN]


def test_a_job_that_ends_in_scoring_keeps_its_earlier_rows(tmp_path):
    made_up.MadeUp(
        tmp_path,
        methods=("edvae",),
        ends={("edvae", "digits", 1): ("score", "timeout", "too slow")},
    ).write()
    data = ReportData("demo", tmp_path)
    ((_, _, group),) = data.cells()
    assert group.count("timeout") == 1
    assert len(group.values("mse", "test")) == 3
    (protocol,) = data.protocols
    assert len(group.values("gfd", "train", protocol)) == 2


def test_rows_of_another_data_hash_or_precision_get_a_row_of_their_own(tmp_path):
    made_up.MadeUp(tmp_path, methods=("edvae",), stages=("train", "encode")).write()
    path = sorted((tmp_path / "runs").glob("*.train.*"))[0]
    (row,) = tables.pq.read_table(path).to_pylist()
    tables.write(tmp_path, "runs", path.stem, [row | {"precision": "bf16"}])
    data = ReportData("demo", tmp_path)
    assert sorted(len(group.jobs) for *_, group in data.cells()) == [1, 2]
    assert len({v.label for v in data.variants}) == 2


def test_a_rescored_job_shows_its_new_rows_only(tmp_path):
    grid = dict(methods=("edvae",), seeds=(1,), stages=("train", "score"), files=False)
    made_up.MadeUp(tmp_path, **grid, values={("edvae", "digits", "gfd", "train"): (9.0,)}).write()
    made_up.MadeUp(
        tmp_path, **grid, protocol="quick", values={("edvae", "digits", "gfd", "train"): (7.0,)}
    ).write()
    metrics = ReportData("demo", tmp_path).metrics
    assert metrics.loc[metrics["metric"] == "gfd", "value"].tolist() == [7.0]


def test_frozen_rows_stand_beside_a_users_method(tmp_path):
    stages = "train", "encode"
    made_up.MadeUp(tmp_path / "mine", methods=("my_vq",), stages=stages).write()
    made_up.MadeUp(tmp_path / "base/v1", methods=("edvae", "my_vq"), stages=stages).write()
    data = ReportData("demo", tmp_path / "mine", tmp_path / "base")
    assert [(v.label, v.baseline) for v in data.variants] == [("My VQ", ""), ("EdVAE", "v1")]
    assert len(data.groups) == 2
    assert all(len(group.values("mse", "test")) == 3 for *_, group in data.cells())


def test_older_rows_are_shown_only_on_request(tmp_path):
    both = {"my_vq": [{}, {"nu": 0.5}]}
    made_up.MadeUp(tmp_path, methods=("my_vq",), settings=both, stages=("train",)).write()
    path = tmp_path / "grids/demo.json"
    grid = json.loads(path.read_text())
    grid["jobs"] = [job for job in grid["jobs"] if not job["settings_label"]]
    path.write_text(json.dumps(grid))
    assert [v.label for v in ReportData("demo", tmp_path).variants] == ["My VQ"]
    older = ReportData("demo", tmp_path, only_current=False)
    assert [v.label for v in older.variants] == ["My VQ", "My VQ nu=0.5 (older)"]


def test_an_unknown_grid_is_one_clear_line(results):
    with pytest.raises(UserError, match=r"grid 'table' was not run in .*; did you mean 'tables'"):
        ReportData("table", results)


def test_a_damaged_grid_file_is_named(tmp_path):
    (tmp_path / "grids").mkdir()
    (tmp_path / "grids/x.json").write_text("{")
    with pytest.raises(UserError, match=r"x\.json cannot be read"):
        ReportData("x", tmp_path)


def test_published_numbers_are_of_the_papers_network_and_settings(data):
    job = next(j for j in data.jobs if (j.method, j.dataset) == ("edvae", "cifar10"))
    found = data.published(job, "perplexity")
    assert (found.mean, found.sd, found.split) == (420.33, 4.49, "test")
    assert data.published(replace(job, network="vqvae"), "perplexity") is None
    assert data.published(replace(job, settings_label="beta=1"), "perplexity") is None


def test_paper_numbers_come_from_a_given_folder_first(results, tmp_path):
    source = ReportData("tables", results)
    shutil.copy("baselines/paper.csv", tmp_path / "paper.csv")
    text = (tmp_path / "paper.csv").read_text().replace("420.33", "1.25")
    (tmp_path / "paper.csv").write_text(text)
    job = next(j for j in source.jobs if (j.method, j.dataset) == ("edvae", "cifar10"))
    assert ReportData("tables", results, tmp_path).published(job, "perplexity").mean == 1.25


def test_modern_methods_of_older_records_are_modern(tmp_path):
    made_up.MadeUp(tmp_path, methods=("fsq", "edvae"), seeds=(1,), stages=("train",)).write()
    path = tmp_path / "grids/demo.json"
    path.write_text(path.read_text().replace('"modern"', '"extra"'))
    data = ReportData("demo", tmp_path)
    assert [(v.method, v.kind) for v in data.variants] == [("edvae", "paper"), ("fsq", "modern")]


def test_frozen_floors_are_floors(tmp_path):
    floors, stages = ("vq_vae", "random_codes"), ("train", "encode")
    made_up.MadeUp(tmp_path / "mine", methods=("my_vq",), stages=stages).write()
    made_up.MadeUp(tmp_path / "base/v1", methods=floors, stages=stages).write()
    data = ReportData("demo", tmp_path / "mine", tmp_path / "base")
    kinds = {variant.method: variant.kind for variant in data.variants}
    assert kinds == {"my_vq": "user", "vq_vae": "modern", "random_codes": "floor"}


def test_a_tied_method_stands_in_the_column_of_its_size_with_its_own_dimension(zoo):
    columns = {c.codebook_size: c for c in zoo.comparisons}
    assert {size: c.code_dim for size, c in columns.items()} == {64: 16, 256: 16}
    methods = {v.method: v for v in zoo.variants}
    labels = {name: zoo.row_label(v, zoo.comparisons) for name, v in methods.items()}
    assert labels["lfq"] == "LFQ (D = 6, 8)"
    assert labels["fsq"] == "FSQ (D = 4)"  # none of 64 codes
    assert labels["sim_vq"] == "SimVQ"
    assert zoo.row_label(methods["lfq"], [columns[64]]) == "LFQ (D = 6)"


def test_a_column_has_the_dimension_that_the_grid_asked_for(tmp_path):
    tied = dict(stages=("train",), seeds=(1,), networks=("vqvae",))
    two = made_up.MadeUp(
        tmp_path / "two", methods=("lfq", "my_vq"), sizes=((512, 8), (1024, 8)), **tied
    )
    assert [c.code_dim for c in ReportData("demo", two.write()).comparisons] == [8, 8]
    one = made_up.MadeUp(tmp_path / "one", methods=("lfq", "bsq", "vq_vae", "edvae"), **tied)
    assert [c.code_dim for c in ReportData("demo", one.write()).comparisons] == [8]


def test_many_own_dimensions_are_a_range(tmp_path):
    sizes = tuple((2**bits, 16) for bits in (6, 7, 8, 9))
    grid = made_up.MadeUp(tmp_path, methods=("lfq", "edvae"), sizes=sizes, stages=("train",))
    data = ReportData("demo", grid.write())
    (lfq,) = [variant for variant in data.variants if variant.method == "lfq"]
    assert data.row_label(lfq, data.comparisons) == "LFQ (D = 6 … 9)"


def test_focus_is_where_most_methods_are_unless_the_papers_codebook_is_there(tmp_path):
    made_up.MadeUp(
        tmp_path, methods=("rq_vae", "edvae", "vq_vae"), sizes=((8, 16), (4096, 16)),
        stages=("train",),
    ).write()  # fmt: skip
    path = tmp_path / "grids/demo.json"
    grid = json.loads(path.read_text())
    grid["jobs"] = [
        job for job in grid["jobs"] if (job["method"] == "rq_vae") == (job["codebook_size"] == 8)
    ]
    path.write_text(json.dumps(grid))
    assert [c.codebook_size for c in ReportData("demo", tmp_path).focus] == [4096]
    made_up_grids.sweep(tmp_path, datasets=("cifar10",), stages=("train",), seeds=(1,)).write()
    assert [c.codebook_size for c in ReportData("codebook_size", tmp_path).focus] == [512]


def test_what_ran_is_said_in_words(data, zoo, tmp_path):
    assert what_ran(data) == (
        "CIFAR10, LSUN Church · K = 512 · D = 16 · 150\u00a0000 steps · seeds 1, 42, 1773 · "
        "networks dalle, sqvae, vqvae"
    )
    assert what_ran(zoo, zoo.comparisons[:1]) == (
        "CIFAR10 · K = 64 · D = 16 · 20\u00a0000 steps · seeds 1, 2 · network vqvae"
    )
    many = made_up.MadeUp(tmp_path, methods=("edvae",), seeds=tuple(range(6)), stages=("train",))
    assert "· 600 steps · 6 seeds ·" in what_ran(ReportData("demo", many.write()))


def test_what_to_type_names_a_users_file_by_its_path(tmp_path):
    results = made_up.MadeUp(tmp_path / "r", methods=("my_vq", "edvae")).write()
    data = ReportData("demo", results)
    comparison = data.comparisons[0]
    job = next(job for job in data.jobs if job.method == "my_vq")
    copy = results / "jobs" / job.job_id / "my_vq.py"
    copy.touch()
    command = data.command(comparison, ["my_vq", "edvae", "my_vq"])
    assert shlex.split(command)[-6:] == ["-d", "digits", "-m", str(copy), "-m", "edvae"]
    data.grid["command"] = "collapsebench run -g demo --method='my files/my_vq.py'"
    assert data.command(comparison, ["my_vq"]).endswith("-d digits -m 'my files/my_vq.py'")


def test_values_of_any_size_are_no_harm(tmp_path):
    values = {("vq_vae", "digits", "mse", "test"): [1e308, 1e-300, -1e308]}
    made = made_up.MadeUp(tmp_path, methods=("vq_vae", "vq_reset"), values=values)
    made.write()
    page = report.build("demo", tmp_path, tmp_path / "out", to=["html"])
    assert "VQ-VAE" in page.read_text()
