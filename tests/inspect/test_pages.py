"""What inspection shows: the page, JSON, the terminal, a notebook."""

import json
import re

import numpy as np
import pytest

from collapsebench import inspect
from collapsebench.settings import UserError
from tests.inspect.drawn import draw

CASES = {
    "collapsed": (draw((300, 4, 4), 64, 0.01), 1),
    "healthy": (draw((300, 40), 64, 5.0), 1),
    "few": (draw(40, 4096, 5.0), 1),
    "residual": (np.stack([draw((200, 6), 64, a) for a in (5, 0.01)], axis=-1), 2),
    "residual maps": (np.stack([draw((200, 3, 2), 64, a) for a in (5, 0.01)], axis=-1), 2),
}


@pytest.mark.parametrize("name", CASES)
def test_page_is_self_contained_and_holds_the_verdict(save, tmp_path, name):
    tokens, codebooks = CASES[name]
    size = 4096 if name == "few" else 64
    vectors = np.random.default_rng(0).normal(size=(codebooks, size, 4)).squeeze()
    found = inspect.inspect(save(name, tokens), size, save("vectors", vectors), codebooks)
    inspect.write(found, ["html"], tmp_path)
    page = (tmp_path / f"{name}.html").read_text()
    expected = {"healthy": "healthy", "few": "too few tokens to tell"}.get(name, "collapsed")
    assert found.summary.startswith(f"{name}.npy: {expected}")
    assert f"<strong>{expected.capitalize()}</strong>" in page
    assert "Collapsed: perplexity below 10 % of the codebook size" in page
    assert page.count("<svg") == (4 if name == "few" else 5)  # flat tokens have no positions
    addresses = set(re.findall(r'(?:href|src)="([^"]*)"|url\(([^)]*)\)', page))
    assert all(link.startswith(("#", "data:")) for pair in addresses for link in pair if link)
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_values_are_written_as_json(save, tmp_path):
    found = inspect.inspect(save("t", np.arange(8).repeat(3)), 16)
    inspect.write(found, ["json"], tmp_path / "new")
    values = json.loads((tmp_path / "new" / "t.json").read_text(), parse_constant=pytest.fail)
    only = values["codebooks"][0]
    assert values["verdict"] == only["verdict"] == "healthy"
    assert (values["codebook_size"], only["codebook_size"]) == (16, 16)
    assert only["metrics"]["perplexity"] == pytest.approx(8.0)
    assert only["metrics"]["dead_codes"] == 8
    assert only["metrics"]["perplexity_batch_mean"] is None  # no batches of rows in a flat file
    assert only["seen"][-1] == 24


def test_terminal_has_a_line_per_codebook(save, tmp_path, capsys):
    tokens = np.stack([np.arange(64) % 8, np.zeros(64, dtype=int)], axis=-1)
    inspect.write(inspect.inspect(save("t", tokens), 8, codebooks=2), ["term"], tmp_path)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["0", "healthy", "8.0", "100.0", "%", "100.0", "%", "0"] in lines
    assert ["1", "collapsed", "1.0", "12.5", "%", "12.5", "%", "7"] in lines


def test_without_a_codebook_size_there_is_no_verdict(save, tmp_path, capsys):
    tokens = np.random.default_rng(0).integers(0, 10, (300, 8, 8))  # 10 codes, of 1 024 perhaps
    found = inspect.inspect(save("t", tokens))
    assert found.verdict == "no verdict"
    assert found.summary.startswith(
        "t.npy: no verdict (the codebook size is not known: say -K) · perplexity 10.0 · "
        "10 distinct tokens, the largest 9"
    )
    inspect.write(found, inspect.FORMATS, tmp_path)
    page, table = (tmp_path / "t.html").read_text(), capsys.readouterr().out
    assert "<strong>No verdict</strong>" in page
    assert not {">Codes used<", ">Dead codes<"} & set(re.findall(">[^<]*<", page))
    assert table.split() == [
        "codebook",
        "verdict",
        "perplexity",
        "─" * 33,
        "0",
        "no",
        "verdict",
        "10.0",
    ]
    only = json.loads((tmp_path / "t.json").read_text())["codebooks"][0]
    assert set(only["metrics"]) == {"perplexity", "unigram_entropy", "perplexity_batch_mean"}
    assert (only["codebook_size"], only["ceilings"], only["position_ceiling"]) == (None, {}, None)
    assert inspect.inspect(save("t", tokens), 1024).verdict == "collapsed"


def test_an_unknown_format_is_refused():
    with pytest.raises(UserError, match="unknown format 'htm'; did you mean 'html'"):
        inspect.forms("term,htm")


def test_a_notebook_shows_it_as_a_table(save):
    tokens = np.random.default_rng(0).integers(0, 5, (200, 8, 2))
    found = inspect.inspect(save("a&b", tokens), [64], codebooks=2)._repr_html_()
    assert "<caption>a&amp;b.npy: collapsed" in found
    assert "<tr><th>codebook</th><th>0</th><th>1</th><th>uniform use</th></tr>" in found
    assert "<tr><th>verdict</th><td>collapsed</td><td>collapsed</td><td></td></tr>" in found
    assert "<tr><th>Dead codes</th><td>59</td><td>59</td><td>0</td></tr>" in found
