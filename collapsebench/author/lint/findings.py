"""What lint found, for a terminal, a notebook, a script and a workflow."""

from __future__ import annotations

import html
import textwrap
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

OK, FAILED, NOTE, CANNOT = "ok", "FAILED", "note", "can't"
WIDTH = 80  # of a terminal's line
INDENT = " " * 10


@dataclass(frozen=True)
class Verdict:
    """What one check says, before its name stands beside it.

    Attributes:
        text: what was measured, or why nothing could be.
        cause: the usual cause of a fault.
        trace: the subject's own traceback.
        line: the subject's own line, ``my_vq.py:42: ...``.
    """

    verdict: str
    text: str = ""
    cause: str = ""
    trace: str = ""
    line: str = ""


def ok(text: str = "") -> Verdict:
    """Nothing is wrong."""
    return Verdict(OK, text)


def failed(text: str, cause: str = "") -> Verdict:
    """A fault, measured on every seed."""
    return Verdict(FAILED, text, cause)


def note(text: str) -> Verdict:
    """Worth knowing, and right for some."""
    return Verdict(NOTE, text)


def cannot(text: str) -> Verdict:
    """Not judged."""
    return Verdict(CANNOT, text)


@dataclass(frozen=True)
class LintFinding:
    """One check's verdict.

    Attributes:
        check: the check's name, stable for scripts.
        title: what a right quantizer keeps.
        verdict: ok, FAILED, note or can't.
        right: what a right quantizer gives, in figures where there are any.
    """

    check: str
    title: str
    verdict: str
    text: str = ""
    cause: str = ""
    right: str = ""
    trace: str = ""
    line: str = ""

    def __str__(self) -> str:
        said = f"{self.title}: {self.text}" if self.text else self.title
        if self.verdict == OK:
            said = self.title
        lines = [f"  {self.verdict:<8}{_filled(said)}"]
        if self.verdict == FAILED:
            told = {"right": self.right, "cause": self.cause, "line": self.line}
            lines += [f"{INDENT}{_filled(f'{k}: {v}')}" for k, v in told.items() if v]
            lines += textwrap.indent(self.trace, INDENT).splitlines()
        return "\n".join(lines)


def _filled(text: str) -> str:
    return textwrap.fill(
        text, WIDTH - len(INDENT), break_on_hyphens=False, break_long_words=False
    ).replace("\n", f"\n{INDENT}")


@dataclass(frozen=True)
class Findings:
    """All findings about one subject; a sequence of them.

    Attributes:
        subject: the name that was asked about.
        found: where its parts were, ``layout bnd, vectors 0, tokens 1, loss 2``.
    """

    subject: str
    findings: tuple[LintFinding, ...]
    found: str = ""

    @property
    def ok(self) -> bool:
        """No fault, and enough was judged to say so."""
        return self.exit_code == 0

    @property
    def faults(self) -> tuple[LintFinding, ...]:
        """The findings that failed."""
        return tuple(f for f in self.findings if f.verdict == FAILED)

    @property
    def exit_code(self) -> int:
        """0; 1 a fault; 3 more than half of the checks could not be judged."""
        if self.faults:
            return 1
        unjudged = sum(f.verdict == CANNOT for f in self.findings)
        return 3 if 2 * unjudged > len(self.findings) else 0

    def __iter__(self) -> Iterator[LintFinding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __getitem__(self, check: str) -> LintFinding:
        return next(f for f in self.findings if f.check == check)

    def __str__(self) -> str:
        head = f"{self.subject}: {self.found}" if self.found else self.subject
        return "\n".join([head, *map(str, self.findings), self.summary])

    __repr__ = __str__

    @property
    def summary(self) -> str:
        """``1 of 16 checks failed: codebook_learns``."""
        names = ", ".join(f.check for f in self.faults)
        if names:
            return f"{len(self.faults)} of {len(self)} checks failed: {names}"
        unjudged = sum(f.verdict == CANNOT for f in self.findings)
        rest = f"; {unjudged} of {len(self)} checks could not be judged" if unjudged else ""
        return f"no fault found{rest}" if self.exit_code == 0 else f"not enough was judged{rest}"

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        facts = {"subject": self.subject, "found": self.found, "exit_code": self.exit_code}
        return facts | {"findings": [asdict(finding) for finding in self.findings]}

    def github(self) -> str:
        """Workflow commands: an error for each fault, a warning for what could not be judged."""
        levels = {FAILED: "error", CANNOT: "warning", NOTE: "notice"}
        return "\n".join(
            f"::{levels[f.verdict]} title={_escaped(self.subject + ' ' + f.check, True)}::"
            + _escaped(f"{f.title}: {f.text}", False)
            for f in self.findings
            if f.verdict in levels
        )

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td><b>{html.escape(f.verdict)}</b></td><td>{html.escape(f.title)}</td>"
            f"<td>{html.escape(' '.join(filter(None, (f.text, f.cause))))}</td></tr>"
            for f in self.findings
        )
        head = html.escape(f"{self.subject}: {self.summary}")
        return f"<table><caption>{head}</caption><tbody>{rows}</tbody></table>"


def _escaped(text: str, title: bool) -> str:
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text.replace(":", "%3A").replace(",", "%2C") if title else text
