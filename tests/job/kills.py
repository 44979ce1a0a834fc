"""Disturbs small jobs at random moments; what they leave must be what undisturbed ones leave.

    python -m tests.job.kills --count 200 --seed 0
    python -m tests.job.kills --minutes 20 --runs 3

One round runs as many jobs as there are runs, each run starting any job that is not done, until all
are. Every file is compared byte for byte but logs, claims, orders, progress, dataset caches and the
rows of ``runs``, of which all columns but ``TIMED`` are compared.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path

import pandas as pd

from collapsebench.plan import resolve
from collapsebench.plan.grid import Point
from collapsebench.plan.job import Job
from collapsebench.results import claims, tables
from collapsebench.results.folder import job_folder
from tests.conftest import ALL, FEW, TINY
from tests.launch.jobs_at_work import assert_committed_once, ended, numbers, start

LONGER = {"train.steps": 150, "prior.epochs": 4}
MOST_KILLS = 5  # of a job in a round; then it is let alone
UNTIMED = ("log.txt", "progress.json", "order.json", "runs", "cache", "__pycache__")
TIMED = ["run_id", "attempt", "started_at", "finished_at", "wall_s", "items_per_s",
         "peak_memory_bytes", "launcher_job"]  # fmt: skip
SIGNALS = {
    "SIGKILL": [signal.SIGKILL],
    "SIGTERM": [signal.SIGTERM],
    "SIGHUP": [signal.SIGHUP],
    "SIGINT": [signal.SIGINT],
    "SIGINT twice": [signal.SIGINT, signal.SIGINT],
    "SIGSTOP, taken over": [signal.SIGSTOP],
}


def job(seed: int, data_root: Path) -> Job:
    """A job of all stages that takes a few seconds."""
    point = Point("gs_vq_vae", "vqvae", FEW, 8, 4, seed, TINY | LONGER)
    return resolve.resolve(point, ALL, "demo", data_root)


def left(results: Path) -> dict[Path, bytes]:
    """Path -> content of what is no log, claim or time."""
    return {
        path.relative_to(results): path.read_bytes()
        for path in results.rglob("*")
        if path.is_file()
        and not path.name.startswith("claim-")
        and not set(UNTIMED) & set(path.relative_to(results).parts)
    }


def committed(results: Path) -> pd.DataFrame:
    """The final rows of ``runs`` without what a clock or a counter of attempts says."""
    runs = tables.read(results, "runs")
    final = runs[runs["status"].isin(tables.FINAL)].drop(columns=TIMED)
    return final.sort_values(["job_id", "stage"]).reset_index(drop=True)


def assert_same(results: Path, whole: Path) -> None:
    """Every row and every file is what it would have been, byte for byte, but for times."""
    pd.testing.assert_frame_equal(numbers(results), numbers(whole), check_exact=True)
    pd.testing.assert_frame_equal(committed(results), committed(whole), check_exact=True)
    found, expected = left(results), left(whole)
    unlike = [path for path in {*found, *expected} if found.get(path) != expected.get(path)]
    assert not unlike, f"not as undisturbed: {', '.join(map(str, unlike))}"
    assert_committed_once(results)


@dataclass
class Round:
    """Runs that share a results folder and are disturbed."""

    results: Path
    data_root: Path
    jobs: list[Job]
    moments: random.Random
    longest_s: float  # that a job takes undisturbed
    sent: Counter[str] = field(default_factory=Counter)

    def run(self, runs: int) -> None:
        """Until every job is done; raises what a run raised."""
        for queued in self.jobs:
            queued.queue(self.results)
        errors: list[BaseException] = []
        threads = [threading.Thread(target=self._go_on, args=(errors,)) for _ in range(runs)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    def _go_on(self, errors: list[BaseException]) -> None:
        try:
            while left_over := [job for job in self.jobs if job.pending(self.results)]:
                folder = job_folder(self.results, self.moments.choice(left_over).job_id)
                process = start(folder, self.data_root, checkpoint_s=0.05)
                process.join(self.moments.uniform(0.05, self.longest_s))
                if self.sent.total() < MOST_KILLS * len(self.jobs) and process.exitcode is None:
                    self._disturb(folder, process)
                ended(process)
        except (AssertionError, OSError, ValueError) as error:
            errors.append(error)

    def _disturb(self, folder: Path, process: BaseProcess) -> None:
        name = self.moments.choice(list(SIGNALS))
        self.sent[name] += 1
        assert process.pid is not None
        for number in SIGNALS[name]:
            with contextlib.suppress(ProcessLookupError):  # it ended, or died of the first of two
                os.kill(process.pid, number)
            time.sleep(self.moments.uniform(0, 0.1))
        if signal.SIGSTOP in SIGNALS[name]:
            release(folder, process.pid)
            ended(start(folder, self.data_root, checkpoint_s=0.05))
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)


def release(folder: Path, pid: int) -> None:
    """Lets others take a job over from a stopped process, as a silent host's is taken over."""
    holder = claims.holder(folder)
    if holder is not None and holder["pid"] == pid:
        path = claims.path(folder, claims.latest(folder))
        path.write_text(json.dumps(holder | {"released": True}))


def main() -> None:
    """Rounds until enough signals were sent or the time is up; prints how many of each kind."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=0, help="signals to send")
    parser.add_argument("--minutes", type=float, default=0.0, help="or for so long")
    parser.add_argument("--runs", type=int, default=1, help="runs at a time")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    began, sent, rounds = time.monotonic(), Counter[str](), 0
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        jobs = [job(seed, root / "data") for seed in range(asked.runs)]
        for whole in jobs:
            assert ended(start(whole.queue(root / "whole"), root / "data")) == 0
        longest_s = tables.read(root / "whole", "runs").groupby("job_id")["wall_s"].sum().max()
        while sent.total() < asked.count or time.monotonic() - began < 60 * asked.minutes:
            moments = random.Random(f"{asked.seed} {rounds}")
            round_ = Round(root / str(rounds), root / "data", jobs, moments, longest_s)
            round_.run(asked.runs)
            assert_same(round_.results, root / "whole")
            sent, rounds = sent + round_.sent, rounds + 1
            print(f"{rounds} rounds, {sent.total()} signals", flush=True)
    minutes = (time.monotonic() - began) / 60
    print(
        f"{rounds} rounds of {len(jobs)} jobs in {minutes:.0f} min, all equal to the undisturbed:"
    )
    print(", ".join(f"{count} {name}" for name, count in sent.most_common()))


if __name__ == "__main__":
    main()
