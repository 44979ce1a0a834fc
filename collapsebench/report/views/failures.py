"""What did not end well: the reason, and the last lines of the log."""

from __future__ import annotations

from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.rows import NOT_RUN, JobRow
from collapsebench.report.tables import Log, Table, TableLine, plain
from collapsebench.results.folder import LOG, log_tail

title = "Failures and other ends"
section = sections.FAILURES
place = 810

LINES = 30  # of each log


def build(data: ReportData) -> list[Table | Log]:
    """All jobs that are neither done nor waiting; then their logs."""
    bad = [job for job in data.jobs if job.status not in ("done", NOT_RUN)]
    if not bad:
        return []
    rows = [
        TableLine(f"{job.label} {job.settings_label}".strip(),
            [plain(text) for text in (job.dataset, f"{job.codebook_size} × {job.code_dim}",
             str(job.seed), job.stage, job.status.replace("_", " "), job.message, job.job_id)],
            data.looks[job.method])
        for job in bad
    ]  # fmt: skip
    columns = ("dataset", "codebook", "seed", "stage", "end", "reason", "job")
    caption = (
        "Diverged and incompatible are results and do not run again; the others do, with the next "
        "run."
    )
    table = Table("failures", title, caption, "method", columns, rows)
    return [table, *(log for job in bad if (log := _log(data, job)))]


def _log(data: ReportData, job: JobRow) -> Log | None:
    path = data.file(job, LOG)
    if path is None:
        return None
    lines = log_tail(path.parent, LINES)
    end = f"{job.status.replace('_', ' ')} in {job.stage}"
    words = f"{job.label}, {job.dataset}, seed {job.seed}: {end}"
    return Log(f"log-{job.job_id}", words, "\n".join(lines))
