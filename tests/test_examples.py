"""Every example runs as it is printed, and the table in the documentation is what one prints."""

import runpy
import warnings
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
NEEDS = {
    "monitor_lightning": ("lightning",),
    "monitor_transformers": ("transformers", "accelerate"),
}


@pytest.fixture
def output(tmp_path, monkeypatch, capsys):
    """``output("misleading_numbers")`` -> what the example prints, run in a folder of its own."""

    def run(name):
        monkeypatch.chdir(tmp_path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # those of other packages
            runpy.run_path(str(ROOT / "examples" / f"{name}.py"), run_name="__main__")
        return capsys.readouterr().out

    return run


@pytest.mark.parametrize("name", sorted(p.stem for p in (ROOT / "examples").glob("monitor_*.py")))
def test_a_monitor_runs_in_every_kind_of_loop(output, name, tmp_path):
    for package in NEEDS.get(name, ()):
        pytest.importorskip(package, reason=f"{package} is not installed")
    assert "usage" in output(name).splitlines()[-1]
    assert (tmp_path / "codes.parquet").is_file()


def test_the_table_of_misleading_numbers_is_what_its_command_prints(output):
    printed = output("misleading_numbers")
    assert "868 (mean of batches) | 3,991" in printed
    assert "98.2 % in the window" in printed
    assert "22.1 % in the window" in printed
    assert printed in (ROOT / "docs" / "monitor.md").read_text()
