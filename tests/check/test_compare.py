"""Two sets of rows beside each other."""

import pandas as pd
import pytest

from collapsebench.check import freeze
from collapsebench.check.compare import compare, text
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


@pytest.fixture
def sides(tmp_path):
    better = made_up(tmp_path / "a", [0.010, 0.011, 0.0105])
    made_up(tmp_path / "b", [0.020, 0.021, 0.0205], methods=("edvae", "dvae", "sq_vae"))
    freeze.freeze("old", "demo", tmp_path / "b", tmp_path / "baselines")
    return better, tmp_path / "baselines"


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
    assert lines["SQ-VAE · digits · 64×8", "mse"].word == "only in B"


def test_nothing_in_common_is_one_line(tmp_path, sides):
    other = MadeUp(tmp_path / "c", sizes=((128, 8),), stages=("train", "encode"), files=False)
    with pytest.raises(UserError, match="no cell in common"):
        compare(str(other.write()), "old", sides[1])


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
