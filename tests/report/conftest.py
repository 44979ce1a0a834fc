"""Made-up results and one report, built once for all tests of this folder."""

import pytest

from collapsebench import report
from collapsebench.report.data import ReportData
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
