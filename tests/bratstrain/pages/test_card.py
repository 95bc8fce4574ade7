"""Model cards: what a run knows is there, what it does not know is said, and a hub can read it."""

import json
from dataclasses import replace

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import bratstrain
from bratsprep.errors import BratsError
from bratstrain.commands.cli import main
from bratstrain.pages.card import card
from bratstrain.pages.card_facts import card_facts
from bratstrain.pages.card_text import CardFacts, ScoreSet, card_text, quoted
from tests.helpers import pageruns

FACTS = CardFacts(
    name="a", about="b", data={"c": ""}, split={}, preparation={}, network={}, training={}
)  # fmt: skip
SCORES = ScoreSet(
    title="test: 3 cases", convention="brats", head=["", "Dice"], rows=[["a|b", "0.5"]],
    said=["two\nlines"], metrics={"volume Dice, WT": 0.51239},
)  # fmt: skip


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return pageruns.write_cases(tmp_path_factory.mktemp("cases") / "raw")


@pytest.fixture(scope="module")
def run(tmp_path_factory, raw):
    folder = pageruns.write_run(tmp_path_factory.mktemp("runs") / "run")
    bratstrain.evaluate(folder, raw=raw)
    return folder


def front(text):
    """Lines between the dashes."""
    before, lines, _ = text.split("---\n", 2)
    assert before == ""
    return lines.splitlines()


def test_card_of_a_run_has_scores_with_their_convention_and_cases(run):
    text = card_text(card_facts(run))
    assert "### validation of fold 0, split subject: 2 cases, every plane" in text
    assert "Convention for empty masks: brats." in text
    assert "best.pt was chosen on these very cases" in text
    stored = json.loads(next(run.glob("evaluation-*/evaluation.json")).read_text())
    for name, value in stored["headline"]["values"].items():
        assert f"| {name} | {value:.3f} |" in text
        place = front(text).index(f'      name: "volume Dice, {name} (convention brats)"')
        assert front(text)[place + 1] == f"      value: {value:.4f}"


@pytest.mark.parametrize(
    "said",
    [
        pageruns.SPLIT.digest,
        "no subject is on two sides",
        "flair, t1w, t1gd, t2w",
        "NCR (necrotic and non-enhancing core)",
        "kind unet, width 4, depth 2",
        "**licence of the data**: not stated",
        "scanners, sites, age and sex of the subjects**: not recorded",
        "1 x 1 x 2 mm",
        "Not a medical device",
    ],
)
def test_card_says(run, said):
    assert said in card_text(card_facts(run))


def test_stated_licence_is_of_the_data_alone(run):
    text = card_text(card_facts(run, "CC BY 4.0"))
    assert "**licence of the data**: CC BY 4.0" in text
    assert "**licence of the weights**: not stated" in text
    assert 'license: "unknown"' in front(text)


def test_licence_of_the_weights_is_that_of_the_front_matter():
    text = card_text(replace(FACTS, weights_license="apache-2.0"))
    assert 'license: "apache-2.0"' in front(text)


def test_scores_of_other_weights_are_left_out_and_named(tmp_path, raw):
    folder = pageruns.write_run(tmp_path / "run")
    bratstrain.evaluate(folder, raw=raw)
    (folder / "best.pt").write_bytes(
        (pageruns.write_run(tmp_path / "b", 1) / "best.pt").read_bytes()
    )
    facts = card_facts(folder)
    assert facts.scores == []
    assert "it is of other weights" in facts.limits[0]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda record: record.update({"evaluation version": 1}), "follow version 1 of the rules"),
        (lambda record: record["about"].pop("weights digest"), "does not say which weights"),
        (lambda record: record["about"].update({"split digest": "x"}), "of another split"),
    ],
)
def test_evaluation_that_does_not_speak_of_these_weights_is_left_out(tmp_path, raw, change, fault):
    folder = pageruns.write_run(tmp_path / "run")
    bratstrain.evaluate(folder, raw=raw)
    path = next(folder.glob("evaluation-*/evaluation.json"))
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    facts = card_facts(folder)
    assert facts.scores == []
    assert fault in facts.limits[0]


def test_unreadable_evaluation_is_named(tmp_path):
    folder = pageruns.write_run(tmp_path / "run")
    (folder / "evaluation-test-raw-x").mkdir()
    (folder / "evaluation-test-raw-x" / "evaluation.json").write_text("{")
    assert "evaluation-test-raw-x is left out: it cannot be read" in card_facts(folder).limits[0]


def test_evaluations_of_chosen_and_of_training_cases_are_not_on_the_card(tmp_path, raw):
    folder = pageruns.write_run(tmp_path / "run")
    bratstrain.evaluate(folder, raw=raw, cases=[pageruns.CASES[0]])
    bratstrain.evaluate(folder, raw=raw, cases=pageruns.CASES[:2])
    assert card_facts(folder).scores == []


def test_edited_card_is_not_replaced_without_force(tmp_path):
    folder = pageruns.write_run(tmp_path / "run")
    assert card(folder).path == folder / "README.md"
    (folder / "README.md").write_text("edited")
    with pytest.raises(BratsError, match="exists already, and may have been edited"):
        card(folder)
    assert (folder / "README.md").read_text() == "edited"
    card(folder, force=True)
    assert (folder / "README.md").read_text().startswith("---\n")


def test_command_says_what_is_missing(tmp_path):
    folder = pageruns.write_run(tmp_path / "run")
    out = tmp_path / "card.md"
    done = CliRunner().invoke(main, ["card", str(folder), "-o", str(out), "--license", "own"])
    assert done.exit_code == 0, done.output
    assert "it holds no score" in done.output
    assert "**licence of the data**: own" in out.read_text()
    assert "how good they are is unknown" in out.read_text()


def test_bars_and_lines_do_not_break_a_table():
    text = card_text(replace(FACTS, scores=[SCORES]))
    assert "| a\\|b | 0.5 |" in text
    assert "- two lines" in text
    assert "- **c**: not recorded" in text


@given(st.text())
def test_any_text_is_one_quoted_string(value):
    shown = quoted(value)
    assert shown.isprintable()
    assert isinstance(json.loads(shown), str)


def test_use_is_code():
    assert "```text\nrun it\n```" in card_text(replace(FACTS, usage="run it"))
