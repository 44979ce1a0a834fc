"""The light installation: what needs no tensors works without torch, all else says so in a line."""

import ast
import dataclasses
import importlib
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import collapsebench
from collapsebench import extras
from collapsebench.plan import resolve
from collapsebench.plan.grid import Point
from collapsebench.results import disk
from tests.conftest import FEW, TINY

PACKAGE = Path(collapsebench.__file__).parent
ROOT = PACKAGE.parent
FROZEN = ROOT / "baselines" / "ci"
POSIX = {"fcntl", "grp", "posix", "pty", "pwd", "resource", "syslog", "termios", "tty"}
NEEDED = (
    'collapsebench: this needs {}, which is not installed: pip install "collapsebench[train]"\n'
)
TENSORS = {
    "author", "check/telltale", "check/tensors", "check/trajectories", "fidelity", "job",
    "methods", "networks", "ops", "plan/arguments", "plan/costs", "plan/lookup", "plan/parts",
    "plan/wrapped", "prior", "quantizer", "schedules",
}  # fmt: skip

# Read by every Python that is started with its folder on the path: also by those of our own.
ABSENT = f"""
import importlib.abc, sys

class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {set(extras.EXTRAS)!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
"""

TRAINED = {  # needs tensors -> the first module that it misses
    "run --grid demo -y": "torch",
    "plan --grid tables": "torch",
    "try digits": "torch",
    "check --results mine": "torch",
    "freeze --trajectories": "torch",
    "retry --failed -r failed": "torch",
    "lint vq_vae": "torch",
    "test-method edvae": "torch",
    "data prepare inception": "torch",
    "data prepare -d digits --root data": "sklearn",
    "inspect tokens.pt": "torch",
    "inspect tokens.npy -K 64 --images folder folder": "torch",
}
LIGHTLY = {  # what it prints there
    "list": "vq_vae",
    "doctor": 'pip install "collapsebench[train]"',
    "data list --root data": "digits",
    "status -r mine": "60 jobs",
    "status -r mine --json": '"job_id"',
    "gc -r mine --dry-run": "would free",
    "report -r mine --to html,md,csv,latex": "report: ",  # files of figures take long
    "report -r mine --grid ci --to term": "EdVAE",
    "check --level 2 -b ci -r mine --fail-on worse": "level 2",
    "compare ci mine": "same",
    "order codebook_size=64 codebook_size=256 -r demo": "tau",
    "export metrics -r mine -o metrics.csv": "2370 rows",
    "export --to every-eval-ever -r mine -o records": "records in records",
    "export --to croissant -r mine": "a description of mine",
    "inspect tokens.npy -K 64 --to html,term,json": "healthy",
    "inspect history.parquet": "healthy",
    "diagnose history.parquet": "no diagnosis",
    "new-method my_vq": "test-method",
}

MONITORED = """
import numpy as np
from collapsebench import CodebookMonitor, codebook_metrics, load_results

rng = np.random.default_rng(0)
monitor = CodebookMonitor(64, out="history.parquet")
for _ in range(3):
    for _ in range(20):
        monitor.update(rng.integers(0, 64, (8, 8)), rng.normal(size=(64, 4)))
    assert monitor.compute()["usage"] == 1
assert codebook_metrics(rng.integers(0, 64, 2000), 64)["usage"] == 1
assert len(load_results("mine")) == 2370
"""


EACH = """
import contextlib, io, json, sys
from collapsebench.cli import main

ends = []
for line in sys.argv[1:]:
    sys.argv, code = ["collapsebench", *line.split()], 0
    with (
        contextlib.redirect_stdout(io.StringIO()) as said,
        contextlib.redirect_stderr(io.StringIO()) as refused,
    ):
        try:
            main()
        except SystemExit as ended:
            code = ended.code or 0
    ends.append([code, said.getvalue(), refused.getvalue()])
print(json.dumps(ends))
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder: frozen rows as if they were trained anew, tokens, and a failed job."""
    folder = tmp_path_factory.mktemp("light")
    shutil.copytree(FROZEN, folder / "mine")
    for path in (folder / "mine").rglob("*.parquet"):
        table = pq.read_table(path)
        if "run_id" in table.column_names:
            ids = pa.array([f"new-{name}" for name in table["run_id"].to_pylist()])
            place = table.column_names.index("run_id")
            pq.write_table(table.set_column(place, "run_id", ids), path)
    np.save(folder / "tokens.npy", np.random.default_rng(0).integers(0, 64, (100, 8, 8)))
    (folder / "tokens.pt").touch()
    (folder / "folder").mkdir()
    fail(folder / "failed")
    (folder / "hook").mkdir()
    (folder / "hook" / "sitecustomize.py").write_text(ABSENT)
    return folder


def fail(results):
    """A results folder with one job that failed."""
    job = resolve.resolve(Point("vq_vae", "", FEW, 16, 4, 1, TINY), ("train",), "demo", results)
    disk.write_json(results / "grids" / "g.json", {"jobs": [dataclasses.asdict(job)]})
    said = {"stage": "train", "status": "error", "message": "broke"}
    disk.write_json(job.queue(results) / "status.json", said)


def call(folder, *arguments):
    """A Python that has nothing of what the extras bring."""
    paths = os.pathsep.join(map(str, (folder / "hook", ROOT)))
    ended = subprocess.run(
        [sys.executable, "-c", *arguments],
        cwd=folder, env=os.environ | {"PYTHONPATH": paths, "COLUMNS": "200"},
        capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_what_needs_no_tensors_works_without_them(folder):
    call(folder, MONITORED)
    ends = json.loads(call(folder, EACH, *LIGHTLY))
    for (line, word), (code, said, refused) in zip(LIGHTLY.items(), ends, strict=True):
        assert code == 0, f"{line}: {refused}"
        assert word in said, line


def test_what_needs_them_says_in_one_line_how_to_get_them(folder):
    ends = json.loads(call(folder, EACH, *TRAINED))
    for (line, module), (code, said, refused) in zip(TRAINED.items(), ends, strict=True):
        assert (line, code, said, refused) == (line, 2, "", NEEDED.format(module))


def test_python_says_so_too(folder):
    asked = """
import collapsebench
from collapsebench.settings import UserError

for call in (lambda: collapsebench.lint(None), lambda: collapsebench.load("a", "mine")):
    try:
        call()
    except UserError as error:
        print(f"collapsebench: {error}")
"""
    assert call(folder, asked) == 2 * NEEDED.format("torch")


def test_a_users_file_that_imports_torch_says_how_to_get_it(folder):
    (folder / "mine.py").write_text("import torch\n")
    [[code, _, refused]] = json.loads(call(folder, EACH, "data prepare -d mine.py"))
    assert code == 2
    assert refused.endswith("""mine.py:1 cannot be imported: ModuleNotFoundError: No module named \
'torch'; pip install "collapsebench[train]"\n""")


@pytest.mark.parametrize("name", ["lightning", "transformers"])
def test_a_callback_names_the_package_that_it_is_for(name, monkeypatch):
    for module in (f"collapsebench.monitor.{name}", "pytorch_lightning"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setitem(sys.modules, "pytorch_lightning", None)
    with pytest.raises(ModuleNotFoundError, match=f"pip install {name}$") as refused:
        importlib.import_module(f"collapsebench.monitor.{name}")
    assert refused.value.__cause__ is None


def imported(path):
    """First names of the modules that a file imports when it is imported itself."""
    waiting = list(ast.parse(path.read_text(encoding="utf-8")).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]
        elif not isinstance(node, ast.FunctionDef | ast.Lambda) and not is_for_types(node):
            waiting += ast.iter_child_nodes(node)


def is_for_types(node):
    """``if TYPE_CHECKING:``."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def importing(modules):
    """Modules of the package that import any of these when they are imported, by their paths."""
    return {
        path.relative_to(PACKAGE).with_suffix("").as_posix()
        for path in PACKAGE.rglob("*.py")
        if not set(imported(path)).isdisjoint(modules)
    }


def test_only_what_works_on_tensors_imports_them():
    found = importing(extras.EXTRAS)
    assert {name if name in TENSORS else name.split("/")[0] for name in found} == TENSORS


def test_nothing_of_one_system_alone_is_imported_with_the_rest():
    assert importing(POSIX) == {"author/lint/child", "author/lint/rank"}


def test_the_extras_are_those_of_the_installation():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    brought = defaultdict(set)
    for module, extra in extras.EXTRAS.items():
        name = {"sklearn": "scikit-learn"}.get(module, module.replace("_", "-"))
        brought[extra].add(name)
    listed = project["optional-dependencies"].items()
    assert brought == {extra: {re.match(r"[\w-]+", n)[0] for n in needs} for extra, needs in listed}
    assert "version" in project["dynamic"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {collapsebench.__version__}\n" in citation
