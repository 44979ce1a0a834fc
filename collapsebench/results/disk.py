"""Files that are whole or not there: atomic writes, and what kept one from being written."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import re
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from collapsebench.settings import regular

MAX_NAME = 200  # characters of a file's name that the name of its draft repeats
TRIES = 3  # to write a file whose draft somebody tidied away


def replace_atomically(
    path: Path, write: Callable[[Path], Any], check: Callable[[Path], Any]
) -> None:
    """Writes beside ``path``, syncs, reads back with ``check``, then renames over it.

    The file may be read and written by whom the umask says, whatever its writer thinks of that.
    It is written again where the draft is gone before the end: whoever begins a job removes what
    killed processes left half-written, and cannot tell it from what another run writes just then.

    Raises:
        OSError: a full disk, an unwritable folder, or a device or pipe at ``path``, which is then
            as it was.
    """
    for _ in range(TRIES - 1):
        with contextlib.suppress(FileNotFoundError):
            return _replace(path, write, check)
    return _replace(path, write, check)


def _replace(path: Path, write: Callable[[Path], Any], check: Callable[[Path], Any]) -> None:
    regular(path).parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{path.name[:MAX_NAME]}.{uuid.uuid4().hex[:8]}.tmp"
    try:
        temporary.touch()
        mode = temporary.stat().st_mode
        write(temporary)
        temporary.chmod(mode)
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        check(temporary)
        os.replace(temporary, path)
    except (OSError, RuntimeError) as error:
        if code := system_error(error):
            raise OSError(code, os.strerror(code), str(path)) from error
        raise
    finally:
        with contextlib.suppress(OSError):  # the first failure says more
            temporary.unlink(missing_ok=True)


def system_error(error: BaseException) -> int:
    """The system's number of what kept a writer from writing; 0 if it was something else.

    torch raises an error of its own while it handles the system's; numpy only counts bytes.
    """
    codes = [e.errno for e in (error, error.__context__) if isinstance(e, OSError) and e.errno]
    if not codes and re.search(r"requested and \d+ written", str(error)):
        return errno.ENOSPC
    return codes[0] if codes else 0


def sha256(path: Path) -> str:
    """The SHA-256 of a file, hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_text(path: Path, text: str) -> None:
    """``text`` in UTF-8, atomically."""
    replace_atomically(path, lambda p: p.write_text(text, encoding="utf-8"), Path.stat)


def write_json(path: Path, value: Any) -> None:
    """``value`` as indented JSON, atomically; a file that says so already is left alone."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    if path.is_file() and path.read_bytes() == text.encode():
        return
    replace_atomically(path, lambda p: p.write_text(text), lambda p: json.loads(p.read_text()))
