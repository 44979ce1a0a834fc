"""The command line: every command is one call, and imports what is heavy inside itself."""

from collapsebench.cli import running, reading, making  # isort: skip (the order of help)
from collapsebench.cli.app import app, main

__all__ = ["app", "main", "making", "reading", "running"]
