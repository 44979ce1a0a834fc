"""Two processes on different data, joined by gloo over the loopback: do they keep one codebook?"""

from __future__ import annotations

import inspect
import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import distributed

from collapsebench.author.lint.checks.registry import check
from collapsebench.author.lint.findings import Verdict, cannot, failed, note, ok
from collapsebench.author.lint.subject import SEEDS, Subject, is_wrapped
from collapsebench.plan.wrapped import Wrapped

STEPS = 12  # by then what is rare has been replaced
RANKS = 2
LIMIT_S = 240.0  # on the clock; a busy machine is slow, and what waits in vain ends by itself
CLOSE = 1e-4  # of the codes' size


@check(
    "two processes on different data keep one codebook",
    f"after {STEPS} steps the codebooks of both are the same",
    limit_s=60.0,
    optional=True,
)
def two_processes(subject: Subject) -> Verdict:
    """Gradients are averaged, as data-parallel training does; the rest is the module's affair."""
    if subject.codebooks == 0 or subject.fixed:
        return ok()
    speaks = "distributed" in _source(subject)
    if not is_wrapped(subject) and not speaks:
        return note("not tried: a job here is one process, and the method leaves it at that")
    if not distributed.is_available() or not distributed.is_gloo_available():
        return cannot("gloo is not available")
    if subject.module is not None and speaks:
        return cannot(
            "a module asks torch.distributed while it is built, and this one was built "
            "before: give lint its class, as package.module:Class"
        )
    try:
        known = subject.method.found if issubclass(subject.method, Wrapped) else {}
        payload = pickle.dumps((subject.request, subject.module, subject.size, known))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        return cannot(f"the module cannot be sent to another process: {error}")
    return _verdict(_run(payload))


def _source(subject: Subject) -> str:
    """The code of the classes that the subject is made of."""
    files = {inspect.getsourcefile(type(module)) for module in subject.sample.modules()}
    own = [Path(f) for f in files if f and "torch/nn" not in f and "collapsebench/plan" not in f]
    return "\n".join(path.read_text(encoding="utf-8") for path in own)


def _run(payload: bytes) -> list[dict[str, Any]]:
    """What each rank reports; one that failed or was ended reports an error."""
    with tempfile.TemporaryDirectory() as folder:
        started = [_start(payload, rank, Path(folder)) for rank in range(RANKS)]
        reports = []
        for rank, process in enumerate(started):
            try:
                process.wait(LIMIT_S)
            except subprocess.TimeoutExpired:
                for each in started:
                    each.kill()
            path = Path(folder) / f"{rank}.pt"
            reports.append(torch.load(path) if path.exists() else {"error": "", "ended": True})
        return reports


def _start(payload: bytes, rank: int, folder: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    process = subprocess.Popen(
        [sys.executable, "-m", "collapsebench.author.lint.rank", str(rank), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    assert process.stdin is not None
    process.stdin.write(payload)
    process.stdin.close()
    return process


def _verdict(reports: list[dict[str, Any]]) -> Verdict:
    errors = [r["error"] for r in reports if r.get("error")]
    if any("ended" in r for r in reports) or any("timed out" in e.lower() for e in errors):
        return failed(
            "the processes wait for each other, or do not end",
            "a collective that not every process reaches",
        )
    if errors:
        return cannot(f"it does not run in a process group: {errors[0]}")
    offs = []
    for seed in SEEDS:
        mine, other = (report["codes"][seed] for report in reports)
        offs.append(float((mine - other).abs().max() / (mine.abs().max() + 1e-12)))
    if all(off > CLOSE for off in offs):
        return failed(
            f"after {STEPS} steps they differ by {max(offs):.1%} of the largest code",
            "averages or replacement of each process alone, without all_reduce",
        )
    return ok()
