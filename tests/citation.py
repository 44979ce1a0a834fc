"""``python -m tests.citation``: CITATION.cff is valid; part of ``make check``."""

import sys
from pathlib import Path

from cffconvert.cli.create_citation import create_citation

if __name__ == "__main__":
    path = Path(__file__).parent.parent / "CITATION.cff"
    create_citation(str(path), None).validate()
    print(f"{path.name} is valid")
    sys.exit(0)
