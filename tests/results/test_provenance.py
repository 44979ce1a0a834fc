import subprocess
import sys

CHILD = "from collapsebench.results import provenance; print(provenance.peak_memory_bytes())"
PARENT = f"""
import subprocess, sys
block = b"x" * 400_000_000
print(subprocess.check_output([sys.executable, "-c", {CHILD!r}], text=True))
"""


def test_peak_memory_is_of_this_process_and_not_of_the_one_that_started_it():
    found = subprocess.check_output([sys.executable, "-c", PARENT], text=True)
    assert 10_000_000 < int(found) < 300_000_000
    held = CHILD.replace("print", "block = b'x' * 400_000_000; print")
    assert int(subprocess.check_output([sys.executable, "-c", held], text=True)) > 400_000_000
