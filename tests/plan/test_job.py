import filecmp
import json
import time
from dataclasses import replace

import pytest

from collapsebench.plan import grid, resolve
from collapsebench.plan.grid import Point
from collapsebench.plan.job import Job
from collapsebench.results import tables
from collapsebench.settings import STAGES, UserError
from tests.conftest import FEW

PAPER_POINT = Point("edvae", "", "cifar10", 512, 16, 42)


def test_ids_of_the_papers_first_job_are_written_out():
    job = resolve.resolve(PAPER_POINT, STAGES, "paper")
    assert (job.job_id, job.config_id, job.comparison_id) == IDS
    assert job.stage_ids == STAGE_IDS


IDS = ("7763ba85fc3c1c37", "84c831fb7bbc20b1", "c3b024e2d363b4bf")
STAGE_IDS = {
    "train": "7763ba85fc3c1c37",
    "encode": "8b97f16eedeaa627",
    "prior": "fdf114a9a9a8bddc",
    "sample": "00643503a7373ad2",
    "score": "92d8fa0b8bdcbf22",
}


def test_published_defaults_per_dataset_are_resolved():
    beta = {
        name: resolve.resolve(Point("edvae", "", name, 512, 16, 42), STAGES, "paper").settings[
            "method"
        ]["beta"]
        for name in ("cifar10", "celeba", "lsun_church")
    }
    assert beta == {"cifar10": 5e-7, "celeba": 1e-7, "lsun_church": 1e-7}
    lsun = resolve.resolve(Point("edvae", "", "lsun_church", 512, 16, 42), STAGES, "paper")
    assert lsun.settings["network"]["kernel"] == 7


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"seed": 1}, {"config_id", "comparison_id"}),
        ({"method": "dvae"}, {"comparison_id"}),
        ({"settings": {"edvae.beta": 1e-6}}, {"comparison_id"}),
        ({"settings": {"train.points": 7}}, {"job_id", "config_id", "comparison_id"}),
        ({"settings": {"dvae.beta": 1e-6}}, {"job_id", "config_id", "comparison_id"}),
        ({"settings": {"train.steps": 9}}, set()),
        ({"codebook_size": 256}, set()),
        ({"settings": {"dalle.width": 64}}, set()),
        ({"settings": {"edvae.beta": 5e-7}}, {"job_id", "config_id", "comparison_id"}),
        ({"settings": {"score.k": 3}}, {"job_id", "config_id", "comparison_id"}),
    ],
)
def test_what_changes_which_id(change, same):
    first = resolve.resolve(PAPER_POINT, STAGES, "paper")
    point = Point(**(PAPER_POINT.__dict__ | change))
    other = resolve.resolve(point, STAGES, "paper")
    names = ("job_id", "config_id", "comparison_id")
    assert {n for n in names if getattr(first, n) == getattr(other, n)} == same


def test_a_stages_id_follows_from_its_own_settings_and_its_parents():
    first = resolve.resolve(PAPER_POINT, STAGES, "paper").stage_ids
    rescored = resolve.resolve(
        Point("edvae", "", "cifar10", 512, 16, 42, {"score.k": 3}), STAGES, "paper"
    ).stage_ids
    assert {s for s in STAGES if first[s] == rescored[s]} == set(STAGES) - {"score"}
    longer = resolve.resolve(
        Point("edvae", "", "cifar10", 512, 16, 42, {"prior.epochs": 3}), STAGES, "paper"
    ).stage_ids
    assert {s for s in STAGES if first[s] == longer[s]} == {"train", "encode"}


def test_a_cell_is_labelled_by_what_was_chosen_and_differs():
    def label(value):
        point = Point("edvae", "", "digits", 8, 4, 1, {"method.clamp": value}, ("method.clamp",))
        return resolve.resolve(point, STAGES, "paper").settings_label

    assert label(15.0) == "clamp=15"
    assert label(20.0) == ""


def test_a_method_given_by_path_is_labelled_by_settings_under_its_own_name(tmp_path):
    path = tmp_path / "my_vq.py"
    path.write_text("""
from dataclasses import dataclass
from collapsebench.quantizer import Quantizer


class Mine(Quantizer):
    @dataclass(frozen=True)
    class Settings:
        nu: float = 1.0
""")
    point = Point(str(path), "", "digits", 8, 4, 1, {"my_vq.nu": 0.5}, ("my_vq.nu",))
    assert resolve.resolve(point, STAGES, "paper").settings_label == "nu=0.5"


def test_equal_configurations_of_two_grids_are_one_job():
    tables, sizes = grid.load("tables"), grid.load("codebook_size")
    first = {j.job_id for j in resolve.jobs(tables, tables.points())}
    second = {j.job_id for j in resolve.jobs(sizes, sizes.points())}
    assert len(first & second) == 6 * 2 * 3  # 512 x 16 on CIFAR10 and CelebA, three seeds


TIED = """
from collapsebench.quantizer import Quantizer


class Bits(Quantizer):
    @classmethod
    def dim_for(cls, codebook_size, settings=None):
        return codebook_size.bit_length() - 1
"""


def test_a_tied_code_dimension_is_the_jobs_own_and_runs_once_per_codebook_size(tmp_path):
    path = tmp_path / "bits.py"
    path.write_text(TIED)
    axes = {"method": [str(path), "vq_vae"], "dataset": ["digits"],
            "codebook_size": [16, 64], "code_dim": [8, 4]}  # fmt: skip
    sizes = grid.with_overrides(grid.load("codebook_size"), axes=axes, seeds=[1])
    found = resolve.jobs(sizes, sizes.points())
    tied = {job.codebook_size: job for job in found if job.method == "bits"}
    free = {(job.codebook_size, job.code_dim): job for job in found if job.method == "vq_vae"}
    assert len(found) == 2 + 4
    assert {size: job.code_dim for size, job in tied.items()} == {16: 4, 64: 6}
    for size, job in tied.items():  # it stands in the table of the grid's first dimension
        assert job.comparison_id == free[size, 8].comparison_id

    alone = Point(str(path), "", "digits", 64, 6, 1, sizes.points()[0].settings)
    assert resolve.resolve(alone, STAGES, "paper").job_id == tied[64].job_id


@pytest.mark.parametrize(
    ("point", "message"),
    [
        (
            Point("edvae", "", "cifar11", 8, 4, 1),
            "unknown dataset 'cifar11'; did you mean 'cifar10'",
        ),
        (Point("edvae", "dale", "digits", 8, 4, 1), "unknown network 'dale'; did you mean 'dalle'"),
        (Point("edvae", "", "digits", 8, 4, 1, {"edvae.betta": 1.0}), "did you mean 'beta'"),
        (Point("edvae", "", "digits", 8, 4, 1, {"edvea.beta": 1.0}), "did you mean 'edvae'"),
        (
            Point("edvae", "", "digits", 8, 4, 1, {"method.kl": "f64"}),
            "bad value for 'edvae.kl': 'f64'",
        ),
    ],
)
def test_impossible_points_are_refused_in_one_line(point, message):
    with pytest.raises(UserError, match=message) as caught:
        resolve.resolve(point, STAGES, "paper")
    assert "\n" not in str(caught.value)


def test_an_edited_user_file_is_a_new_job_and_its_copy_is_what_runs(tmp_path):
    from collapsebench.author import scaffold

    path = scaffold.new_method("my_vq", tmp_path)
    point = Point(str(path), "", "digits", 8, 4, 1)
    first = resolve.resolve(point, STAGES, "paper")
    folder = first.queue(tmp_path / "results")
    copy = folder / "my_vq.py"
    path.write_text(path.read_text().replace("0.25", "0.5"))
    second = resolve.resolve(point, STAGES, "paper")
    assert first.method == second.method == "my_vq"
    assert first.kind == "user"
    assert first.job_id != second.job_id
    assert first.code["method"].startswith("my_vq@")
    assert Job.load(folder).files == {"method": str(copy)}
    assert "0.25" in copy.read_text()


def test_a_job_survives_being_written_down(tmp_path):
    job = resolve.resolve(PAPER_POINT, STAGES, "paper")
    folder = job.queue(tmp_path)
    assert folder == tmp_path / "jobs" / job.job_id
    assert Job.load(folder) == job
    assert json.loads((folder / "job.json").read_text())["seed"] == 42


def test_a_folder_without_a_job_is_refused(tmp_path):
    with pytest.raises(UserError, match="not a job's folder"):
        Job.load(tmp_path)
    (tmp_path / "job.json").write_text('{"job_id": "x"}')
    with pytest.raises(UserError, match="cannot be read"):
        Job.load(tmp_path)


def test_pending_stops_at_a_result_that_ends_the_job(tmp_path):
    job = resolve.resolve(PAPER_POINT, STAGES, "paper")
    assert job.pending(tmp_path) == STAGES
    name = f"{job.job_id}.train.{job.stage_ids['train']}"
    tables.write(tmp_path, "runs", f"{name}.error-0123", [{"job_id": job.job_id}])
    assert job.pending(tmp_path) == STAGES
    tables.write(tmp_path, "runs", f"{name}.done", [{"job_id": job.job_id}])
    assert job.pending(tmp_path) == STAGES[1:]
    encode = f"{job.job_id}.encode.{job.stage_ids['encode']}.diverged"
    tables.write(tmp_path, "runs", encode, [{"job_id": job.job_id}])
    assert job.pending(tmp_path) == ()


def test_a_thousand_points_resolve_in_seconds():
    points = [
        Point("edvae", "", "cifar10", 512, 16, seed, {"edvae.beta": 1e-9 * i})
        for seed in range(10)
        for i in range(100)
    ]
    began = time.process_time()
    for point in points:
        resolve.resolve(point, STAGES, "paper")
    assert (
        time.process_time() - began < 2.0
    )  # 1 000 points; the measured figure is in tests/workspace


def test_a_results_folder_can_be_moved_with_the_users_files_in_it(tmp_path):
    job = resolve.resolve(Point("vq_vae", "", FEW, 16, 4, 1), STAGES, "demo", tmp_path)
    job.queue(tmp_path / "here")
    (tmp_path / "here").rename(tmp_path / "there")
    place = tmp_path / "there" / "jobs" / job.job_id
    moved = Job.load(place)
    assert moved == replace(job, files={"dataset": str(place / "few_digits.py")})
    assert filecmp.cmp(FEW, moved.files["dataset"], shallow=False)
