"""Files of the pages: one script, one style, data that cannot end their element."""

import base64
import hashlib
import html as html_library
import json
import re

import pytest

from bratsprep.drawing.document import asset
from bratsprep.errors import BratsError
from bratstrain.apply_config import ShownConfig
from bratstrain.pages import report
from bratstrain.pages.html_file import ASSETS, PACKAGE, write_page
from bratstrain.pages.page_budget import Shown
from tests.helpers import runs, scored_runs
from tests.helpers.markup import Markup, policy_of
from tests.helpers.pagecontent import content_of

EVIL = "<img src=x onerror=alert(1)>"
BREAKOUT = "</script><script>alert(1)</script><!--"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Page of a run whose folder, notes, titles and data are all hostile."""
    folder = tmp_path_factory.mktemp("run") / EVIL
    runs.write(folder)
    evaluation = scored_runs.evaluation(run=folder, cases=(EVIL, "b"), notes=[EVIL])
    return page_with(evaluation, {"case": EVIL, "predicted": ["&", BREAKOUT]})


def page_with(evaluation, view):
    """Page that shows one case."""
    return report.page(evaluation, Shown((view,), frozenset(), 0), ShownConfig())


def test_hostile_text_shows_as_text(page):
    read = Markup(page)
    assert "img" not in read.names
    assert sum(EVIL in words for words in read.words) >= 5  # title, heading, note, case, dots
    assert f"<title>{html_library.escape(EVIL)}" in page


def test_data_cannot_end_their_element(page):
    assert Markup(page).names.count("script") == 2
    text = re.search(r'type="application/json">(.*?)</script>', page)[1]
    assert not set("<>&") & set(text)
    assert json.loads(text) == content_of(page)
    assert content_of(page)["viewers"]["cases"][0]["predicted"][1] == BREAKOUT


def test_numbers_that_json_does_not_know_are_refused(tmp_path):
    runs.write(tmp_path / "run")
    evaluation = scored_runs.evaluation(run=tmp_path / "run")
    with pytest.raises(ValueError, match="JSON"):
        page_with(evaluation, {"case": "a", "spacing": [float("nan")]})


def test_policy_names_script_and_style_and_forbids_the_rest(page):
    policy = policy_of(page)
    assert policy.startswith("default-src 'none';")
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert (len(scripts), len(styles)) == (1, 1)
    for text in (*scripts, *styles):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


@pytest.mark.parametrize("name", [*ASSETS, "page.css"])
def test_script_and_style_hold_nothing_that_ends_them_or_leads_away(name):
    text = asset("bratsprep.drawing" if name == "page.css" else PACKAGE, name)
    assert "</" not in text
    assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|eval\(", text)
    assert "innerHTML" not in text


def test_page_is_written_with_the_folders_above_it(tmp_path):
    path = tmp_path / "a" / "b.html"
    assert write_page(path, "ä") == 2
    assert path.read_text(encoding="utf-8") == "ä"


def test_name_that_is_no_text_is_written_as_its_escape(tmp_path):
    write_page(tmp_path / "a.html", "\udcff")
    assert (tmp_path / "a.html").read_text() == "\\udcff"


def test_page_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(BratsError, match="cannot be written"):
        write_page(tmp_path / "a" / "b.html", "")
