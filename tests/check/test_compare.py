"""Two sets of rows beside each other."""

from dataclasses import replace

import pandas as pd
import pytest

from collapsebench.check import freeze, unlike
from collapsebench.check.compare import compare, size, text
from collapsebench.results import tables
from collapsebench.settings import UserError
from tests.report.made_up import MadeUp


def made_up(results, mse, seeds=(42, 1773, 1), methods=("edvae", "dvae")):
    fixed = {
        ("edvae", "digits", "mse", "test"): mse,
        ("dvae", "digits", "mse", "test"): [1, 1.1, 0.9],
    }
    made = MadeUp(results, methods=methods, seeds=seeds, stages=("train", "encode"), values=fixed)
    made.files = False
    return made.write()


@pytest.fixture(scope="module")
def sides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sides")
    better = made_up(folder / "a", [0.010, 0.011, 0.0105])
    made_up(folder / "b", [0.020, 0.021, 0.0205], methods=("edvae", "dvae", "sq_vae"))
    freeze.freeze("old", "demo", folder / "b", folder / "baselines")
    return better, folder / "baselines"


def test_a_folder_against_a_tag(sides):
    folder, given = sides
    lines = {(line.cell, line.metric): line for line in compare(str(folder), "old", given)}
    edvae = lines["EdVAE · digits · 64×8", "mse"]
    assert (edvae.word, edvae.seeds) == ("better", (3, 3))
    assert edvae.change == pytest.approx((1.155 / 8.61) ** (1 / 3) - 1)  # of geometric means
    assert edvae.low < edvae.change < edvae.high < 0
    assert lines["dVAE · digits · 64×8", "mse"].word == "can't tell"
    printed = text(list(lines.values()), "new", "old").splitlines()
    assert (
        "better      EdVAE · digits · 64×8 · mse: 0.01049 and 0.0205 (-48.8 %, 95 % -"
        in "\n".join(printed)
    )
    assert printed[-1].startswith("better, worse: new than old")
    alone = lines["SQ-VAE · digits · 64×8", "mse"]
    assert (alone.word, alone.why) == (
        "only in B",
        "there method=edvae, here sq_vae, there network=dalle, here sqvae",
    )


def test_the_largest_difference_comes_first_whichever_way(sides):
    folder, given = sides
    lines = compare(str(folder), "old", given)
    assert (lines[0].metric, lines[0].change) == ("mse", pytest.approx(-0.488, abs=0.001))
    alone = [line.word.startswith("only in") for line in lines]
    assert alone == sorted(alone)  # those last
    changes = [0.5, -0.5, None, 0.0, -1.0]  # 1.5 times, half, nothing to compare, the same, to 0
    made = [replace(lines[0], change=change) for change in changes]
    assert [line.change for line in sorted(made, key=size)] == [-1.0, -0.5, 0.5, 0.0, None]


def test_a_cell_alone_says_what_is_otherwise_in_the_nearest(tmp_path, sides):
    made_up(tmp_path / "c", [0.02, 0.021, 0.0205])  # the folder's cells, and another size
    other = MadeUp(tmp_path / "c", methods=("edvae",), sizes=((128, 8),),
                   stages=("train", "encode"), files=False)  # fmt: skip
    other.name = "larger"
    other.write()
    alone = [line for line in compare(str(tmp_path / "c"), "old", sides[1]) if "128" in line.cell]
    assert {(line.word, line.why) for line in alone} == {
        ("only in A", "there codebook_size=64, here 128")
    }
    assert "3 and 0 seeds: there codebook_size=64, here 128" in text(alone, "c", "old")


def test_nothing_in_common_is_one_line(tmp_path, sides):
    other = MadeUp(tmp_path / "c", sizes=((128, 8),), stages=("train", "encode"), files=False)
    with pytest.raises(UserError, match="no cell in common: ") as refused:
        compare(str(other.write()), "old", sides[1])
    assert str(refused.value).endswith("; the nearest two differ in codebook_size (128 and 64)")


def test_what_trainings_differ_in_is_named():
    apart = unlike.differences(
        {"dataset": "digits", "method.nu": 1, "my_vq.nu": 1, "train.steps": 500},
        {"dataset": "digits", "method.nu": 2, "my_vq.nu": 2, "train.steps": 1000},
    )
    both = "{name} ({own} and {other})"
    assert unlike.said(apart, both) == "my_vq.nu (1 and 2), train.steps (500 and 1000)"
    apart = {f"train.{name}": (1, 2) for name in "abcde"}
    assert unlike.said(apart, "{name}") == "train.a, train.b, train.c, and 2 more"
    assert unlike.said(apart | {"code_dim": (8, 4)}, "{name}") == "code_dim"  # the rest follows


def test_an_unknown_word_is_one_line(tmp_path, sides):
    with pytest.raises(UserError, match="neither a baseline's tag nor a folder"):
        compare(str(tmp_path / "nowhere"), "old", sides[1])


def test_diverged_seeds_are_named_beside_the_mean_of_those_that_did_not(tmp_path, sides):
    ends = {("edvae", "digits", 1): ("train", "diverged", "loss is nan")}
    made = MadeUp(
        tmp_path / "c",
        methods=("edvae", "dvae"),
        stages=("train", "encode"),
        ends=ends,
        files=False,
    )
    lines = compare(str(made.write()), "old", sides[1])
    edvae = next(
        line for line in lines if (line.cell, line.metric) == ("EdVAE · digits · 64×8", "mse")
    )
    assert (edvae.seeds, edvae.diverged) == ((2, 3), (1, 0))
    assert "2 (1 diverged) and 3 seeds" in text([edvae], "new", "old")


def test_three_copies_of_one_seed_are_refused(tmp_path, sides):
    folder = made_up(tmp_path / "c", [0.01, 0.01, 0.01])
    rows = tables.read(folder, "metrics")
    first = rows[rows["seed"] == 42].set_index(["method", "split", "metric"])["value"]
    for path in (folder / "metrics").glob("*.parquet"):
        frame = pd.read_parquet(path)
        keys = frame.set_index(["method", "split", "metric"]).index
        frame["value"] = first.reindex(keys).to_numpy()
        frame.to_parquet(path)
    with pytest.raises(UserError, match="are one training counted twice"):
        compare(str(folder), "old", sides[1])
