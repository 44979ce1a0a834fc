"""What stands in a cell: values by hand, the verdict, what a reader must know beside it."""

import numpy as np
import pytest

from collapsebench.quantities import of
from collapsebench.report.cells import verdict
from collapsebench.report.measured import value_table
from collapsebench.report.views import table1, table2, table3, table4
from collapsebench.results.baselines import Published


@pytest.fixture(scope="module")
def tables(data):
    return {view: view.build(data)[0] for view in (table1, table2, table3, table4)}


def cell(table, row, column):
    (line,) = [r for r in table.rows if r.label == row]
    (place,) = [i for i, head in enumerate(table.columns) if head.startswith(column)]
    return line.cells[place]


def test_table1_compares_the_per_batch_form_with_print(tables):
    found = cell(tables[table1], "EdVAE", "CIFAR10").parts
    assert str(found["measured"]) == "421.0 ± 3.0"
    assert str(found["paper"]) == "420.3 ± 4.5"
    assert str(found["difference"]) == "+0.7"
    assert found["verdict"] == "reproduced"
    assert found["seeds"] == "3"
    assert "pooled" in found


def test_table1_says_that_it_differs(tables):
    assert cell(tables[table1], "dVAE", "CIFAR10").parts["verdict"] == "differs"


def test_bold_is_the_best_and_what_cannot_be_told_from_it_is_marked(tables):
    cells = {row.label: row.cells[0] for row in tables[table1].rows}
    assert [label for label, cell in cells.items() if cell.bold] == ["My VQ"]
    assert cells["EdVAE"].mark == "≈"  # 433 and 421, each ± 3: three seeds do not tell them apart


def test_collapsed_seeds_are_counted(tables):
    assert cell(tables[table1], "VQ-VAE-EMA", "CIFAR10").parts["note"] == "collapsed in 2/3"
    assert any(note.startswith("Collapsed: perplexity below 10 %") for note in tables[table1].notes)


def test_cells_without_a_number_say_why(tables):
    lsun = "LSUN Church"
    assert cell(tables[table1], "dVAE", lsun).main == "diverged"
    assert cell(tables[table1], "SQ-VAE", lsun).main == "incompatible: needs an even code_dim"
    assert cell(tables[table1], "VQ-VAE-EMA", lsun).main == "not measured"
    assert cell(tables[table1], "EdVAE", lsun).parts["seeds"] == "1/3"
    assert cell(tables[table1], "VQ-STE++", lsun).parts["note"].endswith("error in 1/3")


def test_holes_come_with_the_command_that_fills_them(tables):
    assert (
        "Not complete: LSUN Church. Run: collapsebench run --grid tables -d lsun_church "
        "-m vq_vae_ema -m vq_ste_pp -m edvae"
    ) in tables[table1].todo


def test_seeds_on_several_devices_are_marked(tables):
    assert cell(tables[table1], "EdVAE", "CIFAR10").parts["devices"] == "mixed"


def test_table2_is_in_thousandths(tables):
    assert str(cell(tables[table2], "EdVAE", "CIFAR10").main) == "3.00 ± 0.03"


def test_a_distance_is_called_fid_only_under_the_full_protocol(tables):
    assert tables[table3].columns[0] == "CIFAR10, FID"
    assert str(cell(tables[table3], "EdVAE", "CIFAR10").parts["paper"]) == "51.82 ± 1.58"


def test_precision_and_recall_have_no_verdict_without_a_printed_spread(tables):
    found = cell(tables[table4], "EdVAE", "CIFAR10, recall").parts
    assert str(found["paper"]) == "0.35"
    assert found["verdict"] == "no spread in print"


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], "not measured"),
        ([420.0], "inconclusive"),
        ([419.0, 421.0, 420.0], "reproduced"),
        ([300.0, 301.0, 302.0], "differs"),
        ([350.0, 420.0, 490.0], "inconclusive"),
    ],
)
def test_verdicts(values, expected):
    paper = Published("Table 1", 420.33, 4.49, 3, "dalle", "test", "")
    assert verdict(values, paper, same=True) == expected
    assert verdict(values, paper, same=False) == ("other training" if values else "not measured")


def test_the_dots_are_the_seeds(tables):
    found = cell(tables[table1], "EdVAE", "CIFAR10")
    assert sorted(found.dots) == [418.0, 421.0, 424.0]
    assert np.allclose(found.band, (420.33 - 4.49, 420.33 + 4.49))


def test_an_incompatible_cell_says_why_in_every_table(zoo):
    reason = "incompatible: FSQ cannot have 64 codes; the nearest it can have: 60, 75"
    (table,) = table1.build(zoo)
    assert cell(table, "FSQ (D = 4)", "CIFAR10 64").main == reason
    (small,) = [c for c in zoo.comparisons if c.codebook_size == 64]
    columns = {"perplexity": of("perplexity"), "usage, %": of("usage")}
    table = value_table(zoo, "codebook", "Codebook", "", small, columns)
    (fsq,) = [row for row in table.rows if row.label == "FSQ"]
    assert [cell.main for cell in fsq.cells] == [reason, "–"]


def test_a_cell_of_tied_sizes_has_its_own_dimension_beside_the_number(zoo):
    (table,) = table1.build(zoo)
    found = cell(table, "LFQ (D = 6, 8)", "CIFAR10 256").parts
    assert found["code dimension"] == "D = 8"
    assert "code dimension" not in cell(table, "IBQ", "CIFAR10 256").parts


def test_what_a_method_has_not_is_not_called_unmeasured(zoo):
    (table,) = table1.build(zoo)  # no codes, so no perplexity, and nothing is left to be run
    assert cell(table, "continuous", "CIFAR10 64").main == "none"
    assert not table.todo
