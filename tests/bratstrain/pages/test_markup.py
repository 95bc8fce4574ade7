"""The page's markup: what is text stays text, and nothing else gets in."""

import base64
import hashlib
import html
import json
import re
from html.parser import HTMLParser

import pytest

from bratsprep.errors import BratsError
from bratstrain.pages.markup import (
    SCRIPTS,
    STYLE,
    Markup,
    document,
    facts,
    joined,
    resource,
    script_json,
    section,
    table,
    tag,
    write_page,
)

EVIL = "<img src=x onerror=alert(1)>"


class Elements(HTMLParser):
    """Names and attributes of every element, in order."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, name, attributes):
        self.found.append((name, dict(attributes)))


def names(text):
    return [name for name, _ in Elements(text).found]


def test_text_is_escaped():
    assert tag("b", EVIL) == f"<b>{html.escape(EVIL)}</b>"


def test_attribute_is_escaped():
    made = tag("b", title=f'"{EVIL}')
    assert Elements(made).found == [("b", {"title": f'"{EVIL}'})]


def test_markup_is_not_escaped_twice():
    assert tag("p", tag("b", "a & b")) == "<p><b>a &amp; b</b></p>"


def test_children_may_be_nested_and_numbers():
    assert joined(["a", [Markup("<br>"), 3]], "<") == "a<br>3&lt;"


@pytest.mark.parametrize(
    ("value", "wanted"), [(True, "<b x>"), (False, "<b>"), (None, "<b>"), (0.5, '<b x="0.5">')]
)
def test_attribute_of_each_kind(value, wanted):
    assert tag("b", x=value) == f"{wanted}</b>"


def test_attribute_names_lose_their_last_underscore_and_get_hyphens():
    assert tag("b", class_="a", aria_label="b") == '<b class="a" aria-label="b"></b>'


def test_element_without_content_has_no_end():
    assert tag("br") == "<br>"


def test_table_has_a_head_for_each_column_and_row():
    made = table(["", "x"], [["a", EVIL]], caption=EVIL)
    assert names(made).count("th") == 3
    assert "img" not in names(made)
    assert html.escape(EVIL) in made


def test_section_and_facts_escape():
    made = section(EVIL, facts({EVIL: EVIL}), id_="here")
    assert "img" not in names(made)


def test_script_data_cannot_end_its_element():
    value = {"a": "</script><script>alert(1)</script><!--", "b": "&"}
    text = script_json(value)
    assert not set("<>&") & set(text)
    assert json.loads(text) == value


def policy_of(page):
    metas = [each for name, each in Elements(page).found if name == "meta"]
    return next(each["content"] for each in metas if "http-equiv" in each)


def test_policy_names_script_and_style_and_forbids_the_rest():
    page = document("title", "body", {})
    policy = policy_of(page)
    assert policy.startswith("default-src 'none';")
    scripts = re.findall(r"<script>(.*?)</script>", page, flags=re.DOTALL)
    styles = re.findall(r"<style>(.*?)</style>", page, flags=re.DOTALL)
    assert (len(scripts), len(styles)) == (1, 1)
    for text in (*scripts, *styles):
        wanted = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{wanted}'" in policy


def test_title_and_data_are_escaped():
    page = document(EVIL, tag("p", EVIL), {"case": EVIL})
    assert "img" not in names(page)
    assert f"<title>{html.escape(EVIL)}</title>" in page


def test_script_and_style_hold_nothing_that_ends_them_or_leads_away():
    for name in (STYLE, *SCRIPTS):
        text = resource(name)
        assert "</" not in text
        assert not re.search(r"https?://|@import|url\(|fetch\(|XMLHttpRequest|eval\(", text)
        assert "innerHTML" not in text


def test_page_is_written_with_the_folders_above_it(tmp_path):
    path = tmp_path / "a" / "b.html"
    assert write_page(path, "ä") == 2
    assert path.read_text(encoding="utf-8") == "ä"


def test_page_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "a").write_text("")
    with pytest.raises(BratsError, match="cannot be written"):
        write_page(tmp_path / "a" / "b.html", "")
