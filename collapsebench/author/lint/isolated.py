"""Lint in a process of its own: a subject that loops, waits, forks, exits or fills the memory."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import selectors
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil

from collapsebench import extras
from collapsebench.author.lint.findings import FAILED, Findings, LintFinding
from collapsebench.author.lint.request import LintRequest
from collapsebench.settings import UserError

IDLE_S = 30.0  # without an answer and without work
WORK_S = 150.0  # of processor time, all checks together
PAUSE_S = 0.5


def lint(request: LintRequest) -> Findings:
    """All findings about a subject, whatever it does to the process that calls it.

    Raises:
        UserError: nothing to examine: no such name, file, class or setting; no torch.
    """
    extras.require("torch")  # which the other process would only end for
    findings: list[LintFinding] = []
    found, ended, started = "", "", {"check": "runs", "title": "it can be built", "right": ""}
    with _Child(request) as child:
        for message in child.messages():
            if "refused" in message:
                raise UserError(message["refused"])
            if "finding" in message:
                findings.append(LintFinding(**message["finding"]))
            started = message.get("started", started)
            found = message.get("found", found)
            ended = message.get("ended", ended)
    if ended:
        findings.append(LintFinding(**started, verdict=FAILED, text=ended))
    return Findings(request.word, tuple(findings), found)


class _Child:
    """The other process and the pipe on which it answers, a JSON object a line."""

    def __init__(self, request: LintRequest):
        self.request = request

    def __enter__(self) -> _Child:
        self.read_end, write_end = os.pipe()
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "collapsebench.author.lint.child", str(write_end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment,
            pass_fds=(write_end,),
            start_new_session=True,
        )
        os.close(write_end)
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(dataclasses.asdict(self.request)).encode())
        self.process.stdin.close()
        return self

    def __exit__(self, *exception: object) -> None:
        self.kill()
        os.close(self.read_end)

    def messages(self) -> Iterator[dict[str, Any]]:
        """What it says until it is done; at last, if it did not come so far, why it ended."""
        buffer, done = b"", False
        heard, worked = time.monotonic(), 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self.read_end, selectors.EVENT_READ)
            while not done:
                if selector.select(PAUSE_S):
                    piece = os.read(self.read_end, 65536)
                    if not piece:
                        break
                    *lines, buffer = (buffer + piece).split(b"\n")
                    for line in lines:
                        message = json.loads(line)
                        done |= bool(message.get("done"))
                        yield message
                    heard, worked = time.monotonic(), self.work_s()
                elif time.monotonic() - heard > IDLE_S:
                    work = self.work_s()
                    if work - worked < 1.0 or work > WORK_S:
                        self.kill()
                        yield {
                            "ended": "it waits without end"
                            if work - worked < 1.0
                            else f"it works without end: over {WORK_S:g} s"
                        }
                        return
                    heard, worked = time.monotonic(), work
        if not done:
            yield {"ended": f"the process ended in it, {self.fate()}"}

    def work_s(self) -> float:
        """Processor seconds of the process and those that it started."""
        try:
            family = [psutil.Process(self.process.pid)]
            family += family[0].children(recursive=True)
            return sum(sum(one.cpu_times()[:2]) for one in family)
        except psutil.Error:
            return 0.0

    def fate(self) -> str:
        """``exit code 3`` or ``signal 11``."""
        try:
            code = self.process.wait(5)
        except subprocess.TimeoutExpired:
            return "its answers closed"
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def kill(self) -> None:
        """Ends the process and all that it started."""
        try:
            family = psutil.Process(self.process.pid).children(recursive=True)
        except psutil.Error:
            family = []
        self.process.kill()
        for one in family:
            with contextlib.suppress(psutil.Error):
                one.kill()
        self.process.wait()
