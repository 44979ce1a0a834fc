"""Two codebooks, one dead and one used evenly, in either order: every reader gives one answer."""

import ast
import json
import math
from dataclasses import asdict, dataclass
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import torch
from typer.testing import CliRunner

from collapsebench import inspect, metrics, quantities, report
from collapsebench.check import compare, freeze, frozen
from collapsebench.cli import app
from collapsebench.cli import status as said
from collapsebench.job import encode, runner, stages
from collapsebench.plan import registry, resolve
from collapsebench.plan.grid import Point
from collapsebench.report.data import ReportData
from collapsebench.report.views import codebook_table, each_codebook, rank_frequency, table1
from collapsebench.results import disk, provenance, status, tables
from tests.conftest import FEW, TINY, tiny_grid
from tests.report.made_up import MadeUp

SIZE = 8
METHOD = """
import torch
from torch import nn

from collapsebench.quantizer import Quantized, Quantizer


class Books(Quantizer):
    label = "{name}"
    codebooks = 2

    def __init__(self, codebook_size, code_dim, settings):
        super().__init__(codebook_size, code_dim, settings)
        self.codebook = nn.Parameter(torch.randn(2, codebook_size, code_dim))

    def forward(self, z_e):
        b, _, h, w = z_e.shape
        even = (torch.arange(h * w) % self.codebook_size).view(1, h, w).expand(b, h, w)
        pair = [torch.zeros_like(even), even]
        tokens = torch.stack([pair[q] for q in {order}], -1)
        z_q = self.embed(tokens)
        loss = (z_q - z_e.detach()).square().mean()
        return Quantized(z_e + (z_q - z_e).detach(), tokens, loss)

    def embed(self, tokens):
        first, second = (self.codebook[q][tokens[..., q]] for q in (0, 1))
        return (first + second).permute(0, 3, 1, 2)
"""


def command(*words):
    found = CliRunner().invoke(app, [str(word) for word in words])
    assert found.exit_code == 0, found.output
    return found.output


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_root):
    """A folder with results of both orders, two seeds each."""
    folder = tmp_path_factory.mktemp("books")
    for name, order in (("dead_first", (0, 1)), ("dead_last", (1, 0))):
        (folder / f"{name}.py").write_text(METHOD.format(name=name, order=order))
    (folder / "tiny.toml").write_text(tiny_grid("dvae", steps=2))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(provenance, "cores", lambda: 1)  # the others are at other tests
        command(
            "run", "--grid", folder / "tiny.toml", "-m", folder / "dead_first.py", "-m",
            folder / "dead_last.py", "-s", 1, "-s", 2, "-r", folder / "results",
            "--data-root", data_root, "--debug", "-y",
        )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def rows(place):
    return tables.read(place / "results", "metrics")


def jobs(place):
    return status.status(place / "results", "tiny")


def test_no_key_occurs_twice(rows):
    key = ["job_id", "stage_id", "metric", "split", "protocol"]
    assert not rows.duplicated([*key, "codebook"]).any()
    of_each = rows["metric"].str.startswith(quantities.EACH)
    assert not rows[~of_each].duplicated(key).any()


@pytest.mark.parametrize(("label", "dead"), [("dead_first", 0), ("dead_last", 1)])
def test_the_worst_codebook_stands_for_the_method_and_each_for_itself(rows, label, dead):
    test = rows[(rows["label"] == label) & (rows["split"] == "test") & (rows["seed"] == 1)]
    one = test.set_index("metric")
    expected = {"perplexity": 1, "relative_perplexity": 1 / SIZE, "usage": 1 / SIZE,
                "dead_codes": SIZE - 1, "collapsed": 1, "unigram_entropy": 0,
                "perplexity_batch_mean": 1}  # fmt: skip
    assert one.loc[list(expected), "value"].to_dict() == expected
    assert (one.loc[list(expected), "codebook"] == dead).all()
    assert one.loc["mse", "codebook"] == 0
    of_each = test[test["metric"] == "codebook_perplexity"].set_index("codebook")["value"]
    assert of_each[dead] == 1
    assert of_each[1 - dead] == pytest.approx(SIZE)
    of_each = test[test["metric"] == "codebook_collapsed"].set_index("codebook")["value"]
    assert of_each.to_dict() == {dead: 1, 1 - dead: 0}


def test_vectors_are_measured_by_codebook(place, rows):
    for row in jobs(place):
        codebook = np.load(place / "results" / "jobs" / row["job_id"] / "codebook.npy")
        assert codebook.shape == (2, SIZE, 4)
        ranks = [metrics.effective_rank(each) for each in codebook]
        own = rows[(rows["job_id"] == row["job_id"]) & (rows["split"] == "test")]
        own = own.set_index("metric")["value"]
        assert own["codebook_effective_rank"].tolist() == ranks
        assert own["effective_rank"] == min(ranks)


def test_the_readmes_pivot_is_right_as_it_stands(place, monkeypatch):
    monkeypatch.chdir(place)
    text = (Path(__file__).parent.parent / "README.md").read_text()
    code = ast.parse(text.split("## The rows")[1].split("```python\n")[1].split("```")[0])
    *before, last = code.body
    names = {}
    exec(compile(ast.Module(before, []), "README.md", "exec"), names)
    pivot = eval(compile(ast.Expression(last.value), "README.md", "eval"), names)
    assert pivot[SIZE].to_dict() == {"dead_first": 1.0, "dead_last": 1.0}


@pytest.mark.parametrize("older", [0, -1])
def test_files_from_before_the_column_mix_with_newer_ones(place, tmp_path, older):
    folder = tmp_path / "metrics"
    folder.mkdir()
    for path in (place / "results" / "metrics").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    path = sorted(folder.iterdir())[older]
    rows = pq.ParquetFile(path).read()
    own = pc.starts_with(rows["metric"], "codebook_")  # what older files do not have either
    pq.write_table(rows.filter(pc.invert(own)).drop_columns(["codebook"]), path)
    test = pd.read_parquet(folder).query("split == 'test' and metric == 'perplexity'")
    assert test.groupby("label")["value"].mean().to_dict() == {"dead_first": 1.0, "dead_last": 1.0}
    query = "where split = 'test' and metric = 'perplexity' group by label"
    means = duckdb.sql(f"select label, avg(value) from '{folder}/*.parquet' {query}").fetchall()
    assert sorted(means) == [("dead_first", 1.0), ("dead_last", 1.0)]
    assert tables.read(tmp_path, "metrics")["codebook"].dtype == np.int64


def test_the_report_says_the_same_of_both_orders(place):
    data = ReportData("tiny", place / "results")
    (table,) = table1.build(data)
    for row in table.rows:
        (cell,) = row.cells
        assert str(cell.main) == "1.0 ± 0.0"
        assert cell.parts["seeds"] == "2"
        assert cell.parts["note"] == "2 codebooks, 6 bits per position; collapsed in 2/2"
    assert any("worst decides" in note for note in table.notes)
    (table,) = codebook_table.build(data)
    for row in table.rows:
        found = dict(zip(table.columns, map(lambda cell: str(cell.main), row.cells), strict=True))
        assert found["relative, %"] == "12.5 ± 0.0"
        assert found["dead codes"] == "7.0 ± 0.0"
    (table,) = each_codebook.build(data)
    for row in table.rows:
        found = dict(zip(table.columns, map(lambda cell: str(cell.main), row.cells), strict=True))
        assert found["codebooks"] == "2"
        assert found["bits per position"] == "6.0"
        assert found["perplexity of each"] == "1.0 · 8.0"
        assert found["usage of each, %"] == "12.5 · 100.0"


def test_two_seeds_count_as_two_in_a_comparison(place):
    results = str(place / "results")
    for sides in (("method=dead_first", "method=dead_last"), (results, results)):
        lines = compare.compare(*sides, results=results)
        assert {line.seeds for line in lines} == {(2, 2)}
        found = [line for line in lines if line.metric == "perplexity"]
        assert {(line.a, line.b) for line in found} == {(1.0, 1.0)}


def test_what_is_frozen_holds_each_codebook(place, rows, tmp_path):
    folder = freeze.freeze("mine", "tiny", place / "results", tmp_path)
    order = ["job_id", "metric", "split", "codebook"]
    before, after = (
        frame.sort_values(order).reset_index(drop=True)
        for frame in (rows, tables.read(folder, "metrics"))
    )
    pd.testing.assert_frame_equal(before, after, check_dtype=False)
    assert tables.read(folder, "codes").groupby("job_id")["codebook"].apply(list).tolist() == [
        [0, 1]
    ] * len(jobs(place))


def test_while_it_trains_the_worst_codebook_shows(place):
    curves = tables.read(place / "results", "curves")
    last = curves[curves["step"] == 2]
    for name, value in (("perplexity", 1.0), ("usage", 1 / SIZE), ("dead_codes", SIZE - 1)):
        assert last.loc[last["metric"] == name, "value"].tolist() == [value] * 4


def test_status_shows_the_worst_codebook_of_a_running_job(place, tmp_path, data_root, workspace):
    point = Point(str(place / "dead_last.py"), "", FEW, SIZE, 4, 1, TINY | {"train.steps": 4})
    job = resolve.resolve(point, ("train",), "demo", data_root)
    disk.write_json(tmp_path / "grids" / "g.json", {"jobs": [asdict(job)]})
    work, seen = workspace(job, tmp_path), []

    def look():  # before each step
        seen.append(said.said(status.status(tmp_path, "g")[0]))
        return ""

    work.stop = look
    assert runner.run(work) == "done"
    assert "COLLAPSED, perplexity / K 12.5 %" in seen[-1]


def test_inspecting_the_tokens_gives_one_verdict(place):
    for row in jobs(place):
        path = place / "results" / "jobs" / row["job_id"] / "tokens-test.npy"
        found = inspect.inspect(path, SIZE, codebooks=2)
        dead = 0 if row["method"] == "dead_first" else 1
        assert found.verdict == "collapsed"
        assert "1 of 2 codebooks collapsed" in found.summary
        assert f"lowest perplexity 1.0 of 8 in codebook {dead}" in found.summary
        assert f"lowest usage 12.5 % in codebook {dead}" in found.summary


@dataclass
class MadeUpBooks(MadeUp):
    """Two codebooks in each method: one that nearly died, one that is used evenly."""

    order: tuple = (0, 1)

    def write_encode(self, job):
        size, found = job["codebook_size"], {"metrics": [], "codes": []}
        for split, n in (("train", 300), ("val", 40), ("test", 200)):
            rng = self.rng(job, split)
            dead = rng.choice(2, size=(n, 4, 4), p=[0.9, 0.1])
            even = rng.integers(0, size, (n, 4, 4))
            used = [(dead, even)[q] for q in self.order]
            rows = stages.token_rows(used, size, None, split)
            found["metrics"] += rows["metrics"] + stages.metric_rows(
                {"mse": rng.random()}, split, n
            )
            found["codes"] += rows["codes"]
        for table, rows in found.items():
            self.store(job, "encode", table, rows)


def made_up(results, **changes):
    facts = {"methods": ("edvae", "sq_vae"), "stages": ("train", "encode"), "files": False}
    return MadeUpBooks(results, **facts | changes).write()


def test_the_same_codebooks_in_either_order_give_the_same_page(tmp_path):
    pages = []
    for name, order in (("a", (0, 1)), ("b", (1, 0))):
        made_up(tmp_path / name / "results", methods=("edvae",), seeds=(1, 2), order=order)
        out = tmp_path / name / "reports"
        report.build("demo", tmp_path / name / "results", out, to=["html", "md"])
        files = sorted(path for path in out.rglob("*") if path.is_file())
        pages.append({path.name: path.read_bytes() for path in files})
    assert "each-codebook-1.md" in pages[0]
    assert pages[0] == pages[1]


def test_level_2_counts_seeds_and_sees_the_worst_codebook(tmp_path):
    freeze.freeze("ci", "ci", made_up(tmp_path / "old", name="ci", seeds=range(10)), tmp_path)
    new = made_up(tmp_path / "new", name="ci", seeds=(101, 102, 103), order=(1, 0))
    found = {f.subject: f for f in frozen.run("ci", new, tmp_path)}
    finding = found["EdVAE · digits · 64×8 · perplexity"]
    assert (len(finding.values["new"]), len(finding.values["frozen"])) == (3, 10)
    assert max(finding.values["new"]) < 2  # that of the other codebook is near 64
    assert finding.verdict != "worse"


def test_every_codebook_has_its_line_by_rank(tmp_path):
    data = ReportData("demo", made_up(tmp_path, methods=("edvae",)))
    ((_, _, group),) = data.cells()
    counts = data.counts(group)
    assert counts.shape == (3, 2, 64)
    assert ((counts[:, 0] > 0).sum(axis=1) == 2).all()  # the one that nearly died comes first
    (figure,) = rank_frequency.build(data)
    assert "Thin: the others" in figure.caption
    lines = figure.drawings["cumulated"].axes[0].get_lines()
    drawn = {round(float(line.get_ydata()[1]), 1) for line in lines}  # two codes have all, or 3 %
    assert {100.0, round(200 / 64, 1)} <= drawn


def test_methods_of_as_many_bits_stand_beside(tmp_path):
    sizes = ((8, 4), (64, 4), (128, 4))
    made_up(tmp_path, methods=("edvae",), sizes=sizes[:1])
    path = tmp_path / "grids" / "demo.json"
    first = json.loads(path.read_text())
    MadeUp(tmp_path, methods=("sq_vae",), sizes=sizes, stages=("train", "encode")).write()
    second = json.loads(path.read_text())
    disk.write_json(path, first | {"jobs": first["jobs"] + second["jobs"]})
    (table,) = each_codebook.build(ReportData("demo", tmp_path))
    shown = [(row.label, str(row.cells[0].main), str(row.cells[2].main)) for row in table.rows]
    assert sorted(shown) == [("EdVAE", "8 × 4", "6.0"), ("SQ-VAE", "64 × 4", "6.0")]


def test_one_codebook_leaves_no_trace(tmp_path):
    tokens = np.arange(64).reshape(4, 4, 4) % SIZE
    found = stages.token_rows([tokens], SIZE, None, "test")["metrics"]
    assert {row["metric"]: row["value"] for row in found} == pytest.approx(
        metrics.codebook_metrics(tokens, SIZE), nan_ok=True
    )
    assert {row["codebook"] for row in found} == {0}
    MadeUp(tmp_path, methods=("edvae",), stages=("train", "encode"), files=False).write()
    report.build("demo", tmp_path, tmp_path / "reports", to=["md"])
    assert "codebooks" not in (tmp_path / "reports/demo/tables/table1.md").read_text()
    assert not list((tmp_path / "reports").rglob("each-codebook*"))


def test_a_shared_codebook_is_measured_once_for_all():
    codebook = np.random.default_rng(0).normal(size=(SIZE, 3))
    tokens = [np.arange(16).reshape(1, 4, 4) % SIZE] * 2
    found = stages.token_rows(tokens, SIZE, codebook, "test")["metrics"]
    ranks = [row["value"] for row in found if row["metric"].endswith("effective_rank")]
    assert ranks == [metrics.effective_rank(codebook)] * 3


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_each_metric_has_its_own_worst_codebook(order):
    uneven = np.array([0] * 90 + list(range(1, 11)))  # 11 codes, one of them nearly always
    even = np.arange(100) % 10  # 10 codes
    full = np.arange(100) % 20
    books = [(uneven, even, full)[q].reshape(1, 10, 10) for q in order]
    rows = stages.token_rows(books, 20, None, "test")["metrics"]
    found = {row["metric"]: (row["value"], row["codebook"]) for row in rows}
    entropy = -(0.9 * math.log(0.9) + 10 * 0.01 * math.log(0.01))
    assert found["perplexity"] == (pytest.approx(math.exp(entropy)), order.index(0))
    assert found["usage"] == (0.5, order.index(1))
    assert found["dead_codes"] == (10, order.index(1))
    assert found["collapsed"] == (1, order.index(0))  # its perplexity is 1.7 of 20


def test_the_probe_does_not_pool_codebooks(place):
    method = registry.method_class(str(place / "dead_last.py"))
    quantizer = method(SIZE, 4, method.Settings()).eval()

    class Model:
        def __init__(self):
            self.quantizer = quantizer

        def encode(self, x):
            return x.new_zeros(len(x), 4, 8, 8)

    values = encode.Probe(np.zeros((3, 32, 32, 3), np.uint8), torch.device("cpu"))(Model())
    assert (values["perplexity"], values["usage"], values["dead_codes"]) == (1.0, 0.125, 7.0)
    assert values["code_norm"] == pytest.approx(float(quantizer.codes().norm(dim=-1).mean()))
