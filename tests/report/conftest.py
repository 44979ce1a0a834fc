"""Made-up results and one report, built once for all tests of this folder, and a browser."""

import shutil

import matplotlib
import pytest

from collapsebench import report
from collapsebench.report import sections
from collapsebench.report.blocks import collect
from collapsebench.report.data import ReportData
from collapsebench.report.page import render
from collapsebench.report.style import apply_style
from tests.report import made_up


@pytest.fixture(scope="session")
def results(tmp_path_factory):
    """Two of the paper's datasets with a user's method and every kind of bad end."""
    folder = tmp_path_factory.mktemp("tables")
    return made_up.tables(folder, datasets=("cifar10", "lsun_church")).write()


@pytest.fixture(scope="session")
def data(results):
    return ReportData("tables", results)


@pytest.fixture(scope="session")
def page(results, tmp_path_factory):
    """The built page."""
    return report.build("tables", results, tmp_path_factory.mktemp("reports"), bundle=True)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory):
    """All shipped methods and a user's, at two sizes; FSQ cannot have the smaller."""
    grid = made_up.zoo(
        tmp_path_factory.mktemp("zoo"), sizes=((64, 16), (256, 16)), seeds=(1, 2), points=4,
        stages=("train", "encode"), files=False,
    )  # fmt: skip
    return ReportData("zoo", grid.write())


@pytest.fixture(scope="session")
def zoo_page(zoo, tmp_path_factory):
    """The zoo's page, of the sections in which many methods make a difference."""
    shown = sections.YOUR_METHOD, sections.CODEBOOK_DESIGN, sections.TABLES
    path = tmp_path_factory.mktemp("page") / "index.html"
    with matplotlib.rc_context():
        apply_style()
        path.write_text(render(zoo, collect(zoo, only=shown)), encoding="utf-8")
    return path


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
