import base64
import hashlib
import re

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from bratsprep.drawing import document
from bratsprep.drawing.colours import ERRORS
from tests.helpers.class_sets import GLIOMA
from tests.helpers.markup import Markup, policy_of

NASTY = "<img src=x onerror=alert(1)>\"'&"
SECTIONS = {
    "name": "a", "facts": {}, "balance": None, "spread": None, "unusual": [], "cases": [],
    "intensities": {"charts": [], "masks_only": True}, "classes": (), "faulty": [],
    "cards": {"shown": [], "count": 0}, "limits": {"few": 1, "pictures": 1},
}  # fmt: skip


def page(title="a", **changes):
    return document.page("bratsprep.inspection", title, SECTIONS | changes, GLIOMA)


def macro(name, *values):
    """What a macro of both packages writes."""
    module = document.environment().get_template("drawing/macros.html").module
    return str(getattr(module, name)(*values))


@pytest.mark.parametrize(
    "made",
    [
        macro("table", [NASTY], [[NASTY, NASTY]], NASTY),
        macro("facts", {NASTY: NASTY}),
        macro("links", {NASTY: NASTY}),
        page(title=NASTY),
        page(name=NASTY),
    ],
    ids=["table", "facts", "links", "title", "name"],
)
def test_markup_in_a_name_shows_as_text(made):
    read = Markup(made)
    assert "img" not in read.names
    assert NASTY in read.words


def test_the_policy_names_the_one_style_and_forbids_the_rest():
    made = page()
    (style,) = re.findall("<style>(.*?)</style>", made, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}';" in policy_of(made)
    assert policy_of(made).startswith("default-src 'none';")


def test_a_page_without_a_script_lets_none_run():
    made = page()
    assert "script" not in Markup(made).names
    assert "script-src" not in policy_of(made)


def test_the_policy_names_a_script_by_its_digest():
    digest = base64.b64encode(hashlib.sha256(b"let x = 1;").digest()).decode()
    assert f"script-src 'sha256-{digest}';" in document.policy("p {}", "let x = 1;")


def test_colours_of_classes_and_errors_come_from_python_alone():
    colours = ERRORS | {f"k{k}": GLIOMA.colours[k] for k in (1, 2, 3)}
    style = document.asset(document.DRAWING, document.STYLE)
    assert not re.search(rf"--({'|'.join(colours)}):", style)
    rules = document.colour_rules(GLIOMA)
    assert all(f"--{name}: {colour};" in rules for name, colour in colours.items())


def test_a_table_has_a_heading_for_each_row_and_scrolls_by_keys():
    read = Markup(macro("table", ["a", "b"], [["c", 1], ["d", 2]], "caption"))
    assert [th["scope"] for th in read.attributes("th")] == ["col", "col", "row", "row"]
    assert read.attributes("div")[0]["tabindex"] == "0"
    assert read.attributes("div")[0]["aria-label"] == "caption"


def test_a_value_that_a_template_needs_is_not_left_out_silently():
    sections = {k: v for k, v in SECTIONS.items() if k != "facts"}
    with pytest.raises(UndefinedError, match="facts"):
        document.page("bratsprep.inspection", "a", sections, GLIOMA)


def test_a_page_without_a_template_is_an_error():
    with pytest.raises(TemplateNotFound):
        document.page("bratsprep.inspection", "a", SECTIONS, GLIOMA, template="none.html")


@pytest.mark.parametrize("package", ["bratsprep.inspection", "bratstrain.pages"])
def test_no_template_marks_data_as_safe(package):
    environment = document.environment(package)
    for name in environment.list_templates():
        source = environment.loader.get_source(environment, name)[0]
        assert not re.search(r"\|\s*safe\b|autoescape", source), name
