"""Reading baselines: where they are looked for, what is damaged, what stands beside a job."""

import json

import pytest

from collapsebench.check import freeze
from collapsebench.plan import registry
from collapsebench.results import baselines
from collapsebench.settings import UserError
from tests.report.made_up import MadeUp


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A folder of baselines that holds the tag `mine`, and the ids of its comparison."""
    folder = tmp_path_factory.mktemp("frozen")
    made_up = MadeUp(folder / "results", methods=("edvae", "dvae"), stages=("train", "encode"))
    freeze.freeze("mine", "demo", made_up.write(), folder / "baselines")
    return folder / "baselines", {job["comparison_id"] for job in made_up.jobs()}


def test_the_working_folder_comes_before_the_package(tmp_path, monkeypatch):
    (tmp_path / "baselines").mkdir()
    monkeypatch.chdir(tmp_path)
    assert baselines.folders()[0].resolve() == tmp_path / "baselines"
    assert (baselines.folders()[-1] / "paper.csv").is_file()
    assert baselines.file("paper.csv") == baselines.folders()[-1] / "paper.csv"


def test_published_numbers_are_the_printed_ones():
    found = baselines.published()
    edvae = found["edvae", "cifar10", 512, 16, "perplexity"]
    assert (edvae.mean, edvae.sd, edvae.n_seeds) == (420.33, 4.49, 3)
    assert (edvae.network, edvae.split, edvae.source) == ("dalle", "test", "Table 1")
    assert found["edvae", "celeba", 512, 16, "perplexity"].split == "val"


def test_an_unknown_tag_is_one_line(given):
    with pytest.raises(UserError, match="no baseline 'mime'; did you mean 'mine'"):
        baselines.find("mime", given[0])


def test_a_file_that_was_edited_is_refused(given, tmp_path):
    folder, _ = given
    path = folder / "mine" / baselines.MANIFEST
    text = path.read_text()
    found = json.loads(text)
    found["files"]["metrics/mine.parquet"] = "0" * 64
    path.write_text(json.dumps(found))
    with pytest.raises(UserError, match=r"metrics/mine.parquet is not the file that MANIFEST"):
        baselines.manifest(folder / "mine")
    path.write_text(text)
    assert baselines.manifest(folder / "mine")["tag"] == "mine"


def test_what_stands_beside_a_job_shares_its_comparison(given):
    folder, comparisons = given
    rows = baselines.beside(comparisons, folder)["mine"]
    assert set(rows["method"]) == {"edvae", "dvae"}
    assert set(rows["comparison_id"]) == comparisons
    assert baselines.beside({"another"}, folder) == {}


@pytest.mark.parametrize(
    ("train", "same"),
    [
        ({"steps": 150_000, "horizon": 150_000, "ramp": 50_000}, True),
        ({"steps": 52_000, "horizon": 150_000, "ramp": 50_000}, True),
        ({"steps": 40_000, "horizon": 150_000, "ramp": 50_000}, False),
        ({"steps": 500, "horizon": 500, "ramp": 150_000}, False),
    ],
)
def test_the_papers_schedules_past_the_ramp_are_not_apart(train, same):
    assert (baselines.apart({"train": train}, "dalle") == "") == same


def test_what_sets_a_job_apart_is_named():
    train = {"steps": 2000, "horizon": 2000, "ramp": 150_000, "batch_size": 32}
    found = baselines.apart({"train": train, "network": {"width": 16}}, "dalle")
    assert found == (
        "other schedule (2000 steps, schedules over 2000 of 150000), other batches (32 images), "
        "other width (dalle 16)"
    )


@pytest.mark.parametrize("network", baselines.WIDTHS)
def test_printed_widths_are_the_networks_defaults(network):
    assert registry.network_module(network).Settings().width == baselines.WIDTHS[network]


def test_every_shipped_tag_is_whole():
    found = baselines.tags()
    assert "ci" in found
    for tag, folder in found.items():
        assert baselines.manifest(folder)["tag"] == tag


@pytest.mark.parametrize("tag", baselines.tags())
def test_the_commands_of_a_shipped_tag_name_no_place_of_one_machine(tag):
    content = baselines.described(baselines.find(tag))
    assert content["commands"]
    assert not [command for command in content["commands"] if " /" in command or "=/" in command]
