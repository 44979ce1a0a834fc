"""Every example runs as it is printed, and the table in the documentation is what one prints."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDS = {
    "monitor_lightning": ("lightning",),
    "monitor_transformers": ("transformers", "accelerate"),
}


def output(name: str, folder: Path) -> str:
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(
        [sys.executable, ROOT / "examples" / f"{name}.py"],
        cwd=folder, env=os.environ | {"PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "examples").glob("monitor_*.py")))
def test_a_monitor_runs_in_every_kind_of_loop(name, tmp_path):
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")
    assert "usage" in output(name, tmp_path).splitlines()[-1]
    assert (tmp_path / "codes.parquet").is_file()


def test_the_table_of_misleading_numbers_is_what_its_command_prints(tmp_path):
    printed = output("misleading_numbers", tmp_path)
    assert "868 (mean of batches) | 3,991" in printed
    assert "98.2 % in the window" in printed
    assert "22.1 % in the window" in printed
    assert printed in (ROOT / "docs" / "monitor.md").read_text()
