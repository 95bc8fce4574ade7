"""Schemes hold what the releases state; classes, regions and schemes can be written and read."""

from dataclasses import replace

import numpy as np
import pytest

from bratsprep.errors import LabelError
from bratsprep.labels import (
    MOST_CLASSES,
    UNKNOWN,
    ClassSet,
    Scheme,
    from_values,
    meanings,
    parse_scheme,
    read_scheme,
    scheme,
    shipped,
)
from bratstrain.scoring.conventions import CONVENTIONS
from tests.helpers import oracles
from tests.helpers.class_sets import GLIOMA, ONE, ONE_TOML, SIX, SIX_TOML, written

every_scheme = pytest.mark.parametrize("known", shipped().values(), ids=shipped())
every_class_set = pytest.mark.parametrize(
    "classes", [GLIOMA, scheme("brats-ped").classes, ONE.classes, SIX.classes], ids=len
)


# Schemes that ship


@every_scheme
def test_table_gives_the_class_of_every_raw_value(known):
    expected = [oracles.TABLES[known.name].get(raw, UNKNOWN) for raw in range(256)]
    np.testing.assert_array_equal(known.table(), np.uint8(expected))


@every_scheme
def test_raw_undoes_table(known):
    np.testing.assert_array_equal(known.table()[known.raw()], np.arange(len(known.classes)))


@every_scheme
def test_values_are_those_with_a_class(known):
    assert known.values() == set(oracles.TABLES[known.name])


@every_scheme
def test_scheme_names_every_value_that_it_codes(known):
    assert [raw for raw, _ in known.names] == [raw for raw, _ in known.codes]


@every_scheme
def test_scheme_comes_back_from_its_json(known):
    back = Scheme.from_json(known.to_json())
    assert back == known
    assert back.classes.colours == known.classes.colours
    assert back.classes.titles == known.classes.titles


@every_scheme
def test_convention_of_a_scheme_exists(known):
    assert known.convention in CONVENTIONS


@every_scheme
def test_scheme_says_where_it_is_used_and_in_what_colours(known):
    assert known.about
    assert len(set(known.classes.colours)) == len(known.classes)


def test_schemes_are_in_the_order_of_their_names():
    assert list(shipped()) == sorted(shipped())
    assert all(known.name == name for name, known in shipped().items())


def test_raw_takes_the_first_value_that_means_a_class():
    assert scheme("brats2015").raw().tolist() == [0, 1, 2, 4]


def test_raw_writes_a_cavity_as_the_release_does():
    assert scheme("brats2024").raw().tolist() == [0, 1, 2, 3, 4]


def test_gliomas_before_treatment_share_classes():
    assert {scheme(name).classes for name in ("msd", "brats2015", "brats2023")} == {GLIOMA}


def test_paediatric_tumours_have_classes_of_their_own():
    assert scheme("brats-ped").classes.tumour == ("NET", "CC", "ED", "ET")


def test_regions_of_gliomas_are_nested():
    names = [name for name, _ in GLIOMA.nested]
    assert names == ["WT", "TC", "ET"]
    sets = [set(labels) for _, labels in GLIOMA.nested]
    assert sets[2] < sets[1] < sets[0]


def test_an_unknown_name_is_refused_with_all_names():
    with pytest.raises(ValueError, match=r"^label scheme 'x' is unknown; one of brats-men, ") as e:
        scheme("x")
    assert all(name in str(e.value) for name in shipped())


# Classes and regions


@every_class_set
def test_classes_come_back_from_their_json(classes):
    back = ClassSet.from_json(classes.to_json())
    assert back == classes
    assert (back.colours, back.titles) == (classes.colours, classes.titles)


@every_class_set
def test_parts_are_the_classes_and_the_regions(classes):
    assert list(classes.parts) == list(dict.fromkeys((*classes.tumour, *classes.region_names)))
    assert all(0 not in labels for labels in classes.parts.values())


@every_class_set
def test_means_are_over_classes_and_over_regions(classes):
    assert list(classes.means.values()) == [classes.tumour, classes.region_names]


@every_class_set
def test_masks_mark_the_labels_of_each_region(classes):
    masks = classes.masks(labels for _, labels in classes.regions)
    assert masks.shape == (len(classes.regions), len(classes))
    for row, (_, labels) in zip(masks, classes.regions, strict=True):
        assert tuple(np.flatnonzero(row)) == labels


def test_colours_and_titles_do_not_make_other_classes():
    assert replace(GLIOMA, colours=("#000000",) * 4, titles=("a", "b", "c", "d")) == GLIOMA


def test_colour_is_looked_up_by_the_name_of_a_class():
    assert SIX.classes.colour("cyst") == "#009E73"


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"classes": ("background",)}, "2 to 32 classes"),
        ({"colours": ("#000000",)}, "a colour and a title each, got 4, 1 and 4"),
        ({"titles": ()}, "got 4, 4 and 0"),
        ({"classes": ("NCR", "background", "ED", "ET")}, "must begin with background"),
        ({"classes": ("background", "ED", "ED", "ET")}, "must begin with background and differ"),
        ({"classes": ("background", "N C", "ED", "ET")}, "'N C' is no name"),
        ({"classes": ("background", "N" * 25, "ED", "ET")}, "is no name"),
        ({"regions": (("<b>", (1,)),)}, "'<b>' is no name"),
        ({"regions": ()}, "regions must be at least one"),
        ({"regions": (("WT", (1,)), ("WT", (2,)))}, "regions must be at least one, and differ"),
        ({"regions": (("WT", ()),)}, "region WT must be made of classes"),
        ({"regions": (("WT", (0, 1)),)}, "region WT must be made of classes"),
        ({"regions": (("WT", (4,)),)}, "region WT must be made of classes"),
        ({"regions": (("ET", (1,)),)}, "region ET has the name of a class"),
        ({"colours": ("#000000", "red", "#000000", "#000000")}, "colour 'red'"),
    ],
    ids=str,
)
def test_classes_that_are_not_as_described_are_refused(changes, fault):
    with pytest.raises(ValueError, match=fault):
        replace(GLIOMA, **changes)


def test_more_classes_than_a_label_may_have_are_refused():
    names = ("background", *(f"c{i}" for i in range(MOST_CLASSES)))
    with pytest.raises(ValueError, match="2 to 32 classes"):
        ClassSet(names, (("c1", (2,)),), ("#000000",) * len(names), names)


@pytest.mark.parametrize("text", ["[]", "{}", "3", "null", '{"classes": 3}', "x"])
@pytest.mark.parametrize("kind", [ClassSet, Scheme])
def test_json_of_something_else_is_refused(kind, text):
    with pytest.raises(ValueError, match=r"cannot be read|Expecting value"):
        kind.from_json(text)


# Schemes as TOML


def test_a_scheme_of_six_classes_is_read(tmp_path):
    own = read_scheme(written(tmp_path))
    assert (own.name, own.about) == ("six", "six tissues in three regions, for tests")
    assert own.codes == ((1, 1), (2, 2), (4, 3), (5, 4), (6, 5), (9, 6))
    assert own.classes.regions[:2] == (("solid", (1, 3)), ("fluid", (4, 5)))
    assert own.convention == "brats"


def test_a_scheme_is_looked_up_by_the_path_of_its_file(tmp_path):
    assert scheme(str(written(tmp_path))) == SIX


def test_without_regions_each_class_is_one():
    assert ONE.classes.regions == (("lesion", (1,)),)
    assert list(ONE.classes.parts) == ["lesion"]


def test_a_class_may_have_several_codes_and_a_title():
    own = parse_scheme("own", ONE_TOML.replace('{ 1 = "lesion" }', '{ 7 = "a", 3 = "b" }'))
    assert own.codes == ((3, 1), (7, 1))
    assert own.raw().tolist() == [0, 3]
    assert parse_scheme("own", f'{ONE_TOML}title = "a lesion"').classes.titles[1] == "a lesion"


def test_ignored_values_are_background():
    own = parse_scheme("own", f'{ONE_TOML}[ignored]\n9 = "vessel"')
    assert own.values() == {0, 1, 9}
    assert own.table()[9] == 0
    assert own.raw().tolist() == [0, 1]


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("about", "abuot", "the file has key 'abuot'"),
        ("[regions]", "[region]", "the file has key 'region'"),
        ('name = "cyst"', 'name = "cyst"\ncolor = "#000000"', "class cyst has key 'color'"),
        ('colour = "#009E73"', "", "needs name, colour, codes; colour is missing"),
        ('codes = { 5 = "cyst" }', "", "codes is missing"),
        ('name = "cyst"', "", "name is missing"),
        ('name = "scar"', 'name = "core"', "is no class"),
        ('["core", "rim"]', "[3]", "region solid names 3, which is no class"),
        ('{ 5 = "cyst" }', "{}", "a class needs one code at least"),
        ('{ 5 = "cyst" }', '{ 4 = "cyst" }', "code 4 must be 1 to 255, and of one class"),
        ('{ 5 = "cyst" }', '{ 0 = "cyst" }', "code 0 must be 1 to 255"),
        ('{ 5 = "cyst" }', '{ 256 = "cyst" }', "code 256 must be 1 to 255"),
        ('{ 5 = "cyst" }', '{ five = "cyst" }', "'five'"),
        ('{ 5 = "cyst" }', "5", "codes must be a table, got 5"),
        ('"#009E73"', '"green"', "colour 'green'"),
        ('["core", "rim"]', '["core", "cist"]', "region solid names 'cist', which is no class"),
        ('["core", "rim"]', "[]", "region solid must be made of classes"),
        ('["core", "rim"]', "3", "region solid must be a list of classes, got 3"),
        (
            SIX_TOML,
            ONE_TOML + ONE_TOML.split("\n", 2)[2],
            "classes must begin with background and differ",
        ),
        (SIX_TOML, ONE_TOML.replace('name = "lesion"', 'name = "a b"'), "'a b' is no name"),
        (SIX_TOML, f"about = {'[' * 3000}", "is no label scheme"),
        ("solid =", "rim =", "region rim has the name of a class"),
        ("[[class]]", "[class", "is no label scheme"),
        (SIX_TOML, "", "class is missing"),
        (SIX_TOML, "class = 3", "classes must be tables"),
        (SIX_TOML, "class = [3]", "classes must be tables"),
        (SIX_TOML, f"{ONE_TOML}[ignored]\n1 = 'x'", "code 1 must be 1 to 255, and of one class"),
        (SIX_TOML, f"ignored = 3\n{ONE_TOML}", "ignored must be a table, got 3"),
        (SIX_TOML, f"regions = 3\n{ONE_TOML}", "regions must be a table, got 3"),
    ],
    ids=lambda text: text.split("\n")[0][:24],
)
def test_every_fault_of_a_file_is_named_with_the_file(tmp_path, old, new, fault):
    path = written(tmp_path, SIX_TOML.replace(old, new))
    with pytest.raises(LabelError, match=fault) as caught:
        read_scheme(path)
    assert str(caught.value).startswith(f"{path}: is no label scheme: ")


def test_a_file_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(LabelError, match=r"none\.toml: cannot be read: No such file"):
        read_scheme(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(LabelError, match="is no label scheme"):
        read_scheme(path)


# Schemes from values


def test_meanings_say_each_value_in_each_scheme():
    found = dict(line.split(": ", 1) for line in meanings([4, 0, 1, 4]).split("; "))
    assert found == {
        "brats-men": "1 non-enhancing core, 4 unknown",
        "brats-men-rt": "1 gross tumour volume, 4 unknown",
        "brats-met": "1 non-enhancing core, 4 resection cavity",
        "brats-ped": "1 enhancing, 4 oedema",
        "brats2015": "1 necrosis, 4 enhancing",
        "brats2017": "1 necrotic and non-enhancing core, 4 enhancing",
        "brats2023": "1 necrotic and non-enhancing core, 4 unknown",
        "brats2024": "1 non-enhancing core, 4 resection cavity",
        "msd": "1 oedema, 4 unknown",
        "whole-tumour": "1 tumour, 4 unknown",
    }


def test_meanings_of_values_that_no_scheme_has_say_so():
    assert meanings([0, 77]) == "no scheme knows any of them"


@pytest.mark.parametrize("values", [{0, 1, 2, 4}, {1, 2, 4}, {4}, {0, 2, 4}], ids=str)
def test_four_without_three_is_brats2017(values):
    assert from_values(values, "raw").name == "brats2017"


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({0, 1, 2, 3}, "brats-men, brats-met, brats-ped, brats2015, brats2023, brats2024, msd"),
        (
            {1, 2},
            "brats-men, brats-met, brats-ped, brats2015, brats2017, brats2023, brats2024, msd",
        ),
        ({3, 4}, "brats-met, brats-ped, brats2015, brats2024"),
        ({0, 1, 2, 3, 4}, "brats-met, brats-ped, brats2015, brats2024"),
        ({0}, ", ".join(shipped())),
    ],
    ids=str,
)
def test_values_of_several_schemes_are_refused(values, fits):
    with pytest.raises(LabelError) as caught:
        from_values(values, "raw")
    assert str(caught.value) == (
        f"raw: label values {sorted(values)} fit {fits}; {meanings(values)}; "
        "choose one with --labels NAME"
    )


@pytest.mark.parametrize("values", [{0, 1}, {0, 255}, {3}], ids=str)
def test_one_value_alone_decides_no_scheme(values):
    with pytest.raises(LabelError, match=r"are one tissue alone, and fit .*whole-tumour|and fit"):
        from_values(values, "raw")


@pytest.mark.parametrize("values", [{0, 7}, {1, 7}, {0, 1, 4, 7}], ids=str)
def test_values_of_no_scheme_are_refused(values):
    with pytest.raises(LabelError, match=r"^raw: .*7\] are outside every scheme; .*my\.toml"):
        from_values(values, "raw")
