"""What stays of complete jobs; torch-free. Rows are never deleted."""

from __future__ import annotations

import shutil
from pathlib import Path

from collapsebench.results import claims, folder, status
from collapsebench.settings import FILES, UserError, did_you_mean

LEFTOVERS = ("*.tmp", f"{folder.ROWS}/*/*.tmp", ".claim-*", folder.checkpoint_file("*"),
             f"*{folder.DAMAGED}*")  # of processes that were killed  # fmt: skip


def gc(results: Path, grid: str | None, keep: tuple[str, ...], dry_run: bool) -> str:
    """Removes what is not to be kept from the folders of complete jobs; says how much.

    A stage that needs a removed file makes it again.

    Args:
        keep: keys of ``settings.FILES``.

    Raises:
        UserError: an unknown kind, or a grid that was not run here.
    """
    for kind in keep:
        if kind not in FILES:
            raise UserError(f"--keep: unknown kind {kind!r}{did_you_mean(kind, FILES)}")
    patterns = [p for kind, found in FILES.items() if kind not in keep for p in found]
    done = [row for row in status.status(results, grid) if row["status"] == "done"]
    places = {folder.job_folder(results, row["job_id"]) for row in done}
    files = {
        path
        for place in places
        if not claims.held(place)
        for pattern in (*patterns, *LEFTOVERS)
        for path in place.glob(pattern)
    }
    size = sum(path.lstat().st_size for path in files)
    for path in () if dry_run else files:
        if path.is_dir() and not path.is_symlink():  # one that was set aside
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    would = "would free" if dry_run else "freed"
    return f"{would} {size / 1e6:.1f} MB: {len(files)} files of {len(places)} complete jobs"
