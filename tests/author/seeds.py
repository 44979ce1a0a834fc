"""Whether lint says the same of a subject whatever its seeds are, so that no fault is bad luck.

    python -m tests.author.seeds              # each subject of docs/lint.md, 20 times three seeds
    python -m tests.author.seeds vq_vae FSQ   # these

A line for each subject: its findings that are not ok, the same in all sets, or in how many of them.
Two processes are not tried: what they train from does not depend on the seeds.
"""

from __future__ import annotations

import sys
from collections import Counter

import torch

from collapsebench.author.lint import examine, sources
from collapsebench.author.lint.checks import in_order
from collapsebench.author.lint.findings import NOTE, OK
from collapsebench.author.lint.request import LintRequest, parse_settings
from collapsebench.plan.parts import NotFound
from collapsebench.settings import UserError
from tests.author import table

SETS = 20


def said(request: LintRequest, seeds: tuple[int, ...]) -> list[tuple[str, str]]:
    """(check, verdict) of what lint finds with these seeds, but for notes and what is right."""
    subject = sources.named(request)
    subject.seeds = seeds
    findings: list[tuple[str, str]] = []
    with torch.random.fork_rng(devices=[]):
        for check in in_order():
            if check.name == "two_processes" or (subject.does_not_run and findings):
                continue
            finding = subject.judged[check.name] = examine.judged(check, subject)
            if finding.verdict not in (OK, NOTE):
                findings.append((check.name, finding.verdict))
    return findings


def line(subject: str, request: LintRequest) -> str:
    """What lint says of one subject over all sets of seeds."""
    try:
        counts = Counter(
            finding
            for first in range(1, 3 * SETS, 3)
            for finding in said(request, (first, first + 1, first + 2))
        )
    except (UserError, NotFound) as error:
        return f"{subject}: {error}"
    words = [
        f"{check} {verdict}" + (f" in {n} of {SETS}" if n < SETS else "")
        for (check, verdict), n in counts.items()
    ]
    return f"{subject}: {', '.join(words) or 'ok'}"


def main() -> None:
    """Prints the lines of the chosen subjects, or of all."""
    torch.set_num_threads(1)
    only = set(sys.argv[1:])
    for subject, word, given in table.subjects():
        if not only or subject.split(" ")[0] in only:
            print(line(subject, LintRequest(word, parse_settings(given.split()))), flush=True)


if __name__ == "__main__":
    main()
