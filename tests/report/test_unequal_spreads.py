"""Bold and ≈ where spreads are unlike and some cells have one seed, in every form of a table."""

import re

import pytest
from rich.console import Console

from collapsebench import report
from collapsebench.report.data import ReportData
from collapsebench.report.tables import to_latex, to_markdown, to_terminal
from collapsebench.report.views import table2
from tests.report import made_up

MSE = {  # x 1000: mean and spread
    "edvae": (2.89, 3.54, 4.19),  # 3.54 ± 0.65
    "vq_vae_ema": (2.85, 10.69, 18.53),  # 10.69 ± 7.84
    "gs_vq_vae": (3.8, 3.8, 3.8),  # its first seed alone
    "dvae": (50.0, 50.5, 51.0),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    values = {(m, "cifar10", "mse", "test"): [v / 1e3 for v in seeds] for m, seeds in MSE.items()}
    ends = {("gs_vq_vae", "cifar10", seed): ("train", "error", "broke") for seed in (1773, 1)}
    folder = tmp_path_factory.mktemp("unequal")
    grid = made_up.MadeUp(
        folder, methods=tuple(MSE), datasets=("cifar10",), values=values, ends=ends, files=False,
        stages=("train", "encode"), reproduces=("table2",),
    )  # fmt: skip
    return grid.write()


@pytest.fixture(scope="module")
def data(results):
    return ReportData("demo", results)


@pytest.fixture(scope="module")
def cells(data):
    (table,) = table2.build(data)
    return {row.label: row.cells[0] for row in table.rows}


def test_bold_is_what_was_shown(cells):
    assert [label for label, cell in cells.items() if cell.bold] == ["EdVAE"]
    assert {label: cell.mark for label, cell in cells.items()} == {
        "VQ-VAE-EMA": "≈", "GS-VQ-VAE": "≈", "EdVAE": "", "dVAE": "",
    }  # fmt: skip


def test_the_page_says_the_same(results, tmp_path):
    text = report.build("demo", results, tmp_path, to=["html"]).read_text()
    for value, sign in (("10.69", True), ("3.80", True), ("3.54", False), ("50.50", False)):
        cells = re.findall(rf'<div class="top">((?:(?!<div).)*?data-part="measured">{value}<?)',
                           text)  # fmt: skip
        assert cells
        for cell in cells:  # of Table 2, of the leaderboard
            assert ("≈" in cell) == sign
            assert ('"main bold"' in cell) == (value == "3.54")


def test_every_other_form_says_the_same(data):
    (table,) = table2.build(data)
    console = Console(width=200, record=True)
    with console.capture() as shown:
        console.print(to_terminal(table))
    assert "≈ 10.69 ± 7.84" in shown.get()
    assert "≈ 10.69 ± 7.84" in to_markdown(table)
    assert r"$\approx$ 10.69 $\pm$ 7.84" in to_latex(table)
    assert "**3.54 ± 0.65**" in to_markdown(table)
    assert r"\textbf{3.54 $\pm$ 0.65}" in to_latex(table)
