import pytest

from bratsprep.part import Part, PartConfig


@pytest.mark.parametrize(("text", "part"), [("1/1", Part(1, 1)), ("16/16", Part(16, 16))])
def test_parts_are_counted_from_one(text, part):
    assert PartConfig(part=text).chosen == part


def test_without_a_part_the_build_is_whole():
    assert PartConfig().chosen is None


@pytest.mark.parametrize("text", ["0/16", "17/16"])
def test_a_part_beyond_the_number_of_parts_names_the_right_ones(text):
    with pytest.raises(ValueError, match=r"must be 1/16 to 16/16.* --array=1-16"):
        PartConfig(part=text)


@pytest.mark.parametrize("text", ["3", "3/", "-1/4", "1/0", "a/b", "1/10000", " 1/2"])
def test_what_is_no_part_is_refused(text):
    with pytest.raises(ValueError, match="part must be K/N such as 3/16"):
        PartConfig(part=text)


def test_names_of_parts_sort_by_number():
    names = [Part(number, 16).name("a.h5") for number in range(1, 17)]
    assert names == sorted(names)
    assert names[2] == "a.h5.part-03-of-16"
