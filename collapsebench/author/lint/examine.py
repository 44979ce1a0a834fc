"""Runs the checks over a subject, each on its own: an exception or a long time is a finding."""

from __future__ import annotations

import signal
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType

import torch

from collapsebench.author.lint.checks import LintCheck, in_order
from collapsebench.author.lint.findings import (
    CANNOT,
    FAILED,
    Findings,
    LintFinding,
    Verdict,
    cannot,
)
from collapsebench.author.lint.subject import Subject
from collapsebench.job import tracebacks
from collapsebench.plan.wrapped import Refused, Wrapped

Listener = Callable[[LintFinding], None]
RUNS = "it runs: forward in training and evaluation, and a step back"
CPU_TO_WALL = 8  # a busy machine gives a check this much more time on the clock

forks: list[str] = []  # lines of the subject's that forked, where somebody watches


class Overtime(BaseException):
    """A check did not end in its time; no handler of the subject's catches it by accident."""


def examine(
    subject: Subject,
    listen: Listener = lambda finding: None,
    announce: Callable[[LintCheck], None] = lambda check: None,
) -> Findings:
    """Every check's finding, in order; the global generator is as before afterwards.

    Where the subject does not run at all, little else is tried.

    Args:
        listen: is told each finding as it stands.
        announce: is told each check before it begins.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in in_order():
            if subject.does_not_run and check.name != "side_effects":
                continue
            announce(check)
            finding = judged(check, subject)
            subject.judged[check.name] = finding
            listen(finding)
    findings = tuple(subject.judged.values())
    return Findings(subject.name, findings, described(subject) if len(findings) > 1 else "")


def refused(error: Refused) -> LintFinding:
    """A module that fails in every layout: at the same line of its own, it is its own fault."""
    lines = {tracebacks.own_line(each) for each in error.errors.values()}
    first = next(iter(error.errors.values()))
    if len(lines) > 1 or lines == {""}:
        return LintFinding("runs", RUNS, CANNOT, str(error))
    return LintFinding(
        "runs",
        RUNS,
        FAILED,
        tracebacks.sentence(first),
        line=lines.pop(),
        trace=tracebacks.own_traceback(first),
    )


def judged(check: LintCheck, subject: Subject) -> LintFinding:
    """One check's finding."""
    try:
        with time_limit(check.limit_s):
            verdict = check.function(subject)
    except Overtime as error:
        verdict = Verdict(
            FAILED, f"it did not end within {check.limit_s:g} s", line=tracebacks.own_line(error)
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # the subject may raise anything, SystemExit included
        verdict = _raised(check, error)
    if forks:
        verdict = Verdict(FAILED, f"it forks a process: {forks.pop()}")
        forks.clear()
    facts = asdict(verdict) | {"right": check.right}
    return LintFinding(check=check.name, title=check.title, **facts)


def _raised(check: LintCheck, error: BaseException) -> Verdict:
    said, line = tracebacks.sentence(error), tracebacks.own_line(error)
    if check.optional:
        return cannot(f"it refuses what was tried: {said}" + (f" ({line})" if line else ""))
    return Verdict(FAILED, said, trace=tracebacks.own_traceback(error), line=line)


@contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raises ``Overtime`` in the block after so much processor time, where signals allow it."""
    main = threading.current_thread() is threading.main_thread()
    if not main or not hasattr(signal, "setitimer"):
        yield
        return

    def ring(number: int, frame: FrameType | None) -> None:
        raise Overtime

    timers = (
        (signal.SIGPROF, signal.ITIMER_PROF, seconds),
        (signal.SIGALRM, signal.ITIMER_REAL, seconds * CPU_TO_WALL),
    )
    before = [signal.signal(number, ring) for number, _, _ in timers]
    for _, timer, limit in timers:
        signal.setitimer(timer, limit)
    try:
        yield
    finally:
        for (number, timer, _), handler in zip(timers, before, strict=True):
            signal.setitimer(timer, 0)
            signal.signal(number, handler)


def described(subject: Subject) -> str:
    """``K = 64, D = 8; layout bnd, vectors 0, tokens 1, loss 2``."""
    sizes = f"K = {subject.size[0]}, D = {subject.size[1]}"
    sample = subject.sample
    if not isinstance(sample, Wrapped):
        return sizes
    roles, lookup = sample.roles, sample.lookup
    places = {"vectors": (roles.vectors,), "tokens": roles.tokens, "loss": roles.losses}
    told = [
        f"{role} {' '.join('.'.join(p) or 'all' for p in paths) or 'none'}"
        for role, paths in places.items()
    ]
    told.append(f"tokens back by {lookup.name or 'rows of the codebook'}")
    return f"{sizes}; layout {sample.form.name}, {', '.join(told)}"
