import base64
import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from bratsprep.drawing.png import data_uri, png

sides = st.integers(1, 7)
flat = st.tuples(sides, sides).flatmap(lambda shape: hnp.arrays(np.uint8, shape))
rgb = st.tuples(sides, sides).flatmap(lambda shape: hnp.arrays(np.uint8, (*shape, 3)))


def opened(file):
    """A PNG as Pillow reads it."""
    with Image.open(io.BytesIO(file)) as image:
        image.load()
        return image


@given(picture=flat)
def test_grey_comes_back(picture):
    image = opened(png(picture))
    assert image.mode == "L"
    assert np.array_equal(np.asarray(image), picture)


@given(picture=rgb)
def test_rgb_comes_back(picture):
    assert np.array_equal(np.asarray(opened(png(picture))), picture)


@given(picture=flat)
def test_palette_gives_its_colours(picture):
    palette = np.random.default_rng(0).integers(0, 256, (256, 3)).astype(np.uint8)
    image = opened(png(picture, palette))
    assert image.mode == "P"
    assert np.array_equal(np.asarray(image.convert("RGB")), palette[picture])


def test_a_slope_packs_small():
    y, x = np.mgrid[:100, :100]
    noisy = (3 * y + 5 * x + np.random.default_rng(0).integers(0, 2, (100, 100))).astype(np.uint8)
    assert len(png(noisy)) < noisy.size / 3


@pytest.mark.parametrize(
    ("picture", "palette", "message"),
    [
        (np.zeros((2, 2)), None, r"picture is \(2, 2\) float64"),
        (np.zeros((0, 2), np.uint8), None, r"picture is \(0, 2\)"),
        (np.zeros((2, 2, 4), np.uint8), None, r"picture is \(2, 2, 4\)"),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8), "without a palette"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 4), np.uint8), r"palette is \(2, 4\)"),
        (np.zeros((2, 2), np.uint8), np.zeros((2, 3)), "palette is .* float64"),
        (np.full((2, 2), 2, np.uint8), np.zeros((2, 3), np.uint8), "palette has 2 colours"),
        (np.zeros((2, 2), np.uint8), np.zeros((257, 3), np.uint8), "palette has 257 colours"),
    ],
)
def test_what_is_no_picture_is_refused(picture, palette, message):
    with pytest.raises(ValueError, match=message):
        png(picture, palette)


def test_data_uri_holds_the_file():
    head, _, content = data_uri(b"\x89PNG").partition(",")
    assert head == "data:image/png;base64"
    assert base64.b64decode(content) == b"\x89PNG"
