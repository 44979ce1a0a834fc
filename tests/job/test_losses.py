"""What a job has lost since it was done: rows, files of its stages, whole tables."""

import shutil
from dataclasses import asdict

import numpy as np
import pytest
import torch

from collapsebench.check import freeze, select
from collapsebench.job import runner
from collapsebench.job.order import Order
from collapsebench.job.workspace import Workspace
from collapsebench.launch import control, start, tasks
from collapsebench.plan.job import Job
from collapsebench.report.data import ReportData
from collapsebench.report.tables import Table
from collapsebench.report.views import table1
from collapsebench.results import claims, folder, grids, status, tables
from collapsebench.settings import MODEL, PRIOR, SAMPLES, UserError, tokens_file
from tests.conftest import ALL

GRID = {"title": "", "reproduces": [], "scale": "demo", "scale_note": "", "stages": list(ALL),
        "command": "collapsebench run --grid g"}  # fmt: skip
OWN = (folder.LOG, folder.PROGRESS, folder.STATUS, folder.JOB)  # of a time or place


@pytest.fixture
def copy(whole, tmp_path):
    """(results, job): a copy of it, to be harmed."""
    shutil.copytree(whole[0], tmp_path / "results")
    return tmp_path / "results", whole[1]


def run(results, job, data_root):
    place = job.queue(results)
    job = Job.load(place)
    return runner.run(
        Workspace(job, place, results, torch.device("cpu"), 1, Order(data_root=data_root))
    )


def files(results, table="*"):
    """Path under results -> content, of row files."""
    found = results.glob(f"{table}/*.parquet")
    return {path.relative_to(results): path.read_bytes() for path in found}


def kept(results, job):
    """File name -> content, of what a job's stages left."""
    place = folder.job_folder(results, job.job_id)
    found = (p for p in place.iterdir() if p.is_file() and p.name not in OWN)
    return {p.name: p.read_bytes() for p in found if not p.name.startswith("claim-")}


def lose(results, job, stage, *names, copies=True):
    """Removes a stage's files from tables, and from the job's own copy of them."""
    for root in (results, folder.job_folder(results, job.job_id) / folder.ROWS)[: 1 + copies]:
        for table in names:
            for path in (root / table).glob(f"{job.job_id}.{stage}.*"):
                path.unlink()


def assert_equal(results, reference, *, runs=True):
    for table in tables.SCHEMAS if runs else set(tables.SCHEMAS) - {"runs"}:
        assert files(results, table) == files(reference, table), table


@pytest.mark.parametrize("table", tables.SCHEMAS)
def test_the_next_run_writes_lost_rows_again_and_says_so(copy, whole, capsys, table):
    results, job = copy
    count = len(files(results, table))
    shutil.rmtree(results / table)
    assert job.pending(results) != ()
    tasks.recover([job], results)
    assert f"written again: {count} in {table}\n" in capsys.readouterr().out
    assert job.pending(results) == ()
    assert_equal(results, whole[0])


def test_a_jobs_own_process_writes_them_too(copy, whole, data_root, capsys):
    results, job = copy
    for path in files(results):
        (results / path).write_bytes((results / path).read_bytes()[:-50])
    assert run(results, job, data_root) == "done"
    said = capsys.readouterr().out.splitlines()
    assert len(said) == len(files(results)) == 13
    assert all(line.startswith("rows written again from the job's folder: ") for line in said)
    assert_equal(results, whole[0])


@pytest.mark.parametrize(
    ("stage", "lost"), [("encode", "metrics"), ("encode", "codes"), ("score", "protocols")]
)
def test_rows_that_are_lost_in_the_folder_too_are_measured_again(
    copy, whole, data_root, capsys, stage, lost
):
    results, job = copy
    lose(results, job, stage, lost)
    before = files(results, "runs"), kept(results, job)
    assert job.pending(results) == (stage,)
    tasks.recover([job], results)
    assert capsys.readouterr().out == (
        f"rows that are missing or damaged, to be measured again: 1 in {lost}\n"
    )
    assert run(results, job, data_root) == "done"
    assert "train begins" not in capsys.readouterr().out
    assert_equal(results, whole[0])  # the row of runs is the one of then
    assert (files(results, "runs"), kept(results, job)) == before
    assert job.pending(results) == ()


def test_a_row_of_runs_that_is_lost_for_good_is_that_of_a_new_attempt(copy, whole, data_root):
    results, job = copy
    lose(results, job, "encode", "runs")
    assert job.pending(results) == ("encode",)
    assert run(results, job, data_root) == "done"
    assert_equal(results, whole[0], runs=False)
    stages = tables.read(results, "runs")["stage"]
    assert sorted(stages) == sorted(ALL)


def test_where_the_inputs_are_gone_their_stages_come_first(copy, whole, data_root, capsys):
    results, job = copy
    shutil.rmtree(folder.job_folder(results, job.job_id))
    lose(results, job, "encode", "metrics", copies=False)
    before = files(results, "runs")
    assert run(results, job, data_root) == "done"
    said = capsys.readouterr().out
    assert "encode: train.json is missing, damaged or of other settings; train is made anew" in said
    assert "prior begins" not in said
    assert_equal(results, whole[0])
    assert files(results, "runs") == before


@pytest.fixture
def harmed(copy):
    """(results, job) of a grid ``g`` whose rows of encode are not in metrics any more."""
    results, job = copy
    grids.write(results, GRID | {"name": "g", "jobs": [asdict(job)]})
    lose(results, job, "encode", "metrics", copies=False)
    return results, job


def test_status_and_report_say_that_rows_are_lost(harmed):
    results, _ = harmed
    (row,) = status.status(results, "g")
    assert (row["status"], row["stages_done"]) == ("interrupted", 4)
    assert row["message"] == "rows missing in metrics"
    data = ReportData("g", results)
    assert [(j.status, j.stage, j.message) for j in data.jobs] == [
        ("rows lost", "encode", "rows missing in metrics")
    ]
    (table,) = (table for table in table1.build(data) if isinstance(table, Table))
    assert table.todo == [
        "Not complete: few_digits. Run: collapsebench run --grid g -d few_digits -m gs_vq_vae"
    ]
    assert "rows lost in 1/1" in str(table.rows[0].cells[0].parts["note"])


def test_nothing_is_frozen_or_checked_without_lost_rows(harmed, tmp_path):
    results, _ = harmed
    with pytest.raises(UserError, match=r"1 of 1 jobs .* no final result or not all rows"):
        freeze.freeze("tag", "g", results, tmp_path / "baselines")
    with pytest.warns(UserWarning, match="tables lack the rows of 1 stages"):
        select.of_grid(results, "g")


def test_retry_writes_lost_rows_again(harmed, whole, capsys):
    results, job = harmed
    words = [job.job_id[:8]]
    assert control.retry(words, False, None, results, start.Options()) == 0
    assert capsys.readouterr().out == (
        "rows that were missing or damaged, written again: 1 in metrics\n"
        "retry: 1 of 1 jobs complete; nothing to run\n"
    )
    assert_equal(results, whole[0])
    with pytest.raises(UserError, match="did not fail: it is done"):
        control.retry(words, False, None, results, start.Options())
    with pytest.raises(UserError, match="nothing failed"):
        control.retry([], True, None, results, start.Options())
    (results / "grids" / "g.json").unlink()
    grids.write(results, GRID | {"name": "h", "jobs": [asdict(job) | {"job_id": "0" * 16}]})
    with pytest.raises(UserError, match="did not fail: it is of no grid here"):
        control.retry(words, False, None, results, start.Options())


def flipped(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def truncated(path):
    path.write_bytes(path.read_bytes()[:-40])


HARM = {
    MODEL: [flipped, truncated],
    "train.json": [lambda path: path.write_text("{")],
}


@pytest.mark.parametrize(
    ("name", "harm"), [(name, harm) for name, kinds in HARM.items() for harm in kinds]
)
def test_a_damaged_file_is_named_and_its_stage_made_anew(
    copy, whole, data_root, capsys, name, harm
):
    results, job = copy
    harm(folder.job_folder(results, job.job_id) / name)
    lose(results, job, "encode", "runs")
    assert run(results, job, data_root) == "done"
    said = capsys.readouterr().out
    assert f"{name} is " in said
    assert "; train is made anew" in said
    assert kept(results, job) == kept(*whole)
    assert_equal(results, whole[0], runs=False)


def test_damage_in_every_stage_is_mended_from_its_beginning(copy, whole, data_root, capsys):
    results, job = copy
    place = folder.job_folder(results, job.job_id)
    (place / SAMPLES).write_bytes(b"")
    truncated(place / PRIOR)
    np.save(place / tokens_file("train"), np.zeros((3, 2), np.uint8))
    flipped(place / MODEL)
    (place / "encode.json").write_text("[]")
    lose(results, job, "score", "runs", "metrics", "protocols")
    assert run(results, job, data_root) == "done"
    said = [line for line in capsys.readouterr().out.splitlines() if "made anew" in line]
    assert sorted(line.rpartition(": ")[2] for line in said) == [
        "encode.json is damaged; encode is made anew",
        "model.safetensors is damaged; train is made anew",
        "prior.safetensors is damaged; prior is made anew",
        "samples.npy is damaged; sample is made anew",
    ]
    assert kept(results, job) == kept(*whole)
    assert_equal(results, whole[0], runs=False)


def test_what_killed_writers_left_goes_at_the_next_start(copy, data_root):
    results, job = copy
    place = folder.job_folder(results, job.job_id)
    leftovers = [
        place / ".model.safetensors.01234567.tmp",
        place / ".progress.json.77.tmp",
        place / folder.ROWS / "metrics" / f".{job.job_id}.encode.x.parquet.01234567.tmp",
        results / "metrics" / f".{job.job_id}.encode.x.parquet.01234567.tmp",
        place / "train.ckpt",
    ]
    others = results / "metrics" / f".{'0' * 16}.encode.x.parquet.01234567.tmp"
    for path in (*leftovers, others):
        path.write_bytes(b"torn")
    assert run(results, job, data_root) == "done"
    assert not any(path.exists() for path in leftovers)
    assert others.exists()  # its own job may be at work
    assert not claims.held(place)


def test_a_damaged_model_is_not_loaded(copy):
    import collapsebench

    results, job = copy
    flipped(folder.job_folder(results, job.job_id) / MODEL)
    with pytest.raises(UserError, match=r"model\.safetensors is damaged"):
        collapsebench.load(job.job_id, results)


def test_each_split_has_the_likelihood_of_its_own_tokens(whole):
    from safetensors.torch import load_file

    from collapsebench import metrics, prior

    results, job = whole
    place = folder.job_folder(results, job.job_id)
    frame = tables.read(results, "metrics")
    rows = frame[frame["stage"] == "prior"].set_index(["split", "metric"])
    settings = job.group("prior")
    network = prior.PixelSNAIL(16, 4, 4, settings)
    network.load_state_dict(load_file(place / PRIOR))
    for split, count in (("train", 200), ("val", 40), ("test", 130)):
        tokens = np.load(place / tokens_file(split))
        nll = prior.nll(network, tokens, batch_size=50, device=torch.device("cpu"))
        entropy = metrics.entropy(np.bincount(tokens.ravel(), minlength=16))
        assert rows.loc[(split, "nll"), "value"] == pytest.approx(nll, rel=1e-6)
        assert rows.loc[(split, "unigram_entropy"), "value"] == pytest.approx(entropy)
        assert rows.loc[(split, "prior_gain"), "value"] == pytest.approx(entropy - nll, abs=1e-6)
        assert rows.loc[(split, "nll"), "n_items"] == len(tokens) == count
    curve = tables.read(results, "curves")
    held_out = curve[curve["metric"] == "prior_held_out"]["value"].iloc[-1]
    assert held_out != rows.loc[("val", "nll"), "value"]  # of training tokens
