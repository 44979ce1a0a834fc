"""CONTRIBUTING's "where do I change …?": ten changes in a copy, each in the files it names."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import collapsebench
from collapsebench.author import scaffold
from collapsebench.results import tables
from tests.commands import call
from tests.conftest import tiny_grid

PACKAGE = Path(collapsebench.__file__).parent
DATASET = '''
"""stripes: 100 images of stripes."""
import numpy as np
from collapsebench.datasets import Dataset, Source, cut
from collapsebench.settings import Data

class Stripes(Dataset):
    label = "Stripes"
    image_size = 32
    train_images = 60

    def content_hash(self, settings: Data, root):
        return "stripes"

    def read(self, settings: Data, root):
        images = np.arange(100 * 32 * 32 * 3, dtype=np.uint8).reshape(100, 32, 32, 3)
        rest, held_out = cut(100, 40)
        splits = {"train": rest, "val": held_out[::2], "test": held_out[1::2]}
        return Source(images, splits, lambda i: "stripes")
'''
VIEW = '''
"""How many rows there are."""
from collapsebench.report import sections
from collapsebench.report.tables import Number, Table, TableLine, plain

title, section, place = "Rows in all", sections.COST, 799

def build(data):
    rows = [TableLine("metrics", [plain(Number(len(data.metrics), decimals=0))])]
    return [Table("rows-in-all", title, "Counted.", "table", ["rows"], rows)]
'''
LAUNCHER = '''
"""One job after another, in this process."""
from dataclasses import replace
from collapsebench.job import process
from collapsebench.launch.launcher import Launcher

class InTurn(Launcher):
    label = "In turn"

    def run(self, title, todo, options):
        for job in {task.job.job_id: task.job for task in todo}.values():
            folder = job.queue(self.results)
            replace(options.order, launcher=self.name, threads=1).write(folder)
            process.main(folder)
        return {task.job.job_id: "done" for task in todo}
'''
CHANGES = {  # row of the table -> file -> (what stands there, what is put in its place)
    "a method": {"methods/my_vq.py": ("", scaffold.TEMPLATE.format(label="My VQ", cls="MyVQ"))},
    "a dataset": {"datasets/stripes.py": ("", DATASET)},
    "a table or figure": {"report/views/rows_in_all.py": ("", VIEW)},
    "a launcher": {"launch/launchers/in_turn.py": ("", LAUNCHER)},
    "a codebook metric": {
        "metrics.py": ('    return {\n        "perplexity": perplexity(counts),',
                       '    return {\n        "largest_share": float(counts.max() / counts.sum()),'
                       '\n        "perplexity": perplexity(counts),'),
        "settings.py": ('"encode", Encode, implementation=1', '"encode", Encode, implementation=2'),
    },
    "a threshold": {"metrics.py": ("COLLAPSED_USAGE = 0.5", "COLLAPSED_USAGE = 0.75")},
    "a scale": {"plan/grids/_scales.toml": ("[paper]", '[blink]\n"train.points" = 3\n\n[paper]')},
    "a flag of `run`": {
        "cli/running.py": ("    order = Order(", "    order = Order(\n        reason=reason,"),
        "job/order.py": ("    threads: int = 0", '    threads: int = 0\n    reason: str = ""'),
    },
    "a format of token files": {
        "datasets/_arrays.py": ('    ".npy": _open_npy,',
                             '    ".npy": _open_npy,\n    ".txt": lambda path, name: '
                             "in_memory(np.loadtxt(path, dtype=np.int64)),"),
    },
}  # fmt: skip
ELSEWHERE = {  # have tests of their own
    "a stage", "a check of lint", "a cause of collapse", "what images, vectors or sequences are",
}  # fmt: skip
OPTION = "    slots: Annotated[int | None, how("  # before which the flag stands


def rows():
    """What CONTRIBUTING names for each change: its first words -> the cell beside them."""
    text = (PACKAGE.parent / "CONTRIBUTING.md").read_text(encoding="utf-8")
    table = text[text.index("| what | touch |") :].partition("\n\n")[0]
    return dict(line.strip("| ").split(" | ", 1) for line in table.splitlines()[2:])


@pytest.fixture(scope="module")
def said(tmp_path_factory, data_root):
    """The folder of a changed copy, and what its commands said."""
    folder = tmp_path_factory.mktemp("changed")
    package = folder / "collapsebench"
    shutil.copytree(PACKAGE, package)
    for files in CHANGES.values():
        for name, (there, put) in files.items():
            text = (package / name).read_text() if there else ""
            assert text.count(there) == 1 or not there, name
            (package / name).write_text(text.replace(there, put) if there else put.lstrip())
    running = package / "cli" / "running.py"
    flag = '    reason: Annotated[str, how(help="Why.")] = "",\n'
    running.write_text(running.read_text().replace(OPTION, flag + OPTION))
    (folder / "tiny.toml").write_text(tiny_grid("my_vq", steps=4))
    (folder / "tokens.txt").write_text("\n".join(map(str, np.arange(640) % 8)))
    run = "run -g tiny.toml -d stripes --scale blink --launcher in_turn --reason curiosity -y"
    lines = ["list", run, "report -g tiny --to md", "inspect tokens.txt -K 8 --to term"]
    places = {"COLLAPSEBENCH_DATA": str(data_root), "PYTHONPATH": str(folder)}
    return folder, call(lines, folder, **places)


def test_each_change_is_made_in_the_files_that_are_named():
    named = {
        what: set(re.findall(r"`([\w<>/]+\.(?:py|toml))`", cell)) for what, cell in rows().items()
    }
    assert named.keys() == CHANGES.keys() | ELSEWHERE
    for what, files in CHANGES.items():
        at = {
            re.sub(r"(?<=s/)\w+\.py$", "<name>.py", f) if not t else f
            for f, (t, _) in files.items()
        }
        assert at <= named[what], what
    for name in set().union(*named.values()):
        assert "<name>" in name or (PACKAGE / name).is_file(), name


def printed(said, table):
    """The lines of a table of the report."""
    return (said[0] / "reports" / "tiny" / "tables" / f"{table}.md").read_text().splitlines()


def test_plug_ins_are_listed(said):
    listed = said[1][0]
    for line in ("my_vq", "stripes", "in_turn  One job after another"):
        assert f"  {line}" in listed


def test_a_run_has_them_all(said):
    runs = tables.read(said[0] / "results", "runs")
    assert set(runs["status"]) == {"done"}
    assert set(runs["method"]) == {"vq_vae", "my_vq"}
    assert set(runs["dataset"]) == {"stripes"}
    assert set(runs["launcher"]) == {"in_turn"}
    assert set(runs["scale"]) == {"blink"}
    orders = [json.loads(p.read_text()) for p in said[0].glob("results/jobs/*/order.json")]
    assert [order["reason"] for order in orders] == ["curiosity"] * 2


def test_the_metric_is_measured_and_in_the_codebook_table(said):
    frame = tables.read(said[0] / "results", "metrics")
    shares = frame[(frame["metric"] == "largest_share") & (frame["split"] == "test")]["value"]
    counts = tables.read(said[0] / "results", "codes").query("split == 'test'")["counts"]
    expected = [np.max(own) / np.sum(own) for own in counts]
    assert sorted(shares) == pytest.approx(sorted(expected))
    head, _, *lines = [line.split(" | ") for line in printed(said, "codebook-1") if "|" in line]
    at = head.index("largest share |")
    shares = [float(line[at].removesuffix(" |")) for line in lines]
    assert sorted(shares) == pytest.approx(sorted(expected), abs=0.005)


def test_the_view_and_the_threshold_are_in_the_report(said):
    rows = len(tables.read(said[0] / "results", "metrics"))
    assert printed(said, "rows-in-all")[-2] == f"| metrics | {rows} |"
    assert "Stripes" in printed(said, "table1")[0]
    assert any("fewer than 75 % of the codes used" in line for line in printed(said, "table1"))


def test_the_format_is_read(said):
    assert "tokens.txt: healthy" in said[1][3]
