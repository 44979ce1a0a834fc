"""Made-up results and one report, built once for all tests of this folder, and a browser."""

import fcntl
import os
import shutil

import matplotlib
import pytest

from collapsebench import report
from collapsebench.report import sections
from collapsebench.report.blocks import collect
from collapsebench.report.data import ReportData
from collapsebench.report.page import render
from collapsebench.report.style import apply_style
from tests.report import made_up_grids


@pytest.fixture(scope="session")
def once(tmp_path_factory):
    """``once(name, make)`` -> the folder that ``make(folder)`` filled for all test workers."""
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own

    def once(name, make):
        folder, made = shared / name, shared / f"{name}.made"
        with (shared / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # the second to come waits for the first
            if not made.exists():
                make(folder)
                made.touch()
        return folder

    return once


@pytest.fixture(scope="session")
def results(once):
    """Two of the paper's datasets with a user's method and every kind of bad end."""
    datasets = "cifar10", "lsun_church"
    return once("tables", lambda folder: made_up_grids.tables(folder, datasets=datasets).write())


@pytest.fixture(scope="session")
def data(results):
    return ReportData("tables", results)


@pytest.fixture(scope="session")
def page(once, results):
    """The built page."""
    made = once("reports", lambda folder: report.build("tables", results, folder, bundle=True))
    return made / "tables" / "index.html"


@pytest.fixture(scope="session")
def zoo(once):
    """All shipped methods and a user's, at two sizes; FSQ cannot have the smaller."""

    def make(folder):
        made_up_grids.zoo(
            folder, sizes=((64, 16), (256, 16)), seeds=(1, 2), points=4,
            stages=("train", "encode"), files=False,
        ).write()  # fmt: skip

    return ReportData("zoo", once("zoo", make))


@pytest.fixture(scope="session")
def zoo_page(once, zoo):
    """The zoo's page, of the sections in which many methods make a difference."""

    def make(folder):
        shown = sections.YOUR_METHOD, sections.CODEBOOK_DESIGN, sections.TABLES
        folder.mkdir()
        with matplotlib.rc_context():
            apply_style()
            text = render(zoo, collect(zoo, only=shown))
        (folder / "index.html").write_text(text, encoding="utf-8")

    return once("zoo_page", make) / "index.html"


@pytest.fixture(scope="session")
def browser():
    """Chromium; tests are skipped where it or its driver is not installed."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    if program is None:
        pytest.skip("chromium is not installed")
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield found
        found.close()
