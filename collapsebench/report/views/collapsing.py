"""Codebooks that fell while they trained: the words that the board of a run says of them."""

from __future__ import annotations

from collapsebench.monitor.causes import COLLAPSING, collapsing
from collapsebench.report import sections
from collapsebench.report.data import ReportData
from collapsebench.report.rows import JobRow
from collapsebench.report.tables import Table, TableLine, plain

title = "Collapsing while training"
section = sections.CODEBOOK_USE
place = 335


def build(data: ReportData) -> list[Table]:
    """Jobs whose perplexity ended below half of its earlier best; nothing if there are none."""
    rows = data.curves[data.curves["metric"] == "perplexity"].sort_values("step")
    curves = {
        job_id: list(zip(curve["value"], curve["step"], strict=True))
        for job_id, curve in rows.groupby("job_id")
    }
    fallen = [(job, words) for job in data.jobs if (words := _words(curves.get(job.job_id, [])))]
    if not fallen:
        return []
    caption = (
        "Perplexity on 512 fixed training items: its best along training and its end, where that "
        f"is below {100 * COLLAPSING:g} % of it."
    )
    columns = ("dataset", "codebook", "seed", "what happened")
    return [
        Table("collapsing", title, caption, "method", columns, [_row(data, *p) for p in fallen])
    ]


def _words(curve: list[tuple[float, int]]) -> str:
    if not curve:
        return ""
    best, step = max(curve, key=lambda point: point[0])
    return collapsing(best, step, curve[-1][0])


def _row(data: ReportData, job: JobRow, words: str) -> TableLine:
    size = f"{job.codebook_size} × {job.code_dim}"
    cells = [plain(text) for text in (job.dataset, size, str(job.seed), words)]
    return TableLine(f"{job.label} {job.settings_label}".strip(), cells, data.looks[job.method])
