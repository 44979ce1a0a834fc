"""Which form of the training step runs, and that it says why."""

import json
from pathlib import Path

import pytest
import torch

from collapsebench.job import variants
from collapsebench.settings import Train

CPU = torch.device("cpu")
LONG = Train()


@pytest.fixture
def measured(monkeypatch):
    monkeypatch.setattr(variants, "MEASURED", {"cpu": {"edvae": 1.5, "dvae": 1.01}})


def test_the_table_is_the_measured_one():
    results = json.loads((Path(__file__).parent.parent / "speed" / "results.json").read_text())
    rows = {row["name"]: row["value"] for row in results["training"]["rows"]}
    for method, gain in variants.MEASURED["cpu"].items():
        assert gain == round(rows[f"training/{method}_compiled"], 2)


def test_what_was_measured_to_pay_is_compiled(measured, tmp_path, monkeypatch):
    compiler = tmp_path / "c++"
    compiler.touch(mode=0o755)
    monkeypatch.setenv("CXX", str(compiler))
    assert variants.choose("edvae", LONG, CPU) == ("compiled", "measured 1.50 times as fast")


@pytest.mark.parametrize(
    ("method", "settings", "reason"),
    [
        ("dvae", LONG, "not measured to pay"),  # 1 % is noise
        ("mine", LONG, "not measured to pay"),
        ("edvae", Train(steps=9_999), "from 10000 steps on"),
    ],
)
def test_everything_else_runs_plain_and_says_why(measured, method, settings, reason):
    variant, said = variants.choose(method, settings, CPU)
    assert variant == "plain"
    assert reason in said


def test_another_device_was_not_measured(measured):
    assert variants.choose("edvae", LONG, torch.device("meta"))[0] == "plain"


def test_without_a_compiler_it_runs_plain(measured, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert variants.choose("edvae", LONG, CPU) == ("plain", "no C++ compiler was found")


def test_precision_decides_before_the_table(measured):
    assert variants.choose("edvae", Train(precision="bf16"), CPU)[0] == "bf16"


def test_a_step_that_does_not_compile_goes_on_plain_with_the_same_noise(monkeypatch, capsys):
    def refuse(step, **options):
        def compiled(x):
            torch.rand(3)
            raise RuntimeError("no luck\nand a long trace")

        return compiled

    monkeypatch.setattr(torch, "compile", refuse)
    step = variants.guarded(lambda x: x + torch.rand(2))
    torch.manual_seed(1)
    found = [step(torch.zeros(2)), step(torch.zeros(2))]
    torch.manual_seed(1)
    assert torch.equal(torch.stack(found), torch.rand(4).view(2, 2))
    assert capsys.readouterr().out == "train: compiling failed, goes on plain: no luck\n"
