"""Whether one order of methods stands elsewhere: real rows, and made-up ones."""

import json

import pytest
from typer.testing import CliRunner

from collapsebench.check import order
from collapsebench.cli import app
from collapsebench.settings import UserError
from tests.report.made_up import MadeUp

METHODS = ("edvae", "dvae", "sq_vae")


def made_up(folder, perplexities, sizes=((64, 8),)):
    fixed = {
        (method, "digits", "perplexity", "test"): [value, 1.01 * value, 0.99 * value]
        for method, value in zip(METHODS, perplexities, strict=True)
    }
    stages = ("train", "encode")
    made = MadeUp(folder, methods=METHODS, sizes=sizes, stages=stages, values=fixed, files=False)
    return str(made.write())


def test_two_folders_by_hand(tmp_path):
    a, b = made_up(tmp_path / "a", [10, 20, 30]), made_up(tmp_path / "b", [20, 10, 30])
    found = next(one for one in order.compare([a, b], "results") if one.metric == "perplexity")
    assert (found.where, found.fewest, found.cells) == (
        "digits · 64",
        3,
        ("EdVAE", "SQ-VAE", "dVAE"),
    )
    assert found.agreement.tau == pytest.approx(1 / 3)
    assert found.agreement.ranks == ((3, 2), (1, 1), (2, 3))
    assert order.text([found]).splitlines()[:3] == [
        "moves       perplexity · digits · 64: tau 0.33 (0.33 … 0.33; by seeds alone ≥ 1.00)",
        f"            {a} -> {b}, 3 cells, ≥ 3 seeds",
        "            moved: EdVAE 3 -> 2, dVAE 2 -> 3",
    ]


def test_shipped_rows_along_a_setting_in_80_columns():
    words = ["codebook_size=16", "codebook_size=64", "codebook_size=256"]
    found = order.compare(words, "demo")
    assert {(one.a, one.b) for one in found} == {(words[0], words[1]), (words[1], words[2])}
    assert {one.where for one in found} == {"digits", "patches"}  # the size is what differs
    assert all(len(one.cells) == 6 and one.fewest == 3 for one in found)
    assert max(map(len, order.text(found).splitlines())) <= 80


def test_the_command_prints_and_writes_json(tmp_path):
    a, b = made_up(tmp_path / "a", [10, 20, 30]), made_up(tmp_path / "b", [10, 20, 30])
    printed = CliRunner().invoke(app, ["order", a, b])
    assert "stands      perplexity · digits · 64: tau 1.00" in printed.stdout
    [first, *_] = json.loads(CliRunner().invoke(app, ["order", a, b, "--json"]).stdout)
    assert (first["metric"], first["word"], first["tau"]) == ("perplexity", "stands", 1.0)
    assert first["ranks"]["EdVAE"] == [3, 3]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["demo"], "give two sides or more, not 1"),
        (["demo", "codebook_size=16"], "give tags or folders, or settings, not both"),
        (["demo", "nowhere"], "neither a baseline's tag nor a folder.*; known: ci, "),
        (["demo", "demoo"], "did you mean 'demo'"),
        (["VQ-reset", "vq_vae"], "VQ-reset: .* -r are chosen by method=vq_reset"),
        (["method=edvae", "method=dvae"], "no two cells stand on both sides"),
    ],
)
def test_what_has_no_order_is_one_line(words, line):
    with pytest.raises(UserError, match=line):
        order.compare(words, "demo")
