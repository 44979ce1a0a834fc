"""A stage added in a copy of the package: its record and its function, in two files."""

import json
import math
import shutil
from pathlib import Path

import pytest

import collapsebench
from collapsebench import metrics
from collapsebench.results import tables
from tests.commands import call
from tests.conftest import tiny_grid

SETTINGS = """
@dataclass(frozen=True)
class Entropy:
    passes: Positive = 1


"""
RECORD = """
        Stage(
            "entropy", Entropy, implementation=1, parent="encode", reads={},
            files={"notes": ("entropy.txt",)},
            macs=lambda load, own: 9.7e12 * 3600 * own.passes,
            size=lambda load, own: 5e9,
        ),
"""
FUNCTION = """

def entropy_stage(workspace: Workspace) -> Result:
    counts = metrics.counts(workspace.tokens("test"), workspace.job.codebook_size)
    (workspace.folder / "entropy.txt").write_text("once more")
    rows = metric_rows({"entropy_again": metrics.entropy(counts)}, "test", int(counts.sum()))
    return {"metrics": rows}, {}, ["entropy.txt"]
"""


@pytest.fixture
def changed(tmp_path):
    """A folder with a copy of the package that has the stage, and a grid that asks for it."""
    package = tmp_path / "collapsebench"
    shutil.copytree(Path(collapsebench.__file__).parent, package)
    settings, stages = package / "settings.py", package / "job" / "stages.py"
    text = settings.read_text().replace("Cost = Callable", SETTINGS.lstrip() + "Cost = Callable", 1)
    settings.write_text(text.replace("    )\n}  # fmt: skip\nSTAGES", f"{RECORD}    )\n}}\nSTAGES"))
    stages.write_text(stages.read_text() + FUNCTION)
    grid = tiny_grid("dvae", steps=6).replace('"encode"]', '"encode", "entropy"]')
    (tmp_path / "tiny.toml").write_text(grid)
    return tmp_path


def test_a_new_stage_is_planned_run_and_cleaned_up(changed, data_root):
    what = "-g tiny.toml -m vq_vae --set entropy.passes=3"
    lines = [
        f"plan {what} --device a100 --json",
        f"run {what} --debug -y",
        "gc --keep model,tokens,codebook,images",
    ]
    places = {"COLLAPSEBENCH_DATA": str(data_root), "PYTHONPATH": str(changed)}
    planned, _, cleaned = call(lines, changed, **places)
    assert json.loads(planned)["hours"]["entropy"] == pytest.approx(3)  # an hour on an A100 a pass
    assert json.loads(planned)["gigabytes"] > 5
    assert "1 files of 1 complete jobs" in cleaned
    results = changed / "results"
    assert not list(results.glob("jobs/*/entropy.txt"))

    runs = tables.read(results, "runs").set_index("stage")
    assert sorted(runs.index) == ["encode", "entropy", "train"]
    assert runs.loc["entropy", "status"] == "done"
    rows = tables.read(results, "metrics")
    (again,) = rows[rows["metric"] == "entropy_again"]["value"]
    (codes,) = tables.read(results, "codes").query("split == 'test'")["counts"]
    assert math.isclose(again, metrics.entropy(codes))
