"""Loss, error, what happens inside, and schedules along training."""

from __future__ import annotations

from collapsebench.quantities import ERRORS
from collapsebench.report import curves, sections
from collapsebench.report.data import ReportData
from collapsebench.report.figures import Figure

title = "Training curves"
section = sections.TRAINING
place = 530

LOSSES = ("loss", *ERRORS, "kl")
INSIDE = ("z_e_norm", "code_norm", "code_distance")
SCHEDULES = ("lr", "temperature", "beta")


def build(data: ReportData) -> list[Figure]:
    """Three figures: what is minimised, what happens inside, what is scheduled."""
    drawn = (
        ("losses", title, LOSSES, "Mean over the steps since the last point. Losses of different "
         "methods are different quantities: each is divided by its first point."),
        ("inside", "Inside the model", INSIDE, "On 512 fixed training items: norm of the "
         "encoder's output, norm of the codes, distance to the nearest code."),
        ("schedules", "Schedules", SCHEDULES, "As set at each point."),
    )  # fmt: skip
    return [
        figure
        for name, words, quantities, caption in drawn
        for figure in curves.figures(data, name, words, f"{caption} {curves.LINES}", quantities)
    ]
