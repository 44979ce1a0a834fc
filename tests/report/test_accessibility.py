"""axe finds nothing to say of any kind of page, on a desk by day and on a phone by night."""

from pathlib import Path

import numpy as np
import pytest

from collapsebench import inspect
from collapsebench.report import sections
from collapsebench.report.blocks import collect
from collapsebench.report.data import ReportData
from collapsebench.report.page import render
from collapsebench.report.palette import contrast
from tests import sample
from tests.report import made_up_grids
from tests.report.test_page_in_browser import hexed

axe = pytest.importorskip("axe_playwright_python", reason="axe is not installed")

SCREENS = {"desk-day": (1440, "light"), "phone-night": (390, "dark")}


@pytest.fixture(scope="module")
def inspected(tmp_path_factory):
    """Name -> the page of an inspection: one codebook, several, and one of unknown size."""
    folder, draw = tmp_path_factory.mktemp("inspected"), np.random.default_rng(0)
    np.save(folder / "codebook.npy", draw.normal(size=(64, 8)).astype(np.float32))
    np.save(folder / "one.npy", draw.integers(0, 20, (40, 8, 8)))
    np.save(folder / "four.npy", draw.integers(0, 64, (40, 60, 4)))
    found = {
        "one": inspect.inspect(folder / "one.npy", [64], folder / "codebook.npy"),
        "four": inspect.inspect(folder / "four.npy", [64], codebooks=4),
        "unknown": inspect.inspect(folder / "one.npy"),
    }
    for name, inspection in found.items():
        inspect.write(inspection, ["html"], folder / name)
    return {name: next((folder / name).glob("*.html")) for name in found}


ENDS = {  # a cell of every kind on one dataset; (method, dataset, codebook size or seed)
    ("gs_vq_vae", "cifar10", 512): ("train", None, ""),
    ("dvae", "cifar10", 512): ("train", "diverged", "loss is nan by step 4000"),
    ("sq_vae", "cifar10", 512): ("train", "incompatible", "needs an even code_dim"),
    ("vq_ste_pp", "cifar10", 42): ("train", "error", "RuntimeError: something broke"),
}


@pytest.fixture(scope="module")
def short_page(tmp_path_factory):
    """A page of tables and one figure, of one dataset: axe looks at each text by itself."""
    folder = tmp_path_factory.mktemp("short")
    grid = made_up_grids.tables(folder, datasets=("cifar10",), ends=ENDS, files=False)
    data = ReportData("tables", grid.write())
    path = folder / "index.html"
    shown = sections.YOUR_METHOD, sections.TABLES, sections.TRADE_OFF
    path.write_text(render(data, collect(data, only=shown)), encoding="utf-8")
    return path


LONG = [pytest.param(name, marks=pytest.mark.slow) for name in (*sample.PAGES, "zoo_page")]


@pytest.fixture(params=["short_page", "one", "four", "unknown", *LONG])
def any_page(request):
    if request.param in sample.PAGES:
        return sample.FOLDER / request.param
    if request.param.endswith("_page"):
        return request.getfixturevalue(request.param)
    return request.getfixturevalue("inspected")[request.param]


@pytest.mark.parametrize("screen", SCREENS)
def test_axe_finds_nothing(browser, any_page, screen):
    width, scheme = SCREENS[screen]
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    tab = context.new_page()
    tab.goto(any_page.as_uri())
    tab.evaluate((Path(axe.__file__).parent / "axe.min.js").read_text(encoding="utf-8"))
    found = tab.evaluate("axe.run().then(result => result.violations)")
    context.close()
    assert [(v["id"], v["nodes"][0]["html"]) for v in found] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["one", "four"])
def test_lines_of_an_inspection_can_be_told_from_its_page(browser, inspected, name, scheme):
    context = browser.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto(inspected[name].as_uri())
    lines = tab.evaluate(
        "[...document.querySelectorAll('svg g[id*=\".line2d_\"] > path[clip-path]')]"
        ".map(e => getComputedStyle(e)).filter(s => s.strokeWidth === '1.4px').map(s => s.stroke)"
    )
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()
    assert len(lines) > 4
    assert min(contrast(hexed(line), hexed(paper)) for line in lines) >= 3
