"""Rows in the forms that others read: records of Every Eval Ever, a Croissant description.

Each form is a function of a results folder, or of frozen rows, which are laid out alike.
"""

from __future__ import annotations

from pathlib import Path

from collapsebench.export import croissant, every_eval_ever
from collapsebench.settings import UserError, did_you_mean

FORMS = ("every-eval-ever", "croissant")


def export(results: Path, form: str, out: Path | None, by: str, license_: str) -> str:
    """Writes a form of all rows; returns what was written, in words.

    Args:
        results: a results folder, a frozen tag, or a folder of tags.
        form: one of ``FORMS``.
        out: where to; a Croissant description lies in the folder that it describes.
        by: who publishes the rows.
        license_: of the rows, as an SPDX identifier; "" says nothing.

    Raises:
        UserError: an unknown form, no rows, or a place that does not fit.
    """
    if form not in FORMS:
        raise UserError(f"unknown form {form!r}{did_you_mean(form, FORMS)}")
    if form == "croissant":
        path = croissant.write(results, out, by, license_)
        return f"a description of {path.parent} in {path}"
    if out is None:
        raise UserError("say where to: export --to every-eval-ever -o FOLDER")
    return f"{every_eval_ever.write(results, out, by)} records in {out}"
