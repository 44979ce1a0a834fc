"""The other views: numbers by hand or against scipy."""

import numpy as np
import pytest
from scipy import stats as scipy_stats

from collapsebench.report import ablation, images, style
from collapsebench.report.blocks import collect, found
from collapsebench.report.data import ReportData
from collapsebench.report.views import (
    clamp,
    collapsing,
    failures,
    fig2,
    fig3,
    network,
    rank_frequency,
    table3,
    tradeoff,
    user_method,
)
from collapsebench.results import tables
from collapsebench.settings import ENTROPY_MAPS, RECONSTRUCTIONS
from tests.report import made_up, made_up_grids


def test_every_view_has_the_same_silhouette():
    modules = found()
    assert len(modules) > 20
    places = [module.place for module in modules]
    assert len(set(places)) == len(places)
    assert all(isinstance(m.title, str) and isinstance(m.section, str) for m in modules)


def test_a_users_method_is_tested_against_every_baseline(data):
    table = user_method.build(data)[0]
    ours = {
        v.label: list(g.values("perplexity", "test").values())
        for v, c, g in data.cells()
        if c.dataset == "cifar10"
    }
    rival = ours["EdVAE"]
    cell = next(row for row in table.rows if row.label == "EdVAE").cells[0]
    assert str(cell.main) == f"+{np.mean(ours['My VQ']) - np.mean(rival):.1f}"
    test = scipy_stats.ttest_ind(np.log(ours["My VQ"]), np.log(rival))
    change = 100 * np.expm1(np.mean(np.log(ours["My VQ"])) - np.mean(np.log(rival)))
    assert cell.parts["change, %"].startswith(f"{change:+.0f} (")
    assert float(cell.parts["p (Holm)"].removeprefix("< ")) >= min(test.pvalue, 0.001)


def test_against_many_baselines_a_matrix_stands_before_folded_details(zoo):
    shown, details, *_ = user_method.build(zoo)
    assert (shown.name, details.name) == ("your-method-perplexity-matrix", "your-method-perplexity")
    assert not shown.folded
    assert details.folded
    assert list(shown.columns) == [
        "CIFAR10 64\u00a0×\u00a016",
        "CIFAR10 256\u00a0×\u00a016",
    ]
    assert len(shown.rows) == 21  # no floors
    told = {row.label: row.cells for row in details.rows}
    marks = {"better": "✓", "worse": "✗", "same": "=", "can't tell": "≈"}
    for row in shown.rows:
        for short, long in zip(row.cells, told[row.label.partition(" (D")[0]], strict=True):
            if "verdict" in long.parts:
                change = long.parts["change, %"].partition(" ")[0]
                assert str(short.main) == f"{marks[long.parts['verdict']]}\u00a0{change}"
                assert f"p (Holm) {long.parts['p (Holm)']}" in short.hover
    (fsq,) = [row for row in shown.rows if row.label == "FSQ (D = 4)"]
    assert fsq.cells[0].main == "incompatible"
    assert fsq.cells[0].hover.endswith("nearest it can have: 60, 75")


def test_many_methods_of_the_users_are_columns_and_other_sizes_folded(tmp_path):
    mine = tuple(f"mine_{i}" for i in range(4))
    made_up.MadeUp(
        tmp_path, methods=(*mine, *made_up.PAPER), sizes=((64, 8), (128, 8)), seeds=(1, 2),
        stages=("train", "encode"), files=False, points=2, networks=("vqvae",),
    ).write()  # fmt: skip
    first, second, details, *_ = user_method.build(ReportData("demo", tmp_path))
    assert [list(table.columns) for table in (first, second)] == [list(mine)] * 2
    assert [table.folded for table in (first, second, details)] == [False, True, True]
    assert (
        first.title == "Your methods against the baselines · perplexity ↑ · digits 64\u00a0×\u00a08"
    )
    assert len(details.rows) == 4 * 6


def test_there_is_no_such_table_without_a_users_method(tmp_path):
    made_up.MadeUp(tmp_path, stages=("train", "encode"), files=False, seeds=(1,)).write()
    assert user_method.build(ReportData("demo", tmp_path)) == []


def test_a_codebook_that_fell_is_named_as_the_board_names_it(tmp_path):
    made_up.MadeUp(
        tmp_path, methods=("edvae",), stages=("train",), files=False, seeds=(1,)
    ).write()  # fmt: skip
    assert collapsing.build(ReportData("demo", tmp_path)) == []
    path = next((tmp_path / "curves").glob("*.parquet"))
    rows = tables.read(tmp_path, "curves").to_dict("records")
    best, last = [row for row in rows if row["metric"] == "perplexity"][-2:]
    best["value"], last["value"] = 1310.0, 12.0
    tables.write(tmp_path, "curves", path.stem, rows)
    (table,) = collapsing.build(ReportData("demo", tmp_path))
    words = f"collapsing: 1,310 → 12 since step {best['step']:,}"
    assert [row.cells[-1].parts[""] for row in table.rows] == [words]


def test_correlations_of_values_and_of_changes():
    u = np.array([[1.0, 2.0, 4.0, 3.0]])
    p = np.array([[2.0, 1.0, 5.0, 9.0]])
    expected = [
        scipy_stats.pearsonr(u[0], p[0])[0], scipy_stats.spearmanr(u[0], p[0])[0],
        scipy_stats.pearsonr([1, 2, -1], [-1, 4, 4])[0],
        scipy_stats.spearmanr([1, 2, -1], [-1, 4, 4])[0],
    ]  # fmt: skip
    assert np.allclose(fig3.correlations(u, p)[0], expected)


def test_a_constant_has_no_correlation():
    assert np.isnan(fig3.correlations(np.ones((1, 4)), np.arange(4.0)[None])).all()


def test_the_pareto_front_by_hand():
    points = [(50.0, 3.0), (60.0, 2.0), (40.0, 1.0), (30.0, 4.0), (60.0, 2.5)]
    assert tradeoff.pareto(points) == [(40.0, 1.0), (60.0, 2.0)]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.3, 0.9), ["0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9"]),  # none of 1, 2, 5 twice
        ((0.3, 6.0), ["0.5", "1", "2", "5"]),
        ((0.3, 600.0), ["1", "10", "100"]),
    ],
)
def test_ticks_of_a_logarithmic_axis(values, expected):
    drawing, axes = style.panels(1, 1, 2.0)
    axes[0, 0].plot([1, 2], values)
    style.log_y(axes[0, 0])
    drawing.draw_without_rendering()
    low, high = axes[0, 0].get_ylim()
    ticks = zip(axes[0, 0].get_yticks(), axes[0, 0].get_yticklabels(), strict=True)
    assert [text.get_text() for at, text in ticks if low <= at <= high] == expected
    assert not len(axes[0, 0].get_yticks(minor=True))


def test_shares_by_rank_by_hand():
    counts = np.array([[1, 0, 3], [2, 2, 0]])
    assert np.allclose(rank_frequency.shares(counts, True), [62.5, 100.0, 100.0])
    each = rank_frequency.shares(counts, False)
    assert np.allclose(each[:2], [62.5, 37.5])
    assert np.isnan(each[2])


def test_a_jobs_png_is_cut_into_its_images(tmp_path):
    job = next(iter(made_up.MadeUp(tmp_path).jobs()))
    made_up.MadeUp(tmp_path).write_images(job, "x.png", 2)
    cells = images.cut(tmp_path / "jobs" / job["job_id"] / "x.png", 2)
    assert cells.shape == (2, 8, 16, 16, 3)
    assert not (cells == 255).all(axis=(2, 3, 4)).any()


@pytest.mark.parametrize(
    "harm",
    [
        lambda path: np.save(path, np.load(path)[7:]),  # of the points since a resume
        lambda path: np.save(path, np.zeros(20, np.float32)),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("torn"),
    ],
)
def test_maps_that_are_not_one_for_each_point_are_named_and_not_drawn(tmp_path, harm):
    made_up.MadeUp(tmp_path, methods=("edvae", "dvae"), stages=("train",)).write()
    data = ReportData("demo", tmp_path)
    assert len(fig2.build(data)[1].drawings[""].axes) == 2 * fig2.MOMENTS + 1  # and a colour bar
    (path,) = (data.file(j, ENTROPY_MAPS) for j in data.jobs if (j.method, j.seed) == ("dvae", 1))
    harm(path)
    with pytest.warns(UserWarning, match=r"skipped .*entropy_maps\.npy: "):
        figures = fig2.build(data)
    assert len(figures[1].drawings[""].axes) == fig2.MOMENTS + 1


def test_a_damaged_picture_is_named_and_that_of_another_seed_shown(tmp_path):
    made_up.MadeUp(tmp_path, methods=("edvae",), stages=("train", "encode")).write()
    data = ReportData("demo", tmp_path)
    (comparison,) = data.comparisons
    paths = [data.file(job, RECONSTRUCTIONS) for job in data.jobs]
    first = min(data.jobs, key=lambda job: job.seed)
    data.file(first, RECONSTRUCTIONS).write_bytes(paths[0].read_bytes()[:60])
    with pytest.warns(UserWarning, match=r"skipped .*reconstructions\.png: "):
        ((_, cells),) = images.strips(data, comparison, RECONSTRUCTIONS, 2)
    assert cells.shape == (2, 8, 16, 16, 3)


def test_failures_show_reason_and_end_of_log(data):
    table, *logs = failures.build(data)
    reasons = {row.cells[5].main for row in table.rows}
    assert reasons == {
        "loss is inf by step 10",
        "needs an even code_dim",
        "RuntimeError: something broke",
    }
    assert all(len(log.text.splitlines()) == failures.LINES for log in logs)
    assert any(log.text.endswith("error: RuntimeError: something broke") for log in logs)


def test_tiny_distances_are_not_ranked(tmp_path):
    made_up.MadeUp(tmp_path, stages=("train", "score")).write()
    (table,) = table3.build(ReportData("demo", tmp_path))
    assert table.columns == ["digits, FD[cb-randconv-v1], not rankable"]
    assert not table.ranked
    assert not any(cell.bold for row in table.rows for cell in row.cells)


@pytest.fixture(scope="module")
def clamped(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clamp")
    chosen = [{"clamp": value} for value in (10.0, 20.0, 30.0)]
    made_up_grids.sweep(
        folder, name="clamp", methods=("edvae",), datasets=("celeba",), sizes=((512, 16),),
        settings={"edvae": chosen}, seeds=(1, 2),
    ).write()  # fmt: skip
    return ReportData("clamp", folder)


def test_table_d6_stands_beside_print(clamped):
    (table,) = clamp.build(clamped)
    assert list(table.columns) == ["clamp 10", "clamp 20", "clamp 30"]
    (row,) = table.rows
    assert row.label == "CelebA"
    assert [str(cell.parts["paper"]) for cell in row.cells] == [
        "319.0",
        "386.0",
        "1 (diverged; printed as 1)",
    ]


def test_an_ablation_needs_several_values(data):
    assert ablation.varied(data, "clamp") == {}


def test_the_cross_keeps_methods_that_ran_on_several_networks(tmp_path):
    made_up_grids.sweep(
        tmp_path, name="network", methods=("edvae", "sq_vae"), datasets=("cifar10",),
        sizes=((512, 16),), networks=("dalle", "vqvae"), seeds=(1,),
    ).write()  # fmt: skip
    data = ReportData("network", tmp_path)
    _, table = network.build(data)
    assert [row.label for row in table.rows] == ["SQ-VAE", "EdVAE"]
    (group,) = [g for v, _, g in data.cells() if v.label == "EdVAE on vqvae"]
    (value,) = group.values("mse", "test").values()
    assert str(table.rows[1].cells[3].main) == f"{1000 * value:.2f}"
    assert list(table.columns)[3] == "MSE × 10³ on vqvae"


def test_both_sweeps_are_drawn_in_two_forms(tmp_path):
    sizes = ((128, 16), (512, 16), (512, 8))
    made_up_grids.sweep(
        tmp_path, methods=("edvae",), datasets=("cifar10",), sizes=sizes, seeds=(1,)
    ).write()
    figures = collect(ReportData("codebook_size", tmp_path)).sections["Codebook design"]
    assert [figure.name for figure in figures] == ["fig6_size", "fig6_dim"]
    assert [list(figure.drawings) for figure in figures] == [["relative", "raw"]] * 2
    assert {point[2] for point in figures[0].drawings["raw"].points} == {128, 512}
