"""Each planted fault is found by its check and by no other; what is right is left alone."""

import importlib
from pathlib import Path

import pytest
import torch

from collapsebench.author.lint import checks, examine, sources
from collapsebench.author.lint.findings import CANNOT, FAILED, NOTE, OK, Findings, LintFinding
from collapsebench.author.lint.request import LintRequest, parse_outputs, parse_settings
from collapsebench.plan import registry
from collapsebench.settings import UserError
from tests.author.faults import right
from tests.conftest import some_of

FAULTS = sorted(p for p in Path(right.__file__).parent.glob("*.py") if p.stem[0] != "_")
FAULTS.remove(Path(right.__file__))
ALONE = "two_processes"
FEW = (1, 2)  # seeds; the slow tests take as many as a user's lint
LONG = {"revival", "revival_threshold", "save_load", ALONE}  # a second and more each


def found(request, monkeypatch, seeds=None, long=frozenset()):
    order = [c for c in checks.in_order() if c.name not in LONG or c.name in long]
    monkeypatch.setattr(examine, "in_order", lambda: order)
    subject = sources.named(request)
    subject.seeds = seeds or subject.seeds
    return examine.examine(subject)


def expected(path):
    return importlib.import_module(f"tests.author.faults.{path.stem}").CHECK


@pytest.mark.parametrize("path", some_of(FAULTS, expected, lambda path: path.stem, count=1))
def test_fault_is_caught_by_its_check_and_by_no_other(path, monkeypatch):
    if expected(path) == ALONE:
        pytest.skip("in the test of two processes")
    faults = found(LintRequest(str(path)), monkeypatch, FEW, {expected(path)}).faults
    assert [finding.check for finding in faults] == [expected(path)]


@pytest.mark.slow
@pytest.mark.parametrize("path", FAULTS, ids=lambda path: path.stem)
def test_fault_is_caught_by_none_of_the_long_checks_either(path, monkeypatch):
    faults = found(LintRequest(str(path)), monkeypatch, long=LONG).faults
    assert [finding.check for finding in faults] == [expected(path)]


def test_every_check_has_a_planted_fault():
    notes_only = {"runs", "beta_side"}
    planted = {expected(path) for path in FAULTS}
    assert planted == {check.name for check in checks.in_order()} - notes_only
    assert len(FAULTS) >= 25


@pytest.mark.parametrize("name", right.RIGHT)
def test_the_same_quantizers_without_a_fault_have_no_finding(name, monkeypatch):
    request = LintRequest(f"tests.author.faults.right:{name}")
    findings = found(request, monkeypatch, FEW, LONG - {ALONE})
    assert findings.ok
    assert {finding.verdict for finding in findings} <= {OK, NOTE}


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("averages_of_one_process:AveragesOfOneProcess", FAILED),
        pytest.param("revival_of_one_process:RevivalOfOneProcess", FAILED, marks=pytest.mark.slow),
        pytest.param("right:AverageVQ", OK, marks=pytest.mark.slow),
    ],
)
def test_two_processes_are_told_apart_by_their_averages(name, verdict):
    subject = sources.named(LintRequest(f"tests.author.faults.{name}"))
    assert examine.judged(checks.CHECKS[ALONE], subject).verdict == verdict


@pytest.mark.parametrize("name", registry.names("methods"))
def test_shipped_method_has_no_fault(name, monkeypatch):
    assert not found(LintRequest(name), monkeypatch, FEW[:1]).faults


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(0, 20))
@pytest.mark.parametrize("name", [*registry.names("methods"), *right.RIGHT])
def test_no_false_alarm_over_twenty_seeds(name, seed, monkeypatch):
    word = f"tests.author.faults.right:{name}" if name in right.RIGHT else name
    seeds = tuple(range(10 * seed + 11, 10 * seed + 14))
    assert not found(LintRequest(word), monkeypatch, seeds, LONG - {ALONE}).faults


# --- what is said


def test_a_terminal_line_wraps_and_a_fault_says_what_is_right_and_why():
    finding = LintFinding(
        "codebook_learns", "the codebook learns", FAILED, "0 of 64 codes moved " * 6,
        cause="no path", right="all move", line="my.py:3: x",
    )  # fmt: skip
    lines = str(finding).splitlines()
    assert lines[0].startswith("  FAILED  the codebook learns: 0 of 64")
    assert max(map(len, lines)) <= 88
    assert lines[-3:] == ["          right: all move", "          cause: no path",
                          "          line: my.py:3: x"]  # fmt: skip


def findings(*verdicts):
    return Findings("x", tuple(LintFinding(f"c{i}", f"t{i}", v, "a: b, c%\n") for i, v in
                               enumerate(verdicts)))  # fmt: skip


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [((OK, NOTE), 0), ((OK, FAILED), 1), ((OK, CANNOT, CANNOT), 3), ((OK, CANNOT), 0)],
)
def test_exit_code(verdicts, code):
    assert findings(*verdicts).exit_code == code
    assert findings(*verdicts).ok == (code == 0)


def test_annotations_and_notebook_escape():
    found = findings(OK, FAILED, CANNOT)
    assert found.github().splitlines() == [
        "::error title=x c1::t1: a: b, c%25%0A", "::warning title=x c2::t2: a: b, c%25%0A",
    ]  # fmt: skip
    html = Findings("<x>", (LintFinding("c", "t", FAILED, "a < b"),))._repr_html_()
    assert "&lt;x&gt;" in html
    assert "<td>a &lt; b</td>" in html
    assert found["c2"].verdict == CANNOT


def test_settings_and_outputs_of_the_command_line():
    assert parse_settings(["dim=16", "method.beta=0.5", "x=abc"]) == {
        "dim": 16, "beta": 0.5, "x": "abc",
    }  # fmt: skip
    assert parse_outputs("vectors=0, tokens=2.1") == {"vectors": "0", "tokens": "2.1"}
    for wrong in ("dim", "=3"):
        with pytest.raises(UserError, match="write NAME=VALUE"):
            parse_settings([wrong])
    for wrong in ("vector=0", "tokens", "loss="):
        with pytest.raises(UserError, match="write ROLE=PLACE of vectors, tokens, loss, decoder"):
            parse_outputs(wrong)


# --- from Python


def test_a_module_is_linted_as_it_stands_with_the_callers_example():
    import collapsebench

    module = right.PlainVQ(dim=16, codebook_size=32)
    state = {name: t.clone() for name, t in module.state_dict().items()}
    findings = collapsebench.lint(module, example=3 + torch.randn(4, 50, 16))
    assert findings["encoder_gradient"].verdict == OK
    assert not findings.faults
    assert "K = 32, D = 16; layout bnd" in findings.found
    assert all(torch.equal(t, state[name]) for name, t in module.state_dict().items())


def test_a_faulty_module_is_found_from_python():
    import collapsebench
    from tests.author.faults.half_a_lattice import HalfALattice

    findings = collapsebench.lint(HalfALattice(), example=torch.randn(4, 50, 2))
    assert [f.check for f in findings.faults] == ["reachable"]
    assert not findings.ok


def test_an_example_that_does_not_fit_is_bad_input():
    import collapsebench

    with pytest.raises(UserError, match="must be a float tensor"):
        collapsebench.lint(right.PlainVQ(), example=torch.zeros(4, 5, 8, dtype=torch.int64))
    with pytest.raises(UserError, match="has 5 axes"):
        collapsebench.lint(right.PlainVQ(), example=torch.zeros(1, 1, 1, 1, 8))
