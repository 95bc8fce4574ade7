"""Which cases' images a page carries: bounded by number and size, and said on the page."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bratstrain
from bratstrain.pages.page_budget import MEGABYTE, Shown, images_note, size, within
from bratstrain.pages.sprites import MOST_TELLING, View, telling_planes
from tests.helpers import pageruns
from tests.helpers.pagecontent import content_of


def view(case, planes=40, side=60):
    """A case of noise with a tumour in all planes but the first ten."""
    generator = np.random.default_rng(planes)
    truth = np.zeros((planes, side, side), np.uint8)
    truth[10:, 20:30, 20:30] = 1
    truth[planes // 2, 10:40, 10:40] = 1
    greys = generator.integers(1, 255, (2, planes, side, side), np.uint8)
    entropy = generator.integers(0, 255, truth.shape, np.uint8)
    return View(case, np.arange(planes), planes, greys, truth, (truth,), (1, 1, 1), entropy)


def test_every_case_has_some_planes_and_the_important_ones_all():
    shown = within([view("a"), view("b"), view("c")], ["c"], 9.5)
    assert shown.cases == ["a", "b", "c"]
    assert shown.whole == {"c"}
    few = len(telling_planes(view("a").truth))
    assert few <= MOST_TELLING
    assert [len(each["planes"]) for each in shown.views] == [few, few, 40]
    assert shown.left_out == 0


def test_what_does_not_fit_is_left_out_from_the_end():
    one = within([view("a")], [], 9.5).views[0]
    limit = (2.5 * size(one) + 400_000) / MEGABYTE
    shown = within([view(name) for name in "abcd"], ["a"], limit)
    assert shown.cases == ["a", "b"]
    assert shown.left_out == 2
    assert shown.whole == frozenset()


def test_first_case_is_there_whatever_the_size():
    assert within([view("a"), view("b")], ["a"], 0.001).cases == ["a"]


@given(st.integers(1, 60), st.lists(st.integers(0, 59), max_size=8), st.integers(0, 59))
def test_telling_planes_hold_the_fullest_and_are_few(n_planes, filled, most):
    truth = np.zeros((n_planes, 3, 3), np.uint8)
    for z in filled:
        truth[z % n_planes, 0, 0] = 1
    truth[most % n_planes] = 1
    found = telling_planes(truth, np.zeros_like(truth))
    assert most % n_planes in found
    assert len(found) <= MOST_TELLING
    assert (np.diff(found) > 0).all()
    assert truth[found].any(axis=(1, 2)).all()


def test_prediction_without_truth_is_shown_where_it_is():
    truth, predicted = np.zeros((2, 9, 4, 4), np.uint8)
    predicted[3:5] = 1
    assert telling_planes(truth, predicted).tolist() == [3, 4]
    assert telling_planes(truth, truth).tolist() == [4]


@pytest.mark.parametrize(
    ("shown", "n_cases", "said"),
    [
        (
            Shown(({"case": "a"},), frozenset("a"), 0),
            1,
            "1 of 1 cases are on this page, with every",
        ),
        (Shown(({"case": "a"},), frozenset(), 0), 9, "more with --images (here 1)"),
        (Shown(({"case": "a"},), frozenset(), 3), 9, "beyond 2 MB (--megabytes)"),
    ],
)
def test_page_says_what_was_left_out(shown, n_cases, said):
    assert said in images_note(shown, n_cases, 1, 2)


@pytest.mark.slow
def test_number_of_cases_is_the_users(tmp_path):
    raw = pageruns.write_cases(tmp_path / "raw")
    run = pageruns.write_run(tmp_path / "run")
    done = bratstrain.report(run, raw=raw, split="all", images=2)
    text = done.path.read_text()
    assert len(content_of(text)["viewers"]["cases"]) == 2
    assert "Images of 2 of 3 cases are on this page" in text
    assert text.count("data-open") >= 2


def test_one_case_has_a_page_of_its_own(tmp_path):
    raw = pageruns.write_cases(tmp_path / "raw")
    run = pageruns.write_run(tmp_path / "run")
    done = bratstrain.report(run, raw=raw, split="all", cases=[pageruns.CASES[2]])
    (shown,) = content_of(done.path.read_text())["viewers"]["cases"]
    assert shown["case"] == pageruns.CASES[2]
    assert shown["planes"] == list(range(6))
