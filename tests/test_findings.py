"""docs/findings.md: every number of its tables and claims is that of the frozen rows it names."""

import re
import statistics
from pathlib import Path

import pandas as pd
import pytest

from collapsebench.check import order
from collapsebench.plan.grid import parse_value
from collapsebench.report.assertions import ASSERTIONS
from collapsebench.report.data import ReportData
from collapsebench.report.views import assertions as view
from collapsebench.results import baselines, tables

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "findings.md").read_text(encoding="utf-8")
NONE = "–"
QUANTITIES = {  # as the headers say it -> metric, factor and digits
    "perplexity": ("perplexity", 1, 1),
    "perplexity / K": ("relative_perplexity", 100, 1),
    "codes used": ("usage", 100, 1),
    "MSE × 10³": ("mse", 1000, 2),
    "prior gain, nats": ("prior_gain", 1, 3),
    "FD[cb-randconv-v1]": ("gfd", 1, 2),
}
COLLAPSED = "collapsed"
TABLES = {  # heading -> tag, and the setting that the columns are "at"
    "Every method on one network": ("cifar10_5k_cpu", None),
    "A smaller codebook": ("cifar10_5k_sizes", "codebook_size"),
    "A larger codebook": ("cifar10_5k_sizes", "codebook_size"),
    "Does the order stand?": ("cifar10_5k_length", "train.steps"),
    "What the network changes at this length": ("cifar10_5k_network", "network"),
    "Six methods": ("cifar10_5k_short", None),
}


def section(heading):
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def cells(line):
    return [cell.strip() for cell in line[1:-1].split("|")]


def table(heading):
    """The first table of a section, as (line, column, what it says)."""
    head, _, *lines = [line for line in section(heading).splitlines() if line.startswith("|")]
    names = columns(cells(head))
    for line in lines:
        label, *said = cells(line)
        yield from ((label, name, one) for name, one in zip(names, said, strict=True))


def columns(head):
    """(quantity, value of the setting) of each; "at 512, %" and "16 000" go on with the last."""
    settings = r"[\d ]+|dalle|sqvae|vqvae"
    found = []
    for name in head[1:]:
        quantity, _, at = re.fullmatch(rf"(.*?)((?:^|\s|at )({settings}))?(?:, %)?", name).groups()
        quantity = quantity.strip() or found[-1][0]
        found.append((quantity, parse_value(at.replace(" ", "")) if at else 0))
    return found


def bare(label):
    """A method's label without the dimensions that follow from K."""
    return re.sub(r" \(D = [\d, ]+\)", "", label)


def values(tag, setting):
    """(label, metric, value of the setting) -> one value per seed.

    Of the test split, but for the distance of samples, which is to training images.
    """
    folder = baselines.find(tag)
    found = tables.read(folder, "metrics")
    found = found[(found["split"] == "test") | (found["metric"] == "gfd")]
    if setting and setting not in found:
        runs = tables.read(folder, "runs", settings=True).drop_duplicates("job_id")
        found = found.merge(runs[["job_id", setting]], on="job_id")
    at = found[setting] if setting else pd.Series(0, index=found.index)
    return {
        key: list(group) for key, group in found["value"].groupby([found.label, found.metric, at])
    }


def shown(found, label, quantity, at):
    """What the page should say of a cell."""
    if quantity == COLLAPSED:
        flags = found.get((label, "collapsed", at), [])
        return f"{sum(flags):.0f} of {len(flags)}" if any(flags) else ""
    metric, factor, digits = QUANTITIES[quantity]
    if not (of_seeds := [factor * value for value in found.get((label, metric, at), [])]):
        return NONE
    return f"{statistics.mean(of_seeds):.{digits}f} ± {statistics.stdev(of_seeds):.{digits}f}"


@pytest.mark.parametrize("heading", TABLES)
def test_a_table_says_what_the_rows_say(heading):
    found = values(*TABLES[heading])
    said = list(table(heading))
    assert len(said) > 20
    for label, (quantity, at), words in said:
        assert words == shown(found, bare(label), quantity, at), f"{label}: {quantity} at {at}"


@pytest.mark.parametrize("heading", ["Every method on one network", "Six methods"])
def test_no_method_is_left_out(heading):
    tag, setting = TABLES[heading]
    labels = {bare(label) for label, *_ in table(heading)}
    assert labels == {label for label, *_ in values(tag, setting)}


@pytest.mark.parametrize(
    ("tag", "setting", "settings"),
    [
        ("cifar10_5k_length", "train.steps", (8000, 16000, 32000)),
        ("cifar10_5k_sizes", "codebook_size", (128, 512)),
        ("cifar10_5k_sizes", "codebook_size", (512, 2048)),
    ],
)
def test_orders_are_quoted_as_the_rows_have_them(tag, setting, settings):
    words = [f"{setting}={value}" for value in settings]
    assert order.text(order.compare(words, tag, baselines.find(tag).parent)) in PAGE


def test_of_each_claim_the_page_says_what_the_rows_say():
    (found,) = view.build(ReportData("claims", baselines.find("cifar10_5k_claims")))
    assert len(found.rows) > len(ASSERTIONS)  # some are asked of several cells
    for row in found.rows:
        said = dict(zip(found.columns, (cell.main for cell in row.cells), strict=True))
        words = [said[name] for name in ("cells", "measured", "interval", "in print", "verdict")]
        assert " | ".join([row.label, *words]) in PAGE
