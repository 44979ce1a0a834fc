"""Files on disk: complete, self-contained, deterministic, the same digits in every form."""

import html
import re
import shutil
import subprocess
import sys
import zipfile

import pandas as pd
import pytest

from collapsebench import report
from collapsebench.cli import app
from collapsebench.report import style
from collapsebench.report.tables import latex, to_latex
from collapsebench.report.views import table1, table2
from collapsebench.report.what_ran import what_ran
from collapsebench.settings import UserError
from tests.report import made_up


def test_the_page_is_one_file_without_an_address(page):
    text = page.read_text()
    addresses = set(re.findall(r"(?:https?:)?//[\w.]+\.\w+[^\s\"'<)]*", text))
    assert all(a.startswith(("http://www.w3.org/",)) for a in addresses)  # names of XML formats
    assert not re.search(r"<(link|script|img)[^>]+(src|href)=\"(?!data:)", text)


def test_ids_are_unique(page):
    ids = re.findall(r'\sid="([^"]+)"', page.read_text())
    assert len(ids) == len(set(ids))


def test_page_and_captions_say_what_ran(page, data):
    text = page.read_text()
    ran = what_ran(data)
    header = text[text.index("<header>") : text.index("</header>")]
    assert f'<p class="ran">{ran}</p>' in header
    shown = re.findall(r'<section class="block" id="([^"]+)".*?</section>', text, re.DOTALL)
    tables = page.parent / "tables"
    for name in shown:
        block = text[text.index(f'class="block" id="{name}"') :]
        block = block[: block.index("</section>")]
        of_jobs = name in ("failures", "environment", "data", "protocols", "configurations")
        assert ('class="ran"' in block) is not of_jobs
        caption = re.search(r"\\caption{(.*)}", (tables / f"{name}.tex").read_text())[1]
        assert ("K = 512" in caption and "150~000 steps" in caption) is not of_jobs
    assert latex(ran) in (tables / "table1.tex").read_text()
    figures = re.findall(r"<figure.*?</figure>", text, re.DOTALL)
    assert len(figures) > 5
    assert all('class="ran"' in figure for figure in figures)


def test_no_tile_is_empty(small):
    text = (small / "o/demo/index.html").read_text()
    values = re.findall(r'<div class="tile"><b[^>]*>([^<]*)</b>', text)
    assert values
    assert "–" not in values


def test_a_long_table_has_a_heading_for_each_group_in_page_and_latex(zoo, zoo_page):
    text = zoo_page.read_text()
    table = text[text.index('id="table2"') :].partition("</table>")[0]
    heads = re.findall(r'class="fold" aria-expanded="true">([^<]+) <span>(\d+)', table)
    assert heads == [("Your methods", "1"), ("The paper’s methods", "6"), ("Modern methods", "15"),
                     ("Floors", "3")]  # fmt: skip
    (block,) = table2.build(zoo)
    assert re.findall(r"multicolumn\{3\}\{l\}\{([^}]+)\}", to_latex(block)) == [
        name.replace("’", "'") for name, _ in heads
    ]


def test_few_rows_have_no_groups(page):
    text = page.read_text()
    assert "fold" not in text[text.index('id="table1"') : text.index('id="table2"')]


def test_every_look_has_a_sign_and_a_colour_in_both_themes(zoo_page):
    text = zoo_page.read_text()
    used = set(re.findall(r'<use href="#([^"]+)"', text))
    assert len(used) == 25
    assert used <= set(re.findall(r'<symbol id="([^"]+)"', text))
    day, *nights = re.findall(r":root[^{]*{ (--c[^}]+)}", text)
    for variable in set(re.findall(r"var\((--c[0-9a-f]{6})\)", text)):
        assert f"{variable}: #{variable[3:].upper()};" in day
        assert all(f"{variable}: #" in night for night in nights)
    assert len(nights) == 2


def test_references_inside_drawings_lead_somewhere(page):
    text = page.read_text()
    ids = set(re.findall(r'\sid="([^"]+)"', text))
    assert set(re.findall(r'xlink:href="#([^"]+)"', text)) <= ids
    assert set(re.findall(r"url\(#([^)]+)\)", text)) <= ids


def test_every_form_of_a_table_has_the_same_digits(page, data):
    (table,) = table1.build(data)
    text = html.unescape(re.sub(r"<span class=pm>(.*?)</span>", r"\1", page.read_text()))
    section = text[text.index('id="table1"') : text.index('id="table2"')]
    section = section[section.index("<tbody>") :]
    shown = [m.strip() for m in re.findall(r'data-part="[^"]+">([^<]*)<', section)]
    wanted = [str(part) for row in table.rows for cell in row.cells for part in cell.parts.values()
              if str(part) != "not measured"]  # fmt: skip
    assert set(wanted) <= set(shown)
    folder = page.parent / "tables"
    numbers = sorted(digits(" ".join(wanted)))
    assert sorted(digits(body(folder / "table1.tex", "\\midrule", "\\bottomrule"))) == numbers
    assert sorted(digits(body(folder / "table1.csv", "\n", None))) == numbers
    assert sorted(digits(body(folder / "table1.md", "---: |\n", "\n\n-"))) == numbers


def body(path, start, end):
    text = path.read_text()
    text = text[text.index(start) + len(start) :]
    return text if end is None else text[: text.index(end)]


def digits(text):
    text = text.replace("−", "-").replace("$-$", "-").replace("+", "")
    return re.findall(r"-?\d+\.\d+", text)


def test_figures_are_written_at_the_width_at_which_they_print(page):
    names = {path.name for path in (page.parent / "figures").iterdir()}
    assert {"tradeoff.pdf", "tradeoff.png", "fig4-1.pdf", "fig7-1.png", "fig2a.pdf"} <= names
    pdf = (page.parent / "figures/tradeoff.pdf").read_bytes()
    width = float(re.search(rb"/MediaBox \[ ?0 0 ([\d.]+)", pdf)[1])
    assert width == pytest.approx(72 * style.PAGE, abs=0.5)


def test_the_same_rows_give_the_same_bytes(tmp_path):
    made_up.MadeUp(tmp_path / "r", methods=("edvae",), seeds=(1,), stages=("encode",)).write()
    trees = []
    for name in ("a", "b"):
        report.build("demo", tmp_path / "r", tmp_path / name, bundle=True)
        files = sorted(p for p in (tmp_path / name).rglob("*") if p.is_file())
        trees.append({str(p.relative_to(tmp_path / name)): p.read_bytes() for p in files})
    assert list(trees[0]) == list(trees[1])
    assert [name for name in trees[0] if trees[0][name] != trees[1][name]] == []


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A page of one method without images, and its terminal form's results."""
    folder = tmp_path_factory.mktemp("small")
    made_up.MadeUp(folder / "r", methods=("edvae",), seeds=(1,), points=3).write()
    report.build_all(folder / "r", folder / "o", to=["html"], images=False)
    return folder


def test_a_partial_grid_gives_a_page_with_visible_holes(tmp_path):
    methods = ("dvae", "edvae")
    ends = {(m, "digits", s): ("train", None, "") for m in methods for s in (42, 1773, 1)}
    made_up.MadeUp(tmp_path / "r", methods=methods, ends=ends).write()
    text = report.build("demo", tmp_path / "r", tmp_path / "o", to=["html"]).read_text()
    assert text.count("not measured") >= len(methods)
    assert "0 / 6" in text


def test_images_and_formats_can_be_left_out(small, page):
    text = (small / "o/demo/index.html").read_text()
    assert "Reconstructions" in page.read_text()
    assert "Reconstructions" not in text
    assert not (small / "o/demo/tables").exists()


def test_a_page_leads_to_the_files_that_are_written_with_it(small, page):
    leads = re.findall(r'href="(figures/[^"]+)"', page.read_text())
    assert len(leads) > 20
    assert [lead for lead in leads if not (page.parent / lead).is_file()] == []
    assert "figures/" not in (small / "o/demo/index.html").read_text()
    assert not (small / "o/demo/figures").exists()


def test_the_path_that_is_returned_exists(small, tmp_path):
    assert report.build("demo", small / "r", tmp_path, to=["md"]) == tmp_path / "demo"
    assert report.build_all(small / "r", tmp_path, to=["csv"]) == tmp_path
    assert list(tmp_path.rglob("*.html")) == []


def test_the_scales_note_is_on_every_page(small, capsys):
    note = "orderings are not known to predict the paper"
    index = (small / "o/index.html").read_text()
    assert 'href="demo/index.html"' in index
    assert note in index
    assert note in (small / "o/demo/index.html").read_text()
    report.to_terminal("demo", small / "r")
    assert "not known to predict" in capsys.readouterr().out


def test_the_terminal_prints_table_1(results, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    report.to_terminal("tables", results)
    out = capsys.readouterr().out
    assert "Table 1 · Perplexity" in out
    assert "421.0 ± 3.0" in out


def test_the_terminal_leaves_out_what_the_page_folds(zoo, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    report.to_terminal("zoo", zoo.places[""])
    said = capsys.readouterr().out
    assert "My VQ against the baselines" in said
    assert "↑, details" not in said


def test_the_bundle_has_rows_tables_protocol_and_references(page, data, tmp_path):
    with zipfile.ZipFile(page.parent / "bundle.zip") as archive:
        archive.extractall(tmp_path)
    rows = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(rows) == len(data.metrics)
    assert "seeds 1, 42, 1773" in (tmp_path / "protocol.md").read_text()
    assert (tmp_path / "references.bib").read_text().count("@") >= 8
    assert (tmp_path / "tables/table1.tex").read_text() == (
        page.parent / "tables/table1.tex"
    ).read_text()


def test_no_grid_and_unknown_format_are_one_line(results, tmp_path):
    with pytest.raises(UserError, match="nothing to report"):
        report.build_all(tmp_path, tmp_path / "o")
    with pytest.raises(UserError, match="unknown format 'htm'; did you mean 'html'"):
        report.build("tables", results, tmp_path, to=["htm"])


def test_terminal_goes_with_other_formats(small, tmp_path, capsys):
    place = ["-r", str(small / "r"), "-o", str(tmp_path)]
    app(["report", *place, "-g", "demo", "--to", "csv,term"], standalone_mode=False)
    found = capsys.readouterr().out
    assert found.startswith(f"report: {tmp_path}")
    assert (tmp_path / "demo/tables/table1.csv").exists()
    assert "Table 1" in found


def test_torch_is_never_loaded():
    code = (
        "import sys; from collapsebench.report import build; from collapsebench.report import "
        "blocks; blocks.found(); print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
def test_the_latex_compiles(page, tmp_path):
    inputs = "\n".join(
        f"\\input{{{p}}}\\clearpage" for p in sorted((page.parent / "tables").glob("*.tex"))
    )
    (tmp_path / "all.tex").write_text(
        "\\documentclass[twocolumn]{article}\\usepackage[utf8]{inputenc}"
        f"\\usepackage{{booktabs,array}}\\begin{{document}}{inputs}\\end{{document}}"
    )
    run = subprocess.run(
        ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"],
        cwd=tmp_path, capture_output=True, text=True, errors="replace",
    )  # fmt: skip
    assert run.returncode == 0, run.stdout[-2000:]
    assert (tmp_path / "all.pdf").stat().st_size > 10_000
