"""Where a number comes from: versions, git state, machine, memory; torch-free at import."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil

from collapsebench import __version__

PACKAGES = ("torch", "torchvision", "torch-fidelity", "prdc", "numpy", "scipy", "scikit-learn")


@functools.cache
def facts() -> dict[str, Any]:
    """Columns of ``runs`` that hold for this process."""
    sha, dirty = git_state(Path(__file__).parent.parent)
    return {
        "package_version": __version__,
        "versions": json.dumps({"python": platform.python_version()} | installed(), sort_keys=True),
        "git_sha": sha,
        "git_dirty": dirty,
        "host_hash": hashlib.sha256(platform.node().encode()).hexdigest()[:12],
    }


def installed() -> dict[str, str]:
    """Versions of the packages that numbers depend on."""
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "missing"
    return found


def git_state(folder: Path) -> tuple[str, bool | None]:
    """(commit, uncommitted changes) of the checkout the package runs from; ("", None) without."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(folder), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--", "."))
    except (OSError, subprocess.CalledProcessError):
        return "", None


def peak_memory_bytes() -> int:
    """Largest resident set of this process so far."""
    try:  # ru_maxrss of Linux begins at what the process that started this one had
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    except (OSError, IndexError):
        if sys.platform == "win32":
            return int(psutil.Process().memory_info().peak_wset)
        import resource

        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def cores() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processor() -> str:
    """The processor's model name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
        return names[0] if names else platform.processor()
    except OSError:
        return platform.processor() or platform.machine()
