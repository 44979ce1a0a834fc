"""Who is working on a job: so that two runs on one folder share the work.

Claims are numbered files, ``claim-<n>.json``, and the highest number counts. A claim is never
removed by its holder, only marked as released, and never overwritten by another, only followed by
the next number: creating a file that must not exist yet is atomic, so of two takers one wins.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from collapsebench.results import disk
from collapsebench.results.folder import read_json, set_aside

BEAT_S = 10.0  # between two beats of a holder's heart
FIELDS = {"host": str, "pid": int, "started": float, "token": str}  # of a claim
SILENT_READINGS = 6  # readings without a beat, at least BEAT_S apart, until a claim is stale


class Taken(Exception):
    """Somebody else works on this job."""


class Watch:
    """Tells whether a folder is free, over several looks at it.

    A claim of this host is stale when its process is gone (pid and start time). One of another
    host is stale when its heartbeat did not move over several readings: no clocks are compared.
    """

    def __init__(self, interval_s: float = BEAT_S):
        self.interval_s = interval_s
        self.readings: dict[Path, tuple[str, int, float]] = {}  # what was read, how often, when

    def free(self, folder: Path) -> bool:
        """Whether nobody alive holds the folder, as far as seen until now."""
        found = holder(folder)
        if found is None:
            return True
        if found.get("host") == platform.node():
            return not alive(found)
        return self._silent(folder, f"{found.get('token')} {found.get('beat')}")

    def _silent(self, folder: Path, reading: str) -> bool:
        now = time.monotonic()
        last, count, at = self.readings.get(folder, ("", 0, now))
        if reading != last:
            self.readings[folder] = (reading, 1, now)
            return False
        if now - at >= self.interval_s:
            self.readings[folder] = (reading, count + 1, now)
        return count >= SILENT_READINGS


class Claim:
    """Holds a job's folder while in use; a thread beats its heart, however long a step takes.

    Args:
        wait: asked while somebody alive holds the folder: True waits for that claim to end or
            turn out stale, False is ``Taken``.

    Raises:
        Taken: on entry, when somebody alive holds it.
    """

    def __init__(
        self, folder: Path, *, wait: Callable[[], bool] = lambda: False, beat_s: float = BEAT_S
    ):
        self.folder, self.wait, self.beat_s = folder, wait, beat_s
        self.me = {
            "host": platform.node(),
            "pid": os.getpid(),
            "started": psutil.Process().create_time(),
            "token": uuid.uuid4().hex,
        }
        self.ended = threading.Event()

    def __enter__(self) -> Claim:
        watch = Watch(self.beat_s)
        while True:
            number = latest(self.folder)
            if watch.free(self.folder) and self._follow(number):
                break
            if not self.wait():
                raise Taken(f"{self.folder.name} is held by {describe(holder(self.folder))}")
            time.sleep(self.beat_s / 10)
        self.heart = threading.Thread(target=self._beat, daemon=True)
        self.heart.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.ended.set()
        self.heart.join()
        if not self.lost:
            self._write(self.me | {"released": True})

    @property
    def lost(self) -> bool:
        """Whether somebody took the job over: looked up anew, for this process may have slept."""
        return latest(self.folder) != self.number

    def _follow(self, number: int) -> bool:
        """Creates the claim after ``number``; False if somebody else was faster."""
        self.number = number + 1
        draft = self.folder / f".claim-{self.me['token']}"
        draft.write_text(json.dumps(self.me | {"beat": 0}))
        try:
            os.link(draft, path(self.folder, self.number))
        except FileExistsError:
            return False
        finally:
            draft.unlink(missing_ok=True)
        if latest(self.folder) != self.number:  # an old number, whose file was tidied away
            path(self.folder, self.number).unlink(missing_ok=True)
            return False
        for old in numbers(self.folder):
            if old < self.number:
                remove(path(self.folder, old))
        return True

    def _beat(self) -> None:
        beat = 0
        while not self.ended.wait(self.beat_s):
            beat += 1
            try:
                if not self.lost:
                    self._write(self.me | {"beat": beat})
            except OSError:  # a full disk or a share that is away: the next beat may get through
                continue

    def _write(self, value: dict[str, Any]) -> None:
        file = path(self.folder, self.number)
        disk.replace_atomically(file, lambda p: p.write_text(json.dumps(value)), Path.stat)


def remove(claim: Path) -> None:
    """Removes an old claim; what is no file is set aside."""
    if os.path.lexists(claim) and not claim.is_file():
        set_aside(claim, "no file")
    claim.unlink(missing_ok=True)


def path(folder: Path, number: int) -> Path:
    """The file of a claim."""
    return folder / f"claim-{number}.json"


def numbers(folder: Path) -> list[int]:
    """Numbers of the claims in a folder."""
    try:
        names = os.listdir(folder)  # quicker than a pattern, and this is asked of every job
    except OSError:
        return []
    ends = (name.split("-", 1)[1] for name in names if name.startswith("claim-"))
    found = (end.removesuffix(".json") for end in ends if end.endswith(".json"))
    return [int(number) for number in found if number.isdecimal()]


def latest(folder: Path) -> int:
    """Number of the claim that counts; 0 if there was none."""
    return max(numbers(folder), default=0)


def holder(folder: Path) -> dict[str, Any] | None:
    """The claim that counts; None if there is none, it was released, or it names no process."""
    while (number := latest(folder)) > 0:
        found = read_json(path(folder, number), FIELDS)
        if not found and not os.path.lexists(path(folder, number)):
            continue  # followed and tidied away just now
        return None if not found or found["pid"] < 1 or found.get("released") else found
    return None


def alive(found: dict[str, Any]) -> bool:
    """False if the holder is known to be gone: only its own host can tell."""
    if found.get("host") != platform.node():
        return True
    try:
        process = psutil.Process(found["pid"])
        same = abs(process.create_time() - found["started"]) < 1.0
        return same and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.Error, OverflowError):
        return False


def held(folder: Path) -> bool:
    """Whether somebody works on the job, as far as one look can tell."""
    found = holder(folder)
    return found is not None and alive(found)


def describe(found: dict[str, Any] | None) -> str:
    """Process and host, for a message."""
    return f"process {found['pid']} on {found['host']}" if found else "another process"
