"""The page in a real browser, from the disk: no error, no request, no overflow; controls work."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from collapsebench.report.palette import contrast


class Heard:
    """Everything that the page says or asks for."""

    def __init__(self, tab):
        self.errors, self.requests = [], []
        tab.on("console", lambda message: self.errors.append(message.text))
        tab.on("pageerror", lambda error: self.errors.append(str(error)))
        tab.on("request", lambda request: self.requests.append(request.url))


@pytest.fixture(
    scope="module", params=[(1280, "light"), (390, "dark")], ids=["desk-light", "phone-dark"]
)
def tab(browser, page, request):
    """The page as it was loaded once; each test touches a block that no other looks at."""
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    found = context.new_page()
    found.heard = Heard(found)
    found.goto(page.as_uri())
    yield found
    context.close()


def test_no_error_no_request_no_overflow(tab, page):
    assert tab.heard.errors == []
    assert [url for url in tab.heard.requests if not url.startswith("data:")] == [page.as_uri()]
    width = tab.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0
    assert tab.evaluate("document.body.innerText.length") > 2000


def test_copy_buttons_copy_the_written_tables(tab, page):
    for form, suffix in (("LaTeX", "tex"), ("Markdown", "md"), ("CSV", "csv")):
        tab.click(f'[data-copy="table1.{form}"]')
        tab.wait_for_selector(f'[data-copy="table1.{form}"]:text-is("copied")')
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied == (page.parent / f"tables/table1.{suffix}").read_text()


def test_the_view_switch_hides_what_is_not_asked_for(tab):
    paper = tab.locator("#table1 td .part.paper").first
    assert paper.is_visible()
    tab.click('#table1 [data-view="measured"]')
    assert not paper.is_visible()
    assert tab.get_attribute('#table1 [data-view="measured"]', "aria-pressed") == "true"
    tab.click('#table1 [data-view="paper"]')
    assert paper.is_visible()
    assert not tab.locator("#table1 td .main").first.is_visible()


def test_a_click_sorts_a_column_both_ways(tab):
    head = tab.locator("#table2 th .sort").first
    values = "[...document.querySelectorAll('#table2 tbody tr')].map(r => r.cells[1].dataset.sort)"
    for name, order in (("ascending", sorted), ("descending", lambda v: sorted(v, reverse=True))):
        head.click()
        numbers = [float(v) for v in tab.evaluate(values) if re.fullmatch(r"[\d.e-]+", v)]
        assert len(numbers) == 7
        assert numbers == order(numbers)
        assert tab.locator("#table2 th").nth(1).get_attribute("aria-sort") == name


def test_the_form_switch_shows_the_other_drawing(tab):
    assert tab.locator('#rank-frequency .drawing[data-form="cumulated"]').is_visible()
    tab.click('#rank-frequency [data-forms] [data-form="each"]')
    assert not tab.locator('#rank-frequency .drawing[data-form="cumulated"]').is_visible()
    assert tab.locator('#rank-frequency .drawing[data-form="each"]').is_visible()


def test_the_legend_isolates_a_method_by_mouse_and_by_key(tab):
    svg = tab.locator("#dead-codes svg")
    entry = svg.locator('[data-legend="edvae"][role="button"]')
    faded = "e => getComputedStyle(e).opacity"
    entry.click()
    assert svg.locator('[data-series="edvae"]').first.evaluate(faded) == "1"
    assert float(svg.locator('[data-series="dvae"]').first.evaluate(faded)) < 0.2
    assert entry.get_attribute("aria-pressed") == "true"
    entry.focus()
    tab.keyboard.press("Enter")
    assert svg.locator('[data-series="dvae"]').first.evaluate(faded) == "1"


def test_values_are_shown_by_key_and_by_pointer(tab):
    svg = tab.locator("#tradeoff svg")
    svg.scroll_into_view_if_needed()
    svg.focus()
    tab.keyboard.press("ArrowRight")
    tip = tab.locator("#tip")
    assert re.fullmatch(r".+ · 512 × 16: [\d.]+ %, MSE [\d.]+", tip.inner_text())
    ring = svg.locator(".ring").bounding_box()
    words = tip.inner_text()
    tab.mouse.move(5, 5)
    svg.evaluate("e => e.blur()")
    assert not tip.is_visible()
    tab.mouse.move(ring["x"] + ring["width"] / 2, ring["y"] + ring["height"] / 2)
    assert tip.inner_text() == words


def test_the_theme_button_switches(tab):
    color = "getComputedStyle(document.body).backgroundColor"
    before = tab.evaluate(color)
    tab.click("#theme")
    assert tab.evaluate(color) != before
    text = tab.locator("#tradeoff svg text").first.evaluate("e => getComputedStyle(e).fill")
    assert text != tab.evaluate(color)


def test_every_control_can_be_reached_by_keyboard(tab):
    unreachable = tab.evaluate(
        "[...document.querySelectorAll('button, a, summary, .scroll, [role=button]')]"
        ".filter(e => e.tabIndex < 0 && !e.classList.contains('drawing')).length"
    )
    assert unreachable == 0


@pytest.fixture(scope="module")
def many(browser, zoo_page):
    """The page of many methods, on a desk; each test leaves it as it was."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    found = context.new_page()
    found.heard = Heard(found)
    found.goto(zoo_page.as_uri())
    yield found
    assert found.heard.errors == []
    context.close()


def shown(tab, table="#table2"):
    """Labels of the rows that can be seen, with their groups' headings, from top to bottom."""
    cells = tab.locator(f"{table} tbody tr:visible th").all_inner_texts()
    return [re.sub(r"[▾▸]|\\s+", " ", cell).strip() for cell in cells]


def test_groups_fold_by_key_and_print_unfolded(many):
    before = shown(many)
    assert len(before) == 25 + 4
    head = many.locator("#table2 .fold").nth(2)
    head.focus()
    many.keyboard.press("Enter")
    assert head.get_attribute("aria-expanded") == "false"
    assert len(shown(many)) == len(before) - 15
    many.emulate_media(media="print")
    assert shown(many) == before
    many.emulate_media(media="screen")
    many.keyboard.press(" ")
    assert shown(many) == before


def test_sorting_ranks_across_groups_and_ends_as_it_began(many):
    before = shown(many)
    sort = many.locator("#table2 th .sort").first
    sort.click()
    ranked = shown(many)
    rows = many.locator("#table2 tbody tr:not(.group)")
    values = rows.evaluate_all("rows => rows.map(row => row.cells[1].dataset.sort)")
    numbers = [float(value) for value in values if re.fullmatch(r"[\d.e-]+", value)]
    assert numbers == sorted(numbers)
    assert len(ranked) == 25  # without headings
    assert ranked[-1].startswith("FSQ")  # no number there: last
    sort.click()
    assert shown(many)[:-1] == ranked[-2::-1]
    sort.click()
    assert shown(many) == before


def test_a_folded_group_stays_out_of_a_ranking(many):
    before = shown(many)
    fold, sort = many.locator("#table2 .fold").last, many.locator("#table2 th .sort").first
    fold.click()
    sort.click()
    assert len(shown(many)) == 22
    assert "random codes" not in shown(many)
    sort.click()
    sort.click()
    fold.click()
    assert shown(many) == before


def test_a_name_at_the_end_of_a_line_isolates_it(many):
    svg = many.locator("#fig6_size .drawing svg").first
    entry = svg.locator('[data-legend="ibq"][role="button"]').first
    faded = "e => getComputedStyle(e).opacity"
    entry.click()
    assert svg.locator('[data-series="ibq"]').first.evaluate(faded) == "1"
    assert float(svg.locator('[data-series="edvae"]').first.evaluate(faded)) < 0.2
    entry.click()
    assert svg.locator('[data-series="edvae"]').first.evaluate(faded) == "1"


def test_details_of_the_users_method_open(many):
    details = many.locator("#your-method-perplexity")
    assert not details.is_visible()
    many.locator("summary").first.click()
    assert details.is_visible()
    assert many.locator("#your-method-perplexity-matrix .good").count() > 5
    many.locator("summary").first.click()
    assert not details.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_lines_can_be_told_from_the_page(browser, zoo_page, scheme):
    context = browser.new_context(color_scheme=scheme)
    tab = context.new_page()
    tab.goto(zoo_page.as_uri())
    colors = tab.evaluate(
        "[...document.querySelectorAll('#fig6_size [data-series] path')]"
        ".map(e => getComputedStyle(e).stroke).filter(c => c !== 'none')"
    )
    paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    context.close()
    assert len(set(colors)) == 25
    assert min(contrast(color, hexed(paper)) for color in map(hexed, colors)) >= 3


def hexed(css):
    """ "rgb(1, 2, 3)" -> "#010203"."""
    return "#" + "".join(f"{int(part):02x}" for part in re.findall(r"\d+", css)[:3])


def test_a_table_that_goes_on_is_shaded_at_its_end(browser, zoo_page):
    context = browser.new_context(viewport={"width": 390, "height": 900})
    tab = context.new_page()
    tab.goto(zoo_page.as_uri())
    scroll = tab.locator("#table1 .scroll")
    tab.locator("#table1 thead").scroll_into_view_if_needed()
    assert scroll.evaluate("e => e.scrollWidth > e.clientWidth")
    before = edge(tab, scroll)
    scroll.evaluate("e => { e.scrollLeft = e.scrollWidth }")
    after = edge(tab, scroll)
    context.close()
    assert before.min() < 240  # a shade on white
    assert after.min() > 250


def edge(tab, scroll):
    """The right edge of an element's beginning as grey values, two pixels wide."""
    box = scroll.bounding_box()
    clip = {"x": box["x"] + box["width"] - 3, "y": box["y"] + 4, "width": 2, "height": 3}
    return np.asarray(Image.open(io.BytesIO(tab.screenshot(clip=clip))).convert("L"))


def test_no_heading_is_left_alone_at_the_end_of_a_printed_page(many):
    many.emulate_media(media="print")
    style = "getComputedStyle(document.querySelector('{}')).{}"
    for heading in ("h2", "#table2 .blockhead", "#table2 .ran", "#table2 .caption", "tr.group"):
        assert many.evaluate(style.format(heading, "breakAfter")) == "avoid"
    assert many.evaluate(style.format("#table2 tbody tr:not(.group)", "breakInside")) == "avoid"
    assert many.evaluate(style.format("#table2", "breakInside")) == "auto"
    assert many.evaluate(style.format("figure", "breakInside")) == "auto"  # its forms may part
    assert many.evaluate(style.format("figure .drawing", "breakInside")) == "avoid"
    many.emulate_media(media="screen")
