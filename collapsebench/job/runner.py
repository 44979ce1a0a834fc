"""One job -> its rows. The page to read first: `run` is the life of a job, phase by phase.

A stage's rows are written into the job's folder, then into the tables, last its row in ``runs``,
whose file name carries the final status: that file is the commit.
"""

from __future__ import annotations

import time
import traceback
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from collapsebench.job import train
from collapsebench.job.stages import Facts, Rows, curve_rows, function
from collapsebench.job.workspace import Workspace
from collapsebench.plan.job import Job, finished, harmed, pending
from collapsebench.quantizer import Incompatible
from collapsebench.results import copies, provenance, tables
from collapsebench.results.claims import Claim, Taken, describe, holder
from collapsebench.results.folder import (
    PROGRESS,
    ROWS,
    clear,
    damage,
    files_of,
    mark,
    marker_file,
    say,
)
from collapsebench.results.runs import attempts, rows_name, run_name
from collapsebench.settings import PIPELINE, STAGES, UserError, system_reason


def run(workspace: Workspace, stages: Sequence[str] = STAGES, *, wait: bool = False) -> str:
    """Runs what is missing of a job and returns its status; idempotent.

    A stage that is done is run again where a file of it was damaged since; its rows stand.
    Rows that the tables have lost are written again from the job's folder; where they are lost
    there, too, their stage is run again.

    Every outcome becomes a row: NaN is ``diverged``, sizes that do not fit are ``incompatible``,
    too little memory is ``out_of_memory``, anything else an ``error``, its traceback in the log.

    Args:
        wait: wait for somebody else who works on this job, instead of ``Taken``.

    Raises:
        claims.Taken: somebody else works on this job.
    """
    job = workspace.job
    with Claim(workspace.folder, wait=lambda: wait and not workspace.stop()) as workspace.claim:
        tidy(workspace)
        for stage in todo(workspace):
            if stage not in stages:
                break  # a stage without the rows of those before it would be a torn job
            if status := workspace.stop():
                return status
            message = ""
            try:
                prepare(workspace, stage)
                rows, facts = perform(workspace, stage)
                status, message = "done", str(facts.pop("message", ""))
            except Exception as error:  # the one place where a failure becomes a row
                rows, facts = curve_until(error), {}
                status, message = classify(error)
                if status == "interrupted":
                    status = workspace.stop() or status
                if status == "error":
                    workspace.error = error
                    print(user_traceback(error, job), flush=True)
            if workspace.claim.lost:
                forget(workspace)
                raise Taken(f"{job.job_id} was taken over by {describe(holder(workspace.folder))}")
            commit(workspace, stage, status, message, rows, facts)
            if status != "done":
                return status
    return "done"


def tidy(workspace: Workspace) -> None:
    """Removes what killed processes left half-written, and finishes what they had nearly done."""
    job, folder, results = workspace.job, workspace.folder, workspace.results
    own = [*folder.glob("*.tmp"), *(folder / ROWS).glob("*/*.tmp")]
    for path in [*own, *results.glob(f"*/.{job.job_id}.*.tmp")]:
        path.unlink(missing_ok=True)
    for path in copies.publish(results, folder):
        print(f"rows written again from the job's folder: {path.parent.name}/{path.name}")
    forget(workspace)


def forget(workspace: Workspace) -> None:
    """Removes checkpoints of stages that are done; whoever is at work on another keeps its own."""
    job = workspace.job
    for stage in job.stage_ids.keys() - job.pending(workspace.results):
        workspace.checkpoint(stage).unlink(missing_ok=True)


def todo(workspace: Workspace) -> list[str]:
    """Stages to be run, in order: what is missing, and what was damaged since, which is named."""
    done = finished(workspace.results, [workspace.job.job_id])
    harm = harmed(workspace.job, workspace.results, done)
    for stage, reason in harm.items():
        print(f"{reason}; {stage} is made anew", flush=True)
    left = pending(workspace.job, done)
    return [stage for stage in STAGES if stage in harm or stage in left]


def classify(error: Exception) -> tuple[str, str]:
    """(status, message) of a stage that raised."""
    text = str(error).strip() or "no message"
    kinds: tuple[tuple[type[Exception] | tuple[type[Exception], ...], str], ...] = (
        (Incompatible, "incompatible"),
        (FloatingPointError, "diverged"),
        (train.Interrupted, "interrupted"),
        ((MemoryError, torch.OutOfMemoryError), "out_of_memory"),
    )
    for kind, status in kinds:
        if isinstance(error, kind):
            return status, text
    if isinstance(error, RuntimeError) and "allocate memory" in text:  # torch, on a CPU
        return "out_of_memory", text.splitlines()[0]
    if isinstance(error, UserError):
        return "error", text
    if isinstance(error, OSError):
        return "error", system_reason(error)
    return "error", f"{type(error).__name__}: {text.splitlines()[-1]}"


def curve_until(error: Exception) -> Rows:
    """A diverged training's curve, which shows how it went."""
    return {"curves": curve_rows(error.curve)} if isinstance(error, train.Diverged) else {}


def prepare(workspace: Workspace, stage: str) -> None:
    """Makes anew what a stage reads of those before it, where it is missing or damaged."""
    for parent, names in PIPELINE[stage].reads.items():
        stage_id = workspace.job.stage_ids[parent]
        if reason := damage(workspace.folder, parent, stage_id, names):
            print(f"{stage}: {reason}; {parent} is made anew", flush=True)
            prepare(workspace, parent)
            perform(workspace, parent)  # its rows stand
            workspace.checkpoint(parent).unlink(missing_ok=True)


def perform(workspace: Workspace, stage: str) -> tuple[Rows, Facts]:
    """Runs one stage and marks its files as made with these settings."""
    workspace.started = {"clock": time.monotonic(), "at": datetime.now(UTC)}
    print(f"{stage} begins", flush=True)
    refuse_stage(workspace, stage)
    clear(workspace.folder, [*files_of(stage), marker_file(stage), PROGRESS])
    try:
        rows, facts, files = function(stage)(workspace)
    except SystemExit as end:  # a method that ends the process has no result
        reason = RuntimeError(f"the process was told to exit ({end.code}) before the stage ended")
        raise reason.with_traceback(end.__traceback__) from None
    mark(workspace.folder, stage, workspace.job.stage_ids[stage], files)
    return rows, facts


def refuse_stage(workspace: Workspace, stage: str) -> None:
    """Raises ``Incompatible`` for a stage that can do nothing with such items."""
    form = workspace.dataset.form(workspace.job.group("data"))
    if stage not in form.stages:
        raise Incompatible(f"{form.noun} have no stage {stage}, only {', '.join(form.stages)}")


def commit(
    workspace: Workspace, stage: str, status: str, message: str, rows: Rows, facts: Facts
) -> None:
    """Writes a stage's rows, then its row in ``runs``. A final row that is there stays."""
    results, folder = workspace.results, workspace.folder
    key, run_id = workspace.job.key(stage), uuid.uuid4().hex[:16]
    earlier = [a for a in attempts(results, [key["job_id"]]) if a.stage_id == key["stage_id"]]
    name = run_name(key, status, run_id)
    ended = {"run_id": run_id, "attempt": len(earlier) + 1, "status": status, "message": message}
    run = key | provenance.facts() | workspace.facts() | facts | ended
    if status in tables.FINAL:
        for table, found in rows.items():
            tables.write(folder / ROWS, table, rows_name(key), [key | row for row in found])
        if not copies.keep(results, folder, ("runs", f"{name}{tables.SUFFIX}")):
            tables.write(folder / ROWS, "runs", name, [run])
        copies.publish(results, folder)
    else:
        tables.write(results, "runs", name, [run])
    say(folder, stage, status, message)
    if status in tables.FINAL:  # not before: whoever is killed until here resumes from it
        workspace.checkpoint(stage).unlink(missing_ok=True)
    print(f"{stage} {status}{': ' + message if message else ''}", flush=True)


def user_traceback(error: BaseException, job: Job) -> str:
    """The traceback; where a user's own file raised, its frames only; bad input, its one line."""
    if isinstance(error, UserError):
        return str(error)
    own = {str(Path(path).resolve()) for path in job.files.values()}
    frames = traceback.extract_tb(error.__traceback__)
    inside = [i for i, frame in enumerate(frames) if str(Path(frame.filename).resolve()) in own]
    shown = frames[inside[0] :] if inside else frames
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(shown)]
    return "".join([*lines, *traceback.format_exception_only(error)]).rstrip()
