"""A job's folder, ``jobs/<job_id>``: which file in it is what, and whether it is as it was left."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from collapsebench.results import disk
from collapsebench.settings import PIPELINE, regular

JOB = "job.json"  # the job as plain data
ORDER = "order.json"  # what the launcher tells it
THREADS = "threads"  # of its first start
CANCEL = "cancel"  # a file of this name asks whoever runs the job to end it
LOG = "log.txt"  # what its processes printed
STATUS = "status.json"  # how its last attempt ended
PROGRESS = "progress.json"  # how far it is
ROWS = "rows"  # its own copy of its rows; see copies
DAMAGED = ".damaged"  # ends the name of what was set aside

# What reading a checkpoint can raise that is whole, and not one of this program.
UNUSABLE = (AttributeError, KeyError, RuntimeError, TypeError, ValueError, pickle.UnpicklingError)


def checkpoint_file(stage: str) -> str:
    """Where a stage that can resume writes how far it is."""
    return f"{stage}.ckpt"


def marker_file(stage: str) -> str:
    """What a finished stage left, and with which settings."""
    return f"{stage}.json"


def job_folder(results: Path, job_id: str) -> Path:
    """Where a job's files lie."""
    return results / "jobs" / job_id


def begins_with(results: Path, word: str) -> list[Path]:
    """Folders of the jobs whose id begins so."""
    found = (path.parent for path in (results / "jobs").glob(f"*/{JOB}"))
    return sorted(path for path in found if path.name.startswith(word))


def say(folder: Path, stage: str, status: str, message: str) -> None:
    """Writes down how an attempt at a stage ended."""
    said = {"stage": stage, "status": status, "message": message}
    disk.write_json(folder / STATUS, said)


def last_said(folder: Path) -> dict[str, str]:
    """Stage, status and message of a job's last attempt; empty before the first."""
    return read_json(folder / STATUS, {"stage": str, "status": str, "message": str})


def progress(folder: Path) -> dict[str, Any]:
    """What a running job last said of itself: stage, done, total, values; empty before that."""
    state = read_json(folder / PROGRESS, {"stage": str, "done": int, "total": int, "values": dict})
    if state:
        numbers = {k: v for k, v in state["values"].items() if isinstance(v, int | float)}
        state["values"] = numbers
    return state


def log_tail(folder: Path, lines: int = 30) -> Iterator[str]:
    """The last lines of a job's log."""
    try:
        yield from regular(folder / LOG).read_text(errors="replace").splitlines()[-lines:]
    except OSError:
        return


def mark(folder: Path, stage: str, stage_id: str, names: Iterable[str]) -> None:
    """Writes down which files a finished stage left, each with its SHA-256."""
    files = {name: disk.sha256(folder / name) for name in names}
    disk.write_json(folder / marker_file(stage), {"stage_id": stage_id, "files": files})


def spoiled(folder: Path, stage_ids: Mapping[str, str]) -> dict[str, str]:
    """Stages whose files are no longer what they left -> why; files that are gone are no harm.

    What is older than its marker is taken to be as it was left, so that ten thousand jobs are
    looked through in seconds; all else is compared with its hash.

    Args:
        folder: the job's.
        stage_ids: stage -> id, of stages that are done.
    """
    harm = {}
    for stage, stage_id in stage_ids.items():
        path = folder / marker_file(stage)
        marker = read_json(path, {"stage_id": str})
        if os.path.lexists(path) and not marker:
            harm[stage] = f"{path.name} is damaged"
        if marker.get("stage_id") != stage_id:
            continue
        names = [name for name in files_of(stage) if _since(folder / name, path)]
        if reason := damage(folder, stage, stage_id, names):
            harm[stage] = reason
    return harm


def files_of(stage: str) -> list[str]:
    """Names of all files that a stage may leave."""
    return [name for kind in PIPELINE[stage].files.values() for name in kind]


def _since(path: Path, marker: Path) -> bool:
    """Whether a file may have changed since its marker was written."""
    if not os.path.lexists(path):
        return False
    return not path.is_file() or path.stat().st_mtime_ns >= marker.stat().st_mtime_ns


def clear(folder: Path, names: Iterable[str]) -> None:
    """Sets aside what is no file and stands where one is to be written."""
    for path in (folder / name for name in names):
        if os.path.lexists(path) and not path.is_file():
            set_aside(path, "no file")


def damage(folder: Path, stage: str, stage_id: str, names: Iterable[str]) -> str:
    """Why files of a stage cannot be used as they are; "" if they can.

    Args:
        folder: the job's.
        stage: whose files.
        stage_id: with which settings they must have been made.
        names: the files that are wanted, of those that ``mark`` wrote down.
    """
    marker = read_json(folder / marker_file(stage), {"stage_id": str})
    if marker.get("stage_id") != stage_id:
        return f"{marker_file(stage)} is missing, damaged or of other settings"
    files = marker.get("files")
    known = files if isinstance(files, dict) else dict.fromkeys(files or ())  # older: names alone
    for name in names:
        path = folder / name
        if name not in known or not path.is_file():
            return f"{name} is missing"
        if known[name] is not None and disk.sha256(path) != known[name]:
            return f"{name} is damaged"
    return ""


def resumable(checkpoint: Path) -> bool:
    """Whether there is a checkpoint to go on from; a damaged one is set aside.

    A checkpoint is a zip file, as torch writes it, with a checksum of each part.
    """
    if not os.path.lexists(checkpoint):
        return False
    if not checkpoint.is_file():  # opening a pipe would wait for ever
        set_aside(checkpoint, "no file")
        return False
    try:
        with zipfile.ZipFile(checkpoint) as archive:
            part = archive.testzip()
    except (OSError, EOFError, ValueError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        part = str(error)
    if part is not None:
        set_aside(checkpoint, part)
    return part is None


def set_aside(path: Path, reason: str) -> None:
    """Renames what cannot be used and stands where a file is to be written, and says so."""
    count, aside = 1, path.with_name(path.name + DAMAGED)
    while os.path.lexists(aside):
        count += 1
        aside = path.with_name(f"{path.name}{DAMAGED}-{count}")
    path.rename(aside)
    said = f"{path.name} cannot be used ({''.join(reason.splitlines()[:1])})"
    print(f"{said}: kept as {aside.name} and made anew", flush=True)


def read_json(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """A small JSON file; {} if it is absent, torn, no file, or lacks a field of its kind."""
    if not path.is_file():  # opening a pipe would wait for ever
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return found if all(isinstance(found.get(k), kind) for k, kind in kinds.items()) else {}
