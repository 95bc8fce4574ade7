"""The pages in a real browser: nothing leaves the file, everything answers, and nothing runs."""

import tempfile
from pathlib import Path

import pytest

from bratstrain.pages.compare import compare
from bratstrain.pages.report import report
from tests.helpers import browser, pageruns, runs

EVIL = "<img src=x onerror=alert(1)>"
NAMES = (EVIL, "BraTS2021_00002", "BraTS2021_00003")
SIZES = [(1400, "light"), (1400, "dark"), (390, "light"), (390, "dark")]
IDS = [f"{width}-{scheme}" for width, scheme in SIZES]
CASES = "[data-viewer=cases]"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium():
    program = browser.find()
    if program is None:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        page = browser.Browser(program, Path(folder))
        try:
            yield page
        finally:
            page.close()


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """A report and a comparison of cases one of which has an evil name, and a run that has too."""
    folder = tmp_path_factory.mktemp("pages")
    raw = pageruns.write_cases(folder / "raw", NAMES)
    split = pageruns.replace(runs.SPLIT, train=(), validation=NAMES, test=())
    for name, seed in ((EVIL, 0), ("two", 3)):
        pageruns.write_run(folder / name, seed=seed, split=split)
    made = report(folder / EVIL, raw=raw, out=folder / "report.html")
    both = compare([folder / EVIL, folder / "two"], raw=raw, out=folder / "compare.html")
    return {"report": made.path, "compare": both.pages[0]}


@pytest.fixture(params=["report", "compare"])
def name(request):
    return request.param


@pytest.fixture
def page(chromium, pages, name):
    chromium.open(pages[name])
    return chromium


@pytest.fixture
def reported(chromium, pages):
    chromium.open(pages["report"])
    return chromium


def drawn(page, i):
    """Digest of what a panel shows."""
    return page.run(f"document.querySelectorAll('{CASES} canvas[data-kind]')[{i}].toDataURL()")


def told(page):
    return page.run(f"document.querySelector('{CASES} output').textContent")


def until_told(page, text):
    """Wait until the viewer's line holds a text: a key is answered before the page acts on it."""
    page.wait(f"document.querySelector('{CASES} output').textContent.includes({text!r})")


def use(page):
    """Do all that can be done with the viewer."""
    slider = f"{CASES} input[type=range]"
    page.run(f"document.querySelector('{slider}').focus()")
    for key in ("Home", "ArrowRight", "End", "ArrowLeft"):
        page.key(key)
    for i in range(4):
        page.click(f"{CASES} label:has(input[name$=modality][value='{i}'])")
    n = page.run(f"document.querySelectorAll('{CASES} input[name$=case]').length")
    for i in range(n):
        page.click(f"{CASES} label:has(input[name$=case][value='{i}'])")
        page.wait(f"document.querySelector('{CASES}').dataset.ready")
    page.click(f"{CASES} input[name$=errors]")
    page.click(f"{CASES} button[data-go=fullest]")
    page.click(f"{CASES} button[data-go='1']")


def table_of(page):
    """Ids of the rows of the table that are not hidden, from above."""
    return page.run(
        "[...document.querySelectorAll('table.cases tbody tr')].filter(r => !r.hidden)"
        ".map(r => r.dataset.case)"
    )


def sorting(page):
    """How each heading of the table says that it is sorted."""
    heads = "document.querySelectorAll('table.cases thead th[aria-sort]')"
    return page.run(f"[...{heads}].map(h => h.ariaSort)")


def enter(page, text):
    """Put a text into the filter."""
    box = "document.querySelector('[data-filter]')"
    page.run(f"{box}.value = {text!r}, {box}.dispatchEvent(new Event('input'))")


def test_table_is_sorted_by_a_click_both_ways(reported):
    worst_first = table_of(reported)
    assert sorted(worst_first) == sorted(NAMES)
    assert sorting(reported)[:2] == ["none", "ascending"]
    reported.click("[data-sort='1']")
    assert table_of(reported) == worst_first[::-1]
    assert sorting(reported)[:2] == ["none", "descending"]
    reported.click("[data-sort='0']")
    assert table_of(reported) == sorted(NAMES)
    assert sorting(reported)[:2] == ["ascending", "none"]


def test_table_is_sorted_by_the_keyboard_alone(reported):
    reported.run("document.querySelector('[data-sort=\"0\"]').focus()")
    reported.key(" ")
    reported.wait("document.querySelector('table.cases th').ariaSort === 'ascending'")
    assert table_of(reported) == sorted(NAMES)


def test_every_column_of_numbers_is_sorted_as_numbers(reported):
    n = reported.run("document.querySelectorAll('[data-sort]').length")
    for column in range(1, n):
        reported.click(f"[data-sort='{column}']")
        values = reported.run(
            "[...document.querySelectorAll('table.cases tbody tr')]"
            f".map(r => r.cells[{column}].dataset.value).filter(v => v !== '').map(Number)"
        )
        is_up = sorting(reported)[column] == "ascending"
        assert values == sorted(values, reverse=not is_up)


def test_filter_finds_ids_and_says_how_many(reported):
    enter(reported, "_00002")
    assert table_of(reported) == ["BraTS2021_00002"]
    count = "document.querySelector('[data-count]').textContent"
    assert reported.run(count) == "1 of 3 cases"
    enter(reported, "nothing like it")
    assert table_of(reported) == []
    enter(reported, "")
    assert len(table_of(reported)) == 3


def test_name_in_the_table_opens_its_images(reported):
    for case in NAMES[1:]:
        place = reported.run(
            f"document.querySelector('tr[data-case={case}] [data-open]').dataset.open"
        )
        reported.click(f"tr[data-case={case}] [data-open]")
        until_told(reported, f"{case}, plane")
        assert reported.run(f"document.querySelector('{CASES} select').value") == place
        assert reported.run("document.querySelector('tr.current').dataset.case") == case


def test_cases_are_paged_through_and_begin_again(reported):
    seen = []
    for _ in range(3):
        seen.append(told(reported).split(", plane")[0])
        reported.click(f"{CASES} [data-page='1']")
        reported.wait(f"!document.querySelector('{CASES} output').textContent.startsWith("
                      f"{seen[-1]!r} + ', plane')")  # fmt: skip
    assert sorted(seen) == sorted(NAMES)
    assert told(reported).startswith(seen[0])


def test_uncertainty_takes_the_place_of_the_overlay_and_of_the_error_map(reported):
    before = drawn(reported, 3)
    reported.click(f"{CASES} input[name$=errors]")
    reported.click(f"{CASES} input[name$=unsure]")
    caption = f"document.querySelectorAll('{CASES} figcaption')[3].textContent"
    reported.wait(f"{caption} === 'Uncertainty'")
    assert drawn(reported, 3) != before
    assert not reported.run(f"document.querySelector('{CASES} input[name$=errors]').checked")
    assert reported.run(f"!document.querySelector('{CASES} [data-when=unsure]').hidden")


def test_report_opens_in_a_second(reported):
    timing = "performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd"
    assert (
        reported.run(timing) < 5000
    )  # of a busy machine; docs/log.md has the figure of a quiet one


@pytest.mark.parametrize(("width", "scheme"), SIZES, ids=IDS)
def test_nothing_is_asked_for_and_the_console_is_silent(
    chromium, pages, name, width, scheme, tmp_path
):
    chromium.open(pages[name], width=width, scheme=scheme)
    use(chromium)
    picture = tmp_path / f"{name}-{width}-{scheme}.png"
    chromium.screenshot(picture)
    assert chromium.requests() == [pages[name].resolve().as_uri()]
    assert chromium.complaints() == []
    assert picture.stat().st_size > 20_000


@pytest.mark.parametrize("width", [1400, 390])
def test_page_is_no_wider_than_its_window(chromium, pages, name, width):
    chromium.open(pages[name], width=width)
    assert chromium.run("document.documentElement.scrollWidth") <= width


def test_evil_name_shows_as_text_and_does_not_run(page):
    assert page.run("document.images.length") == 0
    assert EVIL in page.run("document.body.innerText")
    assert page.run("document.title").startswith(EVIL)


def test_page_is_dark_where_the_reader_wants_it_dark(chromium, pages, name):
    seen = set()
    for scheme in ("light", "dark"):
        chromium.open(pages[name], scheme=scheme)
        seen.add(chromium.run("getComputedStyle(document.body).backgroundColor"))
    assert seen == {"rgb(255, 255, 255)", "rgb(20, 23, 27)"}


def test_slider_goes_through_all_planes_by_keys(reported):
    slider = f"document.querySelector('{CASES} input[type=range]')"
    reported.run(f"{slider}.focus()")
    assert reported.run(f"Number({slider}.max)") == 5
    seen = []
    reported.key("Home")
    for z in range(6):
        until_told(reported, f"plane {z} of")
        seen.append(told(reported))
        reported.key("ArrowRight")
    assert len(set(seen)) == 6
    assert all(f"plane {z} of 0 to 5" in text for z, text in enumerate(seen))


def test_slider_changes_every_panel(reported):
    reported.run(f"document.querySelector('{CASES} input[type=range]').focus()")
    reported.key("Home")
    until_told(reported, "plane 0 of")
    before = [drawn(reported, i) for i in range(4)]
    reported.click(f"{CASES} button[data-go=fullest]")
    for i, old in enumerate(before):
        reported.wait(f"document.querySelectorAll('{CASES} canvas[data-kind]')[{i}].toDataURL() "
                      f"!== {old!r}")  # fmt: skip


def test_modality_changes_the_picture(reported):
    before = drawn(reported, 0)
    reported.click(f"{CASES} label:has(input[name$=modality][value='0'])")
    reported.wait(f"document.querySelectorAll('{CASES} canvas[data-kind]')[0].toDataURL() !== "
                  f"{before!r}")  # fmt: skip


def test_case_changes_the_picture_and_the_text(reported):
    before = told(reported)
    reported.click(f"{CASES} [data-page='1']")
    reported.wait(f"document.querySelector('{CASES} output').textContent !== {before!r}")


def test_choices_answer_to_keys(reported):
    reported.run(f"document.querySelector('{CASES} input[name$=modality]:checked').focus()")
    reported.key("ArrowRight")
    chosen = f"document.querySelector('{CASES} input[name$=modality]:checked').value"
    assert reported.run(chosen) == "3"


def test_error_map_takes_the_place_of_the_overlay(reported):
    before = drawn(reported, 3)
    legend = f"document.querySelector('{CASES} [data-when=errors]')"
    assert reported.run(f"{legend}.offsetHeight") == 0
    reported.run(f"document.querySelector('{CASES} input[name$=errors]').focus()")
    reported.key(" ")
    assert drawn(reported, 3) != before
    assert reported.run(f"{legend}.offsetHeight") > 0
    titles = f"[...document.querySelectorAll('{CASES} .panel figcaption')].map(t => t.textContent)"
    assert reported.run(titles) == ["Original", "Ground truth", "Prediction", "Error map"]


def test_dots_tell_their_case_by_keys_and_pointer(reported):
    reported.run("document.querySelector('#dots svg.dots').focus()")
    reported.key("ArrowRight")
    said = "document.querySelector('#dots .pointed').textContent"
    first = reported.run(said)
    assert first.startswith("mean of classes: ")
    assert "volume Dice" in first
    reported.key("End")
    assert reported.run(said).startswith("WT: ")
    assert reported.run("document.querySelectorAll('.dot.same').length") == 6


def test_labels_are_drawn_in_the_colours_of_the_legend(reported):
    """Truth of the fullest plane: the pixels that are coloured are those of the classes."""
    code = """(() => {
      const canvas = document.querySelectorAll('[data-viewer=cases] canvas[data-kind]')[1];
      const {width, height} = canvas;
      const data = canvas.getContext('2d').getImageData(0, 0, width, height).data;
      const counts = {};
      for (let i = 0; i < data.length; i += 4) {
        const key = [...data.slice(i, i + 3)].join();
        counts[key] = (counts[key] || 0) + 1;
      }
      return counts;
    })()"""
    counts = reported.run(code)
    coloured = {key: n for key, n in counts.items() if len(set(key.split(","))) == 3}
    assert set(coloured) <= {"213,94,0", "86,180,233", "240,228,66"}
    areas = reported.run("JSON.parse(document.getElementById('content').textContent)"
                         ".viewers.cases[0].areas[0]")  # fmt: skip
    assert sum(coloured.values()) == max(areas) * 9


def test_comparison_has_a_panel_for_each_run(chromium, pages):
    chromium.open(pages["compare"])
    titles = f"[...document.querySelectorAll('{CASES} .panel figcaption')].map(t => t.textContent)"
    assert chromium.run(titles) == ["Original", "Ground truth", EVIL, "two"]
    assert drawn(chromium, 2) != drawn(chromium, 3)


SEEN = "document.querySelector('#dots svg').checkVisibility({contentVisibilityAuto: true})"


def test_charts_are_laid_out_when_they_come_into_sight(reported):
    assert not reported.run(SEEN)
    reported.run("document.querySelector('#dots').scrollIntoView()")
    reported.wait(SEEN)


def test_link_leads_to_its_section_though_charts_above_are_not_laid_out(reported):
    reported.run("document.querySelector('nav a[href=\"#calibration\"]').click()")
    top = "document.querySelector('#calibration').getBoundingClientRect().top"
    reported.wait(f"Math.abs({top}) < 60")
    reported.run(browser.TWO_FRAMES)
    assert abs(reported.run(top)) < 60
