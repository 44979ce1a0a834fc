"""The four words, their weight, and every form they are written in."""

import json
from xml.etree import ElementTree

import pytest

from collapsebench.check import output
from collapsebench.check.verdicts import (
    BETTER,
    MISSING,
    OK,
    UNSURE,
    WORSE,
    Finding,
    exit_code,
    overall,
)

FINDINGS = [
    Finding(0, "edvae", OK, "271 numbers within 1e-05"),
    Finding(2, "dVAE · mse", WORSE, "20 % up: beyond\nthe margin, 3 %", {"change": 0.2}),
    Finding(2, "dVAE · perplexity", UNSURE, "2 more seeds would tell"),
    Finding(2, "EdVAE · mse", MISSING, "no new row"),
]


@pytest.mark.parametrize(
    ("verdicts", "word", "code", "forgiving"),
    [
        ([OK, OK], OK, 0, 0),
        ([OK, UNSURE], UNSURE, 3, 0),
        ([UNSURE, MISSING], MISSING, 4, 4),
        ([MISSING, OK, WORSE], WORSE, 1, 1),
        ([], MISSING, 4, 4),
    ],
)
def test_the_weightiest_verdict_decides_the_exit_code(verdicts, word, code, forgiving):
    findings = [Finding(0, "x", verdict, "") for verdict in verdicts]
    assert overall(findings) == word
    assert exit_code(findings, "unsure") == code
    assert exit_code(findings, "worse") == forgiving


def test_text_ends_with_what_needs_a_look():
    lines = output.text(FINDINGS).splitlines()
    assert lines[0].startswith("ok ")
    assert "level 2  dVAE · mse: 20 % up" in lines[3]
    assert lines[-1] == "worse: 1 worse, 1 nothing measured, 1 can't tell, 1 ok"


def test_json_carries_the_numbers():
    found = json.loads(json.dumps(output.as_dict(FINDINGS, "worse")))
    assert (found["verdict"], found["exit_code"]) == ("worse", 1)
    assert found["findings"][1]["values"] == {"change": 0.2}


def test_github_annotations_are_escaped_and_leave_out_what_is_ok():
    lines = output.github(FINDINGS).splitlines()
    assert lines == [
        "::error title=worse%3A dVAE · mse::20 %25 up: beyond%0Athe margin, 3 %25",
        "::warning title=can't tell%3A dVAE · perplexity::2 more seeds would tell",
        "::error title=nothing measured%3A EdVAE · mse::no new row",
    ]


def test_junit_counts_what_its_cases_say(tmp_path):
    output.junit(FINDINGS, tmp_path / "check.xml")
    suite = ElementTree.parse(tmp_path / "check.xml").getroot()
    counts = {name: suite.get(name) for name in ("tests", "failures", "errors", "skipped")}
    assert counts == {"tests": "4", "failures": "1", "errors": "1", "skipped": "1"}
    assert [[child.tag for child in case] for case in suite] == [
        [], ["failure"], ["skipped"], ["error"],
    ]  # fmt: skip
    assert suite[1].get("classname") == "collapsebench.level2"


def test_badge_has_the_shape_that_shields_reads(tmp_path):
    output.badge(FINDINGS[:1], tmp_path / "badge.json")
    assert json.loads((tmp_path / "badge.json").read_text()) == {
        "schemaVersion": 1, "label": "numbers", "message": "ok", "color": "brightgreen",
    }  # fmt: skip


def test_better_is_said_in_every_form_and_ends_well(tmp_path):
    findings = [FINDINGS[0], Finding(2, "dVAE · mse", BETTER, "halved", {"change": -0.5})]
    assert (overall(findings), exit_code(findings, "unsure")) == (BETTER, 0)
    assert output.text(findings).splitlines()[1:] == [
        "better            level 2  dVAE · mse: halved",
        "better: 1 better, 1 ok",
    ]
    assert output.as_dict(findings, "unsure")["findings"][1]["verdict"] == "better"
    assert output.github(findings) == "::notice title=better%3A dVAE · mse::halved"
    output.junit(findings, tmp_path / "check.xml")
    suite = ElementTree.parse(tmp_path / "check.xml").getroot()
    assert suite.get("failures") == suite.get("errors") == suite.get("skipped") == "0"
    assert suite.findtext("testcase/system-out") == "better: halved"
    output.badge(findings, tmp_path / "badge.json")
    assert json.loads((tmp_path / "badge.json").read_text())["message"] == "better"
