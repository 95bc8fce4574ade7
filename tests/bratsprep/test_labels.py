"""Schemes say what the releases say, and are never guessed."""

import numpy as np
import pytest

from bratsprep.errors import LabelError
from bratsprep.labels import CLASSES, REGIONS, SCHEMES, UNKNOWN, from_values, meanings, scheme
from tests.helpers import oracles

every_scheme = pytest.mark.parametrize("known", SCHEMES.values(), ids=SCHEMES)


@every_scheme
def test_table_gives_the_class_of_every_raw_value(known):
    expected = [oracles.TABLES[known.name].get(raw, UNKNOWN) for raw in range(256)]
    np.testing.assert_array_equal(known.table(), np.uint8(expected))


@every_scheme
def test_raw_undoes_table(known):
    np.testing.assert_array_equal(known.table()[known.raw()], np.arange(len(CLASSES)))


@every_scheme
def test_values_are_those_with_a_class(known):
    assert known.values() == set(oracles.TABLES[known.name])


@every_scheme
def test_scheme_names_every_value_that_it_codes(known):
    assert [raw for raw, _ in known.names] == [raw for raw, _ in known.codes]


def test_raw_takes_the_first_value_that_means_a_class():
    assert scheme("brats2015").raw().tolist() == [0, 1, 2, 4]


def test_raw_never_writes_a_cavity_as_background():
    assert scheme("brats2024").raw().tolist() == [0, 1, 2, 3]


def test_regions_are_nested():
    assert set(REGIONS["ET"]) < set(REGIONS["TC"]) < set(REGIONS["WT"])


def test_scheme_refuses_an_unknown_name():
    with pytest.raises(ValueError, match=r"^label scheme 'x' is unknown; one of msd, brats2017"):
        scheme("x")


def test_meanings_say_each_value_in_each_scheme():
    assert meanings([4, 0, 1, 4]) == (
        "msd: 1 oedema, 4 unknown; "
        "brats2017: 1 necrotic and non-enhancing core, 4 enhancing; "
        "brats2023: 1 necrotic and non-enhancing core, 4 unknown; "
        "brats2024: 1 non-enhancing core, 4 resection cavity; "
        "brats2015: 1 necrosis, 4 enhancing; "
        "brats-peds: 1 enhancing, 4 oedema"
    )


@pytest.mark.parametrize("values", [{0, 1, 2, 4}, {1, 2, 4}, {4}, {0, 2, 4}], ids=str)
def test_four_without_three_is_brats2017(values):
    assert from_values(values, "raw").name == "brats2017"


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        ({0, 1, 2, 3}, "msd, brats2023, brats2024, brats2015, brats-peds"),
        ({1, 2}, "msd, brats2017, brats2023, brats2024, brats2015, brats-peds"),
        ({3, 4}, "brats2024, brats2015, brats-peds"),
        ({0, 1, 2, 3, 4}, "brats2024, brats2015, brats-peds"),
        ({0}, "msd, brats2017, brats2023, brats2024, brats2015, brats-peds"),
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


@pytest.mark.parametrize("values", [{0, 1}, {0, 255}, {3}, {0, 7}], ids=str)
def test_one_value_alone_is_not_offered_a_scheme_as_if_it_were_right(values):
    with pytest.raises(LabelError, match="whole tumour does not tell NCR, ED and ET apart"):
        from_values(values, "raw")


@pytest.mark.parametrize("values", [{1, 7}, {0, 1, 4, 7}], ids=str)
def test_values_of_no_scheme_are_refused(values):
    message = rf"^raw: label values .*7\] are outside every scheme; msd: .*{max(values)} unknown"
    with pytest.raises(LabelError, match=message):
        from_values(values, "raw")
