"""``collapsebench try``: who is best on planted data, the jobs of ``run``, budgets, bad data."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from collapsebench.datasets import mixture
from collapsebench.job import apart
from collapsebench.job.order import Order
from collapsebench.launch import start, trying
from collapsebench.launch.launcher import Options
from collapsebench.plan.forecast import Choice
from collapsebench.report.data import ReportData
from collapsebench.results import tables
from collapsebench.settings import UserError
from tests.launch.jobs_at_work import CONTEXT

FIRST = (
    'from collapsebench.methods.vq_reset import VQReset\n\nclass {}(VQReset):\n    label = "{}"\n'
)
HALF = """
    def forward(self, z_e):
        found = super().forward(z_e)
        tokens = found.tokens // 2 * 2
        z_q = z_e + (self.embed(tokens) - z_e).detach()
        return replace(found, tokens=tokens, z_q=z_q)
"""
TWIN = """
    def __init__(self, codebook_size, code_dim, settings):
        super().__init__(codebook_size, code_dim, settings)
        torch.rand(1)  # all weights that are drawn later are others
"""
SMALL = (
    "train.steps=90", "train.horizon=90", "train.batch_size=128", "train.learning_rate=3e-3",
    "train.points=2", "mlp.width=32",
)  # fmt: skip


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder with vectors made of 16 codes, and two methods beside a shipped one."""
    folder = tmp_path_factory.mktemp("planted")
    codes = mixture.centres()[:16, :24]
    rng = np.random.default_rng(3)
    np.save(folder / "made.npy", np.repeat(codes, 40, 0) + 0.1 * rng.normal(size=(640, 24)))
    half = FIRST.format("Half", "Half") + HALF
    (folder / "half.py").write_text("from dataclasses import replace\n" + half)
    (folder / "twin.py").write_text("import torch\n" + FIRST.format("Twin", "Twin") + TWIN)
    return folder


@pytest.fixture(scope="module")
def tried(planted):
    """What is tried, after it was."""
    methods = ("vq_reset", str(planted / "half.py"), str(planted / "twin.py"))
    choice = Choice(
        methods=methods, codebook_sizes=(16,), code_dims=(8,), set=SMALL,
        data_root=planted / "data",
    )  # fmt: skip
    trial = trying.Trial(str(planted / "made.npy"), choice, None, planted / "r", planted / "out")
    build = partial(trying.report.build, to=("html", "md"))  # files of figures take long
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("collapsebench.results.provenance.cores", lambda: 1)  # threads of a job
        patched.setattr(trying.report, "build", build)
        patched.setattr(apart.multiprocessing, "get_context", lambda method: CONTEXT)
        assert trying.run(trial, Options(debug=True, yes=True)) == 0
    return trial


def test_a_planted_best_is_first_and_a_planted_tie_is_a_tie(tried, capsys):
    data = ReportData("try-made", tried.results)
    page = tried.out / "try-made" / "index.html"
    written = page.read_text()
    assert "Reconstruction · normalised error" in written
    assert [f'id="section-{name}"' in written for name in ("reconstructions", "images")] == [
        True,
        False,
    ]
    assert not (page.parent / "tables" / "table2.md").exists()
    *_, shown = data.comparisons
    best, alike = trying.standing(data, trying.table2.build(data), shown)
    assert {variant.method for variant, _ in best + alike} == {"vq_reset", "twin"}
    lines = list(trying.verdict(data, page, ["collapsebench", "run"]))
    said = capsys.readouterr().out
    assert said.index("Twin") < said.index("Half")
    assert any("Half" in line for line in lines) is False
    assert f"report: {page}" in lines
    assert "codebook_size=16 code_dim=8 vq_reset.beta=0.25" in "\n".join(lines)


def test_the_jobs_are_those_that_run_would_run(tried):
    choice = trying.with_data(tried.source, tried.choice)
    _, jobs = choice.jobs()
    _, same = replace(choice, grid="try", name="").jobs()
    assert [job.job_id for job in jobs] == [job.job_id for job in same]
    done = tables.read(tried.results, "runs")
    assert set(done["job_id"]) == {job.job_id for job in jobs}
    assert set(done["status"]) == {"done"}
    words = trying.command(choice)
    assert words[:4] == ["collapsebench", "run", "--grid", "try"]
    assert f"data.path={tried.source}" in words


def test_a_budget_decides_how_long_is_trained(planted, tmp_path, capsys):
    choice = trying.with_data(
        str(planted / "made.npy"), Choice(methods=("vq_vae",), data_root=planted / "data")
    )
    options = Options(gpus=(), slots=1)
    short, long = (
        trying.within(budget, choice, tmp_path, options).jobs()[1][0].settings["train"]
        for budget in (60.0, 6000.0)
    )
    assert short["steps"] in trying.STEPS
    assert (long["steps"], long["horizon"]) == (12_000, 12_000)
    assert short["steps"] < long["steps"]
    assert "12,000 steps each" in capsys.readouterr().out
    assert trying.within(None, choice, tmp_path, options) is choice
    with pytest.raises(UserError, match="--budget: 200 steps of every job take about"):
        trying.within(5.0, choice, tmp_path, options)


def test_more_codes_than_tokens_and_images_are_refused(planted):
    root = planted / "data"
    choice = trying.with_data(
        str(planted / "made.npy"), Choice(codebook_sizes=(16, 1024), data_root=root)
    )
    with pytest.raises(UserError, match="-K 1024: more codes than the 519 tokens of 519 train vec"):
        trying.looked_at(choice)
    with pytest.raises(UserError, match="digits are images: collapsebench run -d digits"):
        trying.looked_at(trying.with_data("digits", Choice(data_root=root)))


ROWS = np.random.default_rng(0).normal(size=(50, 3))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.where(np.arange(150).reshape(50, 3) == 22, np.nan, ROWS), "row 7, column 1 .* is nan"),
        (np.where(np.arange(150).reshape(50, 3) == 22, -np.inf, ROWS), "row 7, .* is -inf"),
        (np.full((50, 3), 0.5), "3 columns, column 0 .* the first, are constant"),
        (ROWS.astype(str), "holds <U32, not numbers"),
        (ROWS.astype(object), "cannot be read as .npy|holds Python objects"),
        (ROWS[:1], "1 rows; at least 10 are needed"),
        (ROWS, "-K 64: more codes than the 41 tokens of 41 train vectors"),
    ],
    ids=["nan", "inf", "constant", "text", "objects", "one row", "K above N"],
)
def test_data_that_no_job_could_use_are_refused_by_run_as_by_try(tmp_path, array, said):
    path = tmp_path / "rows.npy"
    np.save(path, array)
    choice = Choice(methods=("vq_vae",), codebook_sizes=(64,), data_root=tmp_path / "data")
    options = Options(order=Order(data_root=tmp_path / "data"), yes=True)
    trial = trying.Trial(str(path), choice, None, tmp_path / "r", tmp_path / "out")
    with pytest.raises(UserError, match=said) as tried:
        trying.run(trial, options)
    with pytest.raises(UserError) as run:
        start.run(trying.with_data(str(path), choice), tmp_path / "r", options, ["collapsebench"])
    assert str(run.value) == str(tried.value)
    assert "\n" not in str(run.value)
    assert not (tmp_path / "r").exists()


def test_twelve_methods_can_have_the_default_sizes():
    _, jobs = trying.with_data("mixture", Choice()).jobs()
    assert len({job.method for job in jobs}) == 12
    assert len(jobs) == 36
    assert {job.network for job in jobs} == {"mlp"}
