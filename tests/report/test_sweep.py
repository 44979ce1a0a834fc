"""Figures over sizes and settings: intervals on the scale of the tests, nothing that cannot be."""

import matplotlib
import numpy as np
import pytest
from scipy import stats as scipy_stats

from collapsebench.report import style
from collapsebench.report.data import ReportData
from collapsebench.report.sweep import interval
from collapsebench.report.views import (
    entropy,
    fig6_dim,
    fig6_size,
    length,
    network,
    rank_frequency,
    rotation,
    tradeoff,
    who_collapses,
)
from tests.report import made_up, made_up_grids


@pytest.fixture(autouse=True)
def styled():
    with matplotlib.rc_context():
        style.apply_style()
        yield


def t_interval(values):
    half = scipy_stats.t.ppf(0.975, len(values) - 1) * scipy_stats.sem(values)
    return np.mean(values) - half, np.mean(values) + half


def test_an_interval_of_errors_is_of_their_logarithms():
    values = [0.002, 0.003, 0.008]
    assert interval(values, "log") == pytest.approx(np.exp(t_interval(np.log(values))))


def test_an_interval_of_shares_is_of_their_logits_and_stays_within_them():
    values = [0.5, 0.9, 0.98]
    low, high = t_interval(np.log(np.divide(values, np.subtract(1, values))))
    found = interval(values, "logit")
    assert found == pytest.approx((1 / (1 + np.exp(-low)), 1 / (1 + np.exp(-high))))
    assert t_interval(values)[1] > 1 > found[1]


@pytest.mark.parametrize(
    ("values", "found"),
    [([1.0, 1.0, 1.0], (1.0, 1.0)), ([1.0, 0.9, 0.8], (0.9 - 0.1 / 3**0.5 * 4.3027, 1.0))],
)
def test_an_interval_without_a_logit_is_cut(values, found):
    assert interval(values, "logit") == pytest.approx(found, abs=1e-4)


@pytest.mark.parametrize(("values", "found"), [([0.3], (0.3, 0.3)), ([0.9, 0.2], (0.2, 0.9))])
def test_fewer_than_three_seeds_show_their_range(values, found):
    assert interval(values, "logit") == pytest.approx(found, abs=1e-4)


def lines(figure, form, ax=0):
    """Label -> the drawn line of a panel, main lines only."""
    shown = figure.drawings[form].axes[ax].get_lines()
    return {line.get_label(): line for line in shown if not line.get_label().startswith("_")}


def grid(folder, values, **changes):
    made_up_grids.sweep(
        folder, methods=("edvae", "vq_vae_ema"), datasets=("cifar10",), seeds=(1, 2, 3),
        sizes=((128, 16), (512, 16)), values=values, **changes,
    ).write()  # fmt: skip
    return ReportData("codebook_size", folder)


def test_nothing_is_drawn_beyond_a_hundred_percent(tmp_path):
    spread = {("edvae", "cifar10", "relative_perplexity", "test"): (0.2, 0.97, 0.99)}
    (figure,) = fig6_size.build(grid(tmp_path, spread))
    ax = figure.drawings["relative"].axes[0]
    assert t_interval((20, 97, 99))[1] > 100
    bands = np.concatenate([path.vertices for c in ax.collections for path in c.get_paths()])
    assert bands[:, 1].min() >= 0
    assert bands[:, 1].max() <= 100


def test_axes_of_shares_end_at_a_hundred_percent(tmp_path):
    even = {("edvae", "cifar10", "relative_perplexity", "test"): (0.99, 1.0, 1.0)}
    made_up_grids.sweep(
        tmp_path, name="network", methods=("edvae", "vq_vae_ema"), datasets=("cifar10",),
        seeds=(1, 2, 3), sizes=((128, 16),), networks=("dalle", "vqvae"), values=even,
    ).write()  # fmt: skip
    data = ReportData("network", tmp_path)
    crossed, _ = network.build(data)
    (trade,), (ranks,) = tradeoff.build(data), rank_frequency.build(data)
    assert crossed.drawings[""].axes[0].get_ylim() == (0, 102)
    assert ranks.drawings["cumulated"].axes[0].get_ylim() == (0, 102)
    assert trade.drawings[""].axes[0].get_xlim() == (0, 102)


def test_the_raw_form_stays_between_one_code_and_all(tmp_path):
    spread = {("edvae", "cifar10", "perplexity", "test"): (2.0, 60.0, 120.0)}
    (figure,) = fig6_size.build(grid(tmp_path, spread))
    ax = figure.drawings["raw"].axes[0]
    bands = np.concatenate([path.vertices for c in ax.collections for path in c.get_paths()])
    assert bands[:, 1].min() >= 1
    assert (bands[:, 1] <= bands[:, 0] + 1e-9).all()  # the codebook size


def test_an_error_over_a_decade_is_on_a_logarithmic_axis(tmp_path):
    wide = {("edvae", "cifar10", "mse", "test"): (1e-3,) * 3,
            ("vq_vae_ema", "cifar10", "mse", "test"): (2e-2,) * 3}  # fmt: skip
    near = wide | {("vq_vae_ema", "cifar10", "mse", "test"): (2e-3,) * 3}
    for name, values, scale in (("wide", wide, "log"), ("near", near, "linear")):
        data = grid(tmp_path / name, values)
        (sizes,), (trade,) = fig6_size.build(data), tradeoff.build(data)
        assert sizes.drawings["relative"].axes[1].get_yscale() == scale
        assert trade.drawings[""].axes[0].get_yscale() == scale


def test_collapsed_cells_are_hollow(tmp_path):
    ends = {("vq_vae_ema", "cifar10", "collapsed", "test"): (1.0, 0.0, 0.0),
            ("edvae", "cifar10", "collapsed", "test"): (0.0, 0.0, 0.0)}  # fmt: skip
    (figure,) = fig6_size.build(grid(tmp_path, ends))
    drawn = lines(figure, "relative")
    assert drawn["EdVAE"].get_markevery() == [0, 1]
    assert drawn["VQ-VAE-EMA"].get_markevery() == []
    assert "hollow: a seed collapsed" in figure.caption
    hollow = [line for line in figure.drawings["relative"].axes[0].get_lines()
              if line.get_markerfacecolor() == style.PAPER]  # fmt: skip
    assert [len(line.get_xdata()) for line in hollow] == [2]


def test_collapsed_cells_are_hollow_on_every_network(tmp_path):
    ends = {("vq_vae_ema", "cifar10", "collapsed", "test"): (0.0,),
            ("edvae", "cifar10", "collapsed", "test"): (1.0,)}  # fmt: skip
    made_up_grids.sweep(
        tmp_path, name="network", methods=("edvae", "vq_vae_ema"), datasets=("cifar10",),
        seeds=(1,), sizes=((128, 16),), networks=("dalle", "vqvae"), values=ends,
    ).write()  # fmt: skip
    figure, _ = network.build(ReportData("network", tmp_path))
    drawn = lines(figure, "")
    assert drawn["EdVAE"].get_markevery() == []
    assert drawn["VQ-VAE-EMA"].get_markevery() == [0, 1]


def test_an_axis_of_relative_perplexity_is_not_called_usage(data):
    (figure,) = tradeoff.build(data)
    assert "usage" not in figure.title + figure.caption
    assert {ax.get_xlabel() for ax in figure.drawings[""].axes} == {"perplexity / codebook size, %"}


def test_a_method_of_tied_sizes_has_its_point_at_every_size(zoo):
    (figure,) = fig6_size.build(zoo)
    fsq = [point for point in figure.drawings["relative"].points if point[1] == "FSQ"]
    lfq = [point for point in figure.drawings["relative"].points if point[1] == "LFQ"]
    assert [x for _, _, x, *_ in fsq] == [256, 256]  # both panels; 64 is incompatible
    assert sorted(x for _, _, x, *_ in lfq) == [64, 64, 256, 256]


def test_over_dimensions_a_tied_method_stands_at_its_own(tmp_path):
    made_up_grids.sweep(
        tmp_path, methods=("edvae", "lfq"), datasets=("cifar10",), seeds=(1,),
        sizes=((512, 16), (512, 32)), networks=("vqvae",),
    ).write()  # fmt: skip
    (figure,) = fig6_dim.build(ReportData("codebook_size", tmp_path))
    points = figure.drawings["relative"].points
    assert {x for _, name, x, *_ in points if name == "LFQ"} == {9}
    assert {x for _, name, x, *_ in points if name == "EdVAE"} == {16, 32}


def test_one_point_a_method_is_no_sweep(tmp_path):
    made_up_grids.sweep(
        tmp_path, methods=("edvae",), datasets=("cifar10",), seeds=(1,), sizes=((8, 16),)
    ).write()
    assert fig6_size.build(ReportData("codebook_size", tmp_path)) == []


def test_a_weight_of_zero_has_a_place_on_the_axis(tmp_path):
    chosen = [{"entropy": weight} for weight in (0.1, 0.01, 0.0)]
    made_up_grids.sweep(
        tmp_path, methods=("lfq", "ibq"), datasets=("cifar10",), sizes=((512, 16),), seeds=(1,),
        settings={"lfq": chosen, "ibq": chosen},
    ).write()  # fmt: skip
    (figure,) = entropy.build(ReportData("codebook_size", tmp_path))
    ax = figure.drawings[""].axes[0]
    assert list(lines(figure, "")) == ["LFQ", "IBQ"]
    assert lines(figure, "")["IBQ"].get_xdata().tolist() == [0.0, 0.01, 0.1]
    assert ax.get_xscale() == "symlog"
    left = ax.transData.transform([(0.0, 1), (0.01, 1), (0.1, 1)])[:, 0]
    assert (np.diff(left) > 20).all()  # pixels


def test_words_as_settings_are_columns(tmp_path):
    chosen = [{"estimator": e, "codebook": c} for e in ("straight_through", "rotation")
              for c in ("ema", "gradient")]  # fmt: skip
    made_up_grids.sweep(
        tmp_path, methods=("rotation_vq",), datasets=("cifar10",), sizes=((512, 16),), seeds=(1, 2),
        settings={"rotation_vq": chosen},
    ).write()  # fmt: skip
    data = ReportData("codebook_size", tmp_path)
    (table,) = rotation.build(data)
    assert list(table.columns) == ["rotation", "straight-through"]
    assert [row.label for row in table.rows] == [
        "CIFAR10, codebook=ema",
        "CIFAR10, codebook=gradient",
    ]
    (cell,) = [group for _, _, group in data.cells()
               if group.first.settings["method"] == chosen[3]]  # fmt: skip
    values = list(cell.values("perplexity", "test").values())
    assert (
        str(table.rows[1].cells[0].main) == f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}"
    )
    assert "paper" not in table.part_names()


def test_trainings_of_several_lengths_have_a_figure_over_steps_and_none_over_sizes(tmp_path):
    made_up_grids.of_lengths(
        tmp_path, 600, 1200, methods=("fsq", "vq_vae"), sizes=((256, 16),), seeds=(42, 1),
        stages=("train", "encode"), files=False,
        values={("vq_vae", "digits", "relative_perplexity", "test"): (0.25, 0.75)},
    )  # fmt: skip
    data = ReportData("demo", tmp_path)
    assert fig6_size.build(data) == []
    assert fig6_dim.build(data) == []  # FSQ has D = 4 there, which nobody varied
    (figure,) = length.build(data)
    assert "600, 1200 steps" in figure.ran
    said = [text for *_, text in figure.drawings[""].points]
    assert "VQ-VAE · steps 1200: 50.0 ± 35.4 % (n = 2)" in said


def test_who_collapses_orders_methods_and_marks_each_seed(tmp_path):
    made_up.MadeUp(
        tmp_path, methods=("edvae", "fsq", "dvae"), seeds=(42, 1), sizes=((256, 16),),
        stages=("train", "encode"), files=False,
        values={
            ("edvae", "digits", "relative_perplexity", "test"): (0.25, 0.75),
            ("fsq", "digits", "relative_perplexity", "test"): (0.625, 0.5),
            ("dvae", "digits", "relative_perplexity", "test"): (0.9, 0.8),
            ("edvae", "digits", "collapsed", "test"): (1.0, 0.0),
            ("dvae", "digits", "collapsed", "test"): (0.0, 0.0),
        },
    ).write()  # fmt: skip
    (figure,) = who_collapses.build(ReportData("demo", tmp_path))
    canvas = figure.drawings[""]
    names = [text.get_text() for text in canvas.axes[0].get_yticklabels()]
    assert names == ["EdVAE", "FSQ (D = 4)", "dVAE"]  # from below, by the mean
    points = [(x, y, text) for ax, _, x, y, text in canvas.points if ax is canvas.axes[0]]
    assert points[:3] == [
        (25.0, 0.0, "EdVAE · seed 42: 25.0 %"),
        (75.0, 0.0, "EdVAE · seed 1: 75.0 %"),
        (50.0, 1.0, "FSQ · seed 1: 50.0 %"),
    ]
    hollow = [line.get_xdata().tolist() for line in canvas.axes[0].get_lines()
              if line.get_markerfacecolor() == style.PAPER]  # fmt: skip
    assert hollow == [[25.0]]


def test_one_method_has_nobody_to_collapse_beside(tmp_path):
    made_up.MadeUp(tmp_path, methods=("edvae",), stages=("train", "encode")).write()
    assert who_collapses.build(ReportData("demo", tmp_path)) == []
