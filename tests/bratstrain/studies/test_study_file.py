"""A study's file: how settings come together, and each way in which it can be wrong."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from bratsprep.errors import BratsError
from bratstrain.scoring.metric_registry import METRICS
from bratstrain.studies.study_file import SHIPPED, find_study, read_study

SMALL = """
[fit]
test_share = 0.2

[[experiment]]
name = "first"
"""
PROFILES = f"""{SMALL}
[profile.demo]
[profile.full]
"""
TWO = f"""{SMALL}
build.crop = "none"
fit.width = 4

[[experiment]]
name = "second"
like = "first"
fit.depth = 3

[profile.demo]
build.margin = 2
fit = {{ width = 2, steps = 5 }}
experiment.first.build.crop = "32x32"
experiment.second.fit.steps = 7
"""


@pytest.fixture
def read(tmp_path):
    def read_text(text, profile=""):
        path = tmp_path / "study.toml"
        path.write_text(text)
        return read_study(path, profile, METRICS)

    return read_text


def named(plan):
    return {each.name: each for each in plan.experiments}


def test_settings_of_the_file_hold_for_each_experiment(read):
    assert read(SMALL).experiments[0].fit.test_share == 0.2


def test_experiment_departs_from_the_one_it_is_like(read):
    second = named(read(TWO, "demo"))["second"]
    assert (second.fit.model.width, second.fit.model.depth) == (4, 3)


def test_profile_goes_before_the_file_and_after_the_experiment(read):
    first = named(read(TWO, "demo"))["first"]
    assert (first.build.margin, first.fit.model.width) == (2, 4)


def test_profile_of_an_experiment_goes_before_all_and_is_handed_on(read):
    plan = named(read(TWO, "demo"))
    assert {each.build.crop for each in plan.values()} == {"32x32"}
    assert (plan["first"].fit.steps, plan["second"].fit.steps) == (5, 7)


def test_length_replaces_a_length_of_another_kind(read):
    text = SMALL.replace("test_share = 0.2", "test_share = 0.2\nepochs = 9")
    fit = read(f"{text}fit.minutes = 2\n").experiments[0].fit
    assert (fit.minutes, fit.steps) == (2, 0)


def test_baseline_is_the_first_where_none_is_named(read):
    assert read(TWO, "demo").baseline == "first"


def test_equal_builds_share_a_slice_file(read):
    first, second = read(TWO, "demo").experiments
    assert first.file_name == second.file_name
    assert first.run_name != second.run_name


def test_other_settings_have_another_run_folder(read):
    one, other = (read(f"{SMALL}fit.seed = {seed}\n").experiments[0] for seed in (1, 2))
    assert one.run_name != other.run_name


def test_split_file_lies_beside_the_study(read, tmp_path):
    split = read(f'{SMALL}fit = {{ split = "ours.json", test_share = 0.0 }}\n').experiments[0].fit
    assert split.split == str(tmp_path / "ours.json")


@pytest.mark.parametrize(
    ("text", "profile", "message"),
    [
        ("title = ", "", "is no TOML"),
        ("", "", r"has no \[\[experiment\]\]"),
        ("sizes = 1\n" + SMALL, "", "unknown key sizes; known: title, about"),
        ("title = 1\n" + SMALL, "", "title must be text, got 1"),
        ("also = 1\n" + SMALL, "", "also must be a list of metrics, got 1"),
        ('also = ["Dice"]\n' + SMALL, "", "also: unknown metric Dice; known: volume Dice"),
        ('baseline = "third"\n' + TWO, "demo", "baseline: unknown experiment third; known: first"),
        ("build = 3\n" + SMALL, "", "build must be a table, got 3"),
        ("experiment = 3\n", "", r"has no \[\[experiment\]\]"),
        ("experiment = [3]\n", "", "1 must be a table, got 3"),
        ("profile = 3\n" + SMALL, "", "profile must be a table, got 3"),
        (f"{SMALL}[profile]\ndemo = 3\n", "", r"\[profile.demo\] must be a table, got 3"),
        (f"{SMALL}[profile.demo]\nexperiment = 3\n", "", "experiment must be a table"),
        (f"{SMALL}fit.epoch = 3\n", "", "fit: unknown setting epoch; did you mean 'epochs'"),
        (f"{SMALL}fit.width = 'wide'\n", "", "width must be a whole number, got 'wide'"),
        (f"{SMALL}fit.augment = 'some'\n", "", "fit: augment must be one of none"),
        (f"{SMALL}fit.recipe = 'weak'\n", "", "fit: recipe must be one of strong, deck"),
        (f"{SMALL}fit = {{ steps = 1, epochs = 1 }}\n", "", "give one length of a run"),
        (f"{SMALL}build.crop = 'big'\n", "", "first: crop must be brain, none"),
        (f"{SMALL}build.labels = 'msd'\n", "", "labels goes with the raw cases"),
        (f"{SMALL}fit.test_share = 0\n", "", "first: holds out no case"),
        (f"{SMALL}fit.split = 'nnunet'\n", "", "first: split nnunet has no test part"),
        (SMALL.replace("first", "A b"), "", "name must be of a-z, 0-9 .* got 'A b'"),
        (f"{SMALL}[[experiment]]\nname = 'first'\n", "", "name first occurs twice"),
        (f"{SMALL}like = 'last'\n", "", "like: unknown experiment above it last"),
        (PROFILES, "", "has profiles; choose one with --profile; known: demo, full"),
        (PROFILES, "big", r"\[profile.big\] does not exist; known: demo, full"),
        (SMALL, "demo", r"\[profile.demo\] does not exist; it has none"),
        (f"{PROFILES}[profile.full.fit]\nepoch = 1\n", "demo", "full.*: unknown setting epoch"),
        (f"{SMALL}[profile.demo]\nsize = 1\n", "demo", "unknown key size; known: seeds, build"),
        (f"{SMALL}[profile.demo]\nexperiment.last.fit.steps = 1\n", "demo",
         "unknown experiment last; known: first"),
        (f"{SMALL}[profile.demo]\nexperiment.first.fit.step = 1\n", "demo", "unknown setting step"),
    ],
)  # fmt: skip
def test_file_that_is_wrong_is_refused(read, text, profile, message):
    with pytest.raises(ValueError, match=f"study.toml.*{message}"):
        read(text, profile)


def test_file_that_cannot_be_read_is_the_datas_fault(tmp_path):
    (tmp_path / "study.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(BratsError, match=r"study\.toml: cannot be read"):
        read_study(tmp_path / "study.toml", "", METRICS)


def test_study_is_found_by_path_and_by_name(tmp_path):
    own = tmp_path / "own.toml"
    own.touch()
    assert find_study(own) == own
    assert find_study("deck") == SHIPPED / "deck.toml"


def test_study_that_is_nowhere_is_refused():
    with pytest.raises(
        BratsError, match=r"desk: is neither a file .* or context or deck or learning or negatives"
    ):
        find_study("desk")


def test_study_of_the_page_is_right(read):
    page = Path(__file__).parent.parent.parent.parent / "docs" / "studies.md"
    (text,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
    plan = named(read(text, "demo"))
    assert [each.fit.model.width for each in plan.values()] == [16, 16, 20, 20]
    with pytest.raises(
        ValueError, match=r"\[\[experiment\]\] 2: fit: unknown setting widht; did you mean 'width'"
    ):
        read(text.replace("fit.width = 32", "fit.widht = 32"), "demo")


@pytest.mark.parametrize("profile", ["demo", "full"])
@pytest.mark.parametrize("name", sorted(path.stem for path in SHIPPED.glob("*.toml")))
def test_shipped_study_is_right(name, profile):
    assert len(read_study(find_study(name), profile, METRICS).experiments) > 1


@pytest.mark.parametrize("profile", ["demo", "full"])
def test_deck_changes_one_thing_at_a_time(profile):
    deck = read_study(find_study("deck"), profile, METRICS)
    settled = named(deck)
    for each in deck.experiments[1:]:
        other = settled[each.like]
        differing = [
            name
            for one, two in ((each.build, other.build), (each.fit, other.fit),
                             (each.fit.model, other.fit.model))
            for name in one.__slots__
            if name != "model" and getattr(one, name) != getattr(two, name)
        ]  # fmt: skip
        assert len(differing) == 1, (each.name, differing)


def test_contexts_differ_in_nothing_else():
    plan = read_study(find_study("context"), "full", METRICS)
    assert [each.fit.seed for each in plan.experiments] == [0, 1] * 5
    *planes, patches, _ = plan.experiments
    assert [each.fit.model.context for each in planes[::2]] == [1, 3, 5, 7]
    alike = {replace(each.fit, seed=0, model=replace(each.fit.model, context=1)) for each in planes}
    assert len(alike) == len({each.build for each in planes}) == 1
    assert (patches.fit.model.kind, patches.build.slices) == ("residual3d", "brain")
    assert (patches.fit.steps, patches.fit.learning_rate) == (25000, planes[0].fit.learning_rate)


@pytest.mark.parametrize("profile", ["demo", "full"])
def test_learning_changes_rate_steps_width_and_seed_alone(profile):
    plan = read_study(find_study("learning"), profile, METRICS)
    settled = named(plan)
    rest = {
        replace(each.fit, seed=0, steps=1, learning_rate=1.0,
                model=replace(each.fit.model, width=1))
        for each in plan.experiments
    }  # fmt: skip
    assert len(rest) == len({each.build for each in plan.experiments}) == 1
    for each in plan.experiments:
        if "-seed-" in each.name:
            other = settled[each.like].fit
            assert replace(each.fit, seed=0) == other
            assert each.fit.seed > other.seed
    assert sum("-seed-" in each.name for each in plan.experiments) == 7


def test_negatives_differ_in_nothing_else():
    plan = read_study(find_study("negatives"), "full", METRICS)
    assert [each.build.negatives for each in plan.experiments] == [0, 0.1, 0.3, 1]
    assert len({each.fit for each in plan.experiments}) == 1


def seeded(tmp_path, text, profile=""):
    path = tmp_path / "study.toml"
    path.write_text(f"{text}\n")
    plan = read_study(path, profile, METRICS)
    return [
        (each.name, each.like, each.fit.seed, each.fit.model.width) for each in plan.experiments
    ]


SEEDED = """
seeds = [3, 5]
fit = { test_share = 0.2, width = 4 }

[[experiment]]
name = "one"

[[experiment]]
name = "two"
like = "one"
seeds = [7]
fit.width = 8
"""


def test_an_experiment_with_seeds_is_one_for_each(tmp_path):
    assert seeded(tmp_path, SEEDED) == [
        ("one", "", 3, 4), ("one-seed-5", "one", 5, 4), ("two", "one", 7, 8),
    ]  # fmt: skip


def test_a_profile_has_seeds_of_its_own(tmp_path):
    text = SEEDED + "[profile.quick]\nseeds = [1]\nexperiment.one.fit.width = 2\n"
    assert seeded(tmp_path, text, "quick") == [("one", "", 1, 2), ("two", "one", 7, 8)]


def test_without_seeds_the_seed_is_that_of_the_settings(tmp_path):
    text = SEEDED.replace("seeds = [3, 5]\n", "").replace("seeds = [7]\n", "")
    assert seeded(tmp_path, text) == [("one", "", 0, 4), ("two", "one", 0, 8)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[7]", "7", "seeds must be a list of numbers, each once, got 7"),
        ("[7]", "[7, 7]", "each once, got"),
        ("[7]", "[true]", "each once, got"),
        ("[3, 5]", '["a"]', r"study\.toml: seeds must be a list"),
        ("fit.width = 8", "fit.seed = 8", "has both seeds and fit.seed"),
        ('"two"', '"one-seed-5"', "name one-seed-5 occurs twice"),
    ],
)
def test_seeds_that_are_none_are_refused(tmp_path, old, new, said):
    with pytest.raises(ValueError, match=said):
        seeded(tmp_path, SEEDED.replace(old, new))
