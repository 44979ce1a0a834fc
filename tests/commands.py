"""Several commands in one process of its own: torch is loaded once."""

import os
import subprocess
import sys
from pathlib import Path

CALLS = """
import sys
from collapsebench.cli import main

for line in sys.argv[1:]:
    sys.argv = ["collapsebench", *line.split()]
    try:
        main()
    except SystemExit as ended:
        assert not ended.code, line
    print("end of call")
"""


def call(lines: list[str], folder: Path, **environment: str) -> list[str]:
    """What each command prints, run in ``folder``; each must end well."""
    command = [sys.executable, "-c", CALLS, *lines]
    environment = os.environ | {"COLUMNS": "200"} | environment
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.split("end of call\n")[:-1]
