import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from bratsprep.drawing import document

NASTY = "<img src=x onerror=alert(1)>\"'&"


class Reader(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.words = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


@pytest.mark.parametrize(
    "made",
    [
        document.text(NASTY),
        document.paragraph(NASTY),
        document.paragraph(NASTY, soft=True),
        document.section(NASTY),
        document.table([NASTY], [[NASTY, NASTY]], NASTY),
        document.facts({NASTY: NASTY}),
        document.document(NASTY, ""),
    ],
)
def test_markup_in_a_name_shows_as_text(made):
    read = Reader(made)
    assert "img" not in [tag for tag, _ in read.tags]
    assert NASTY in read.words


def test_the_policy_names_the_one_style():
    made = document.document("a", "b")
    (style,) = re.findall("<style>(.*?)</style>", made, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    (policy,) = [found["content"] for _, found in Reader(made).tags if "http-equiv" in found]
    assert f"style-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")


def test_a_page_without_a_script_lets_none_run():
    made = document.document("a", "b")
    assert "<script" not in made
    assert "script-src" not in made


def test_the_policy_names_the_one_script():
    made = document.document("a", "b", "p {}", "let x = 1;")
    digest = base64.b64encode(hashlib.sha256(b"let x = 1;").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in made
    assert made.count("<script>let x = 1;</script>") == 1
    assert "<style>p {}</style>" in made


def test_a_table_has_a_heading_for_each_row():
    read = Reader(document.table(["a", "b"], [["c", 1], ["d", 2]]))
    assert [found.get("scope") for tag, found in read.tags if tag == "th"] == [
        "col", "col", "row", "row"]  # fmt: skip
