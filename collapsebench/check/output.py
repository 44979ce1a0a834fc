"""Findings for people, scripts, GitHub, test reporters and badges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from collapsebench.check.verdicts import (
    BETTER,
    EXIT_CODES,
    MISSING,
    OK,
    UNSURE,
    WORSE,
    Finding,
    exit_code,
    overall,
)
from collapsebench.results import disk

COLOURS = {OK: "brightgreen", BETTER: "blue", UNSURE: "yellow", MISSING: "lightgrey", WORSE: "red"}
GITHUB = {WORSE: "error", MISSING: "error", UNSURE: "warning", BETTER: "notice"}


def text(findings: Sequence[Finding]) -> str:
    """One line per finding, then the sum; what needs a look stands last."""
    order = list(EXIT_CODES)
    lines = [
        f"{f.verdict:<16}  level {f.level}  {f.subject}: {f.text}"
        for f in sorted(findings, key=lambda f: -order.index(f.verdict))
    ]
    return "\n".join([*lines, f"{overall(findings)}: {summary(findings)}"])


def summary(findings: Sequence[Finding]) -> str:
    """How many of each: "12 ok, 1 worse"."""
    counts = {v: sum(f.verdict == v for f in findings) for v in EXIT_CODES}
    return ", ".join(f"{n} {verdict}" for verdict, n in counts.items() if n) or "no finding"


def as_dict(findings: Sequence[Finding], fail_on: str) -> dict[str, Any]:
    """JSON-ready."""
    return {
        "verdict": overall(findings),
        "exit_code": exit_code(findings, fail_on),
        "findings": [asdict(finding) for finding in findings],
    }


def github(findings: Sequence[Finding]) -> str:
    """Workflow commands: an annotation for each finding that is not ok."""
    lines = []
    for f in findings:
        if f.verdict in GITHUB:
            title = _escaped(f"{f.verdict}: {f.subject}").replace(":", "%3A").replace(",", "%2C")
            lines.append(f"::{GITHUB[f.verdict]} title={title}::{_escaped(f.text)}")
    return "\n".join(lines)


def _escaped(line: str) -> str:
    return line.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def junit(findings: Sequence[Finding], path: Path) -> None:
    """A JUnit XML file: worse fails, nothing measured is an error, can't tell is skipped.

    A case that passes because it is better says so in its output.
    """
    tags = {WORSE: "failure", MISSING: "error", UNSURE: "skipped"}
    counts = {
        f"{tag}s" if tag != "skipped" else tag: str(sum(f.verdict == v for f in findings))
        for v, tag in tags.items()
    }
    facts = {"name": "collapsebench check", "tests": str(len(findings))}
    suite = ElementTree.Element("testsuite", facts | counts)
    for f in findings:
        case = ElementTree.SubElement(
            suite, "testcase", classname=f"collapsebench.level{f.level}", name=f.subject
        )
        if f.verdict in tags:
            ElementTree.SubElement(case, tags[f.verdict], message=f"{f.verdict}: {f.text}")
        elif f.verdict == BETTER:
            ElementTree.SubElement(case, "system-out").text = f"{f.verdict}: {f.text}"
    document = ElementTree.ElementTree(suite)
    disk.replace_atomically(
        path, lambda p: document.write(p, "utf-8", xml_declaration=True), ElementTree.parse
    )


def badge(findings: Sequence[Finding], path: Path) -> None:
    """A shields.io endpoint file."""
    verdict = overall(findings)
    disk.write_json(
        path,
        {
            "schemaVersion": 1,
            "label": "numbers",
            "message": verdict,
            "color": COLOURS[verdict],
        },
    )
