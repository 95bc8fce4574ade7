"""Voxel sizes of settings and messages."""

import pytest

from bratsprep.config import PrepConfig
from bratsprep.voxel_sizes import parse_spacing, plain_spacing, size_text


@pytest.mark.parametrize(
    ("text", "expected"),
    [("source", None), ("1x1x1", (1, 1, 1)), ("0.5x1.25x50", (0.5, 1.25, 50))],
)
def test_size_is_read(text, expected):
    assert parse_spacing(text) == expected
    assert PrepConfig(spacing=text).voxel_mm == expected


@pytest.mark.parametrize(
    "text", ["", "1x1", "1x1x1x1", "1 x 1 x 1", "0x1x1", "0.01x1x1", "51x1x1", "-1x1x1", "1ex1x1"]
)
def test_what_is_no_size_is_refused(text):
    with pytest.raises(ValueError, match="spacing must be source or three sides"):
        PrepConfig(spacing=text)


def test_sizes_are_written_without_needless_digits():
    assert plain_spacing("1.0x01x1.50") == "1x1x1.5"
    assert plain_spacing("source") == "source"
    assert size_text((1.0, 0.93750, 3)) == "1 x 0.9375 x 3"


def test_whole_numbers_cannot_hold_what_is_interpolated():
    with pytest.raises(ValueError, match="int16"):
        PrepConfig(spacing="1x1x1", normalise="none")
    assert PrepConfig(spacing="1x1x1", normalise="none", dtype="float32").stored == "<f4"


def test_default_spacing_leaves_the_settings_of_a_file_as_they_were():
    assert "spacing" not in PrepConfig().to_json()
    text = PrepConfig(spacing="1x1x2").to_json()
    assert PrepConfig.from_json(text).spacing == "1x1x2"
