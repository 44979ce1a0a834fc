"""Terminals that do not speak UTF-8."""

import os
import subprocess
import sys

import numpy as np
import pytest

from collapsebench.cli import streams


@pytest.mark.parametrize(
    ("character", "said"),
    [("·", "-"), ("±", "+-"), ("×", "x"), ("é", "e"), ("³", "3"), ("量", "?"), ("\udce2", "?"),
     ("━", "-"), ("│", "|"), ("┏", "+"), ("╇", "+"), ("…", "...")],
)  # fmt: skip
def test_a_character_that_cannot_be_written_is_said_plainly(character, said):
    assert streams.plain(character) == said


@pytest.mark.parametrize(
    "spoken",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=["ascii", "latin-1", "C"],
)
def test_no_command_ends_in_an_exception_over_a_character(tmp_path, spoken):
    np.save(tmp_path / "tokens.npy", np.arange(64) % 8)
    lines = ["inspect tokens.npy -K 8", "compare codebook_size=16 codebook_size=64 -r demo",
             "list", "status -g nö–pe≈"]  # fmt: skip
    program = (
        "import sys; from collapsebench.cli import main\n"
        "for line in sys.argv[1:]:\n"
        "    sys.argv = ['collapsebench', *line.split()]\n"
        "    try: main()\n"
        "    except SystemExit as end: print('ended', end.code, flush=True)\n"
    )
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("LC_", "PYTHONIO"))}
    ended = subprocess.run(
        [sys.executable, "-c", program, *lines],
        cwd=tmp_path, env=environment | spoken, capture_output=True,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr.decode("latin-1")
    assert b"Traceback" not in ended.stderr
    assert b"was not run in" in ended.stderr
    assert b"ended 2" in ended.stdout
    assert b"perplexity" in ended.stdout
