"""The leaderboard: every method on one line, by the tests of every other table."""

import numpy as np
import pytest

from collapsebench import stats
from collapsebench.report.tables import to_csv, to_markdown
from collapsebench.report.views import leaderboard


@pytest.fixture(scope="module")
def board(zoo):
    """(table, (line, group) by method) of the zoo's page."""
    (table,) = leaderboard.build(zoo)
    lines = zip(table.rows, zoo.column(zoo.focus[0]), strict=True)
    return table, {variant.method: (line, group) for line, (variant, group) in lines}


def cell(board, method, heading):
    table, lines = board
    return lines[method][0].cells[table.columns.index(heading)]


def test_every_method_has_one_line_with_its_mean_over_seeds(board):
    _, lines = board
    assert len(lines) == 25
    for method, (_, group) in lines.items():
        if values := group.values("mse", "test"):
            assert cell(board, method, "MSE × 10³").main.value == pytest.approx(
                1e3 * np.mean(list(values.values()))
            )


def test_bold_and_alike_are_those_of_the_one_rule(board):
    _, lines = board
    values = {
        method: [100 * value for value in group.values("usage", "test").values()]
        for method, (line, group) in lines.items()
        if line.kind != "floor" and group.values("usage", "test")
    }
    ranks = stats.standings(values, True)
    assert {rank.word for rank in ranks.values()} >= {stats.BEST, stats.CANT_TELL}
    for method, rank in ranks.items():
        shown = cell(board, method, "usage, %")
        assert shown.bold == (rank.word == stats.BEST)
        assert (shown.mark == "≈") == (rank.word == stats.CANT_TELL)


def test_cost_stands_beside_and_the_line_says_how_it_is_made(zoo, board):
    _, lines = board
    runs = zoo.runs[(zoo.runs["stage"] == "train") & (zoo.runs["status"] == "done")]
    _, group = lines["edvae"]
    own = runs[runs["job_id"].isin([job.job_id for job in group.jobs])]
    assert len(own) == 2
    steps = group.first.setting("train", "steps")
    assert cell(board, "edvae", "seeds").main == "2"
    per_step = cell(board, "edvae", "ms a step").main.value
    assert per_step == pytest.approx(1e3 * own["wall_s"].mean() / steps)
    assert cell(board, "edvae", "-m").main == "edvae"


def test_a_text_form_has_one_line_a_method_and_keeps_the_marks(board):
    table, _ = board
    lines = [line for line in to_markdown(table).splitlines() if line.startswith("| ")]
    assert len(lines) == 2 + 25
    assert any("**" in line for line in lines)
    assert any("≈ " in line for line in lines)
    assert len(to_csv(table).splitlines()) == 1 + 25
