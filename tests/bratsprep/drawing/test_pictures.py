import base64
import io

import numpy as np
import pytest
from PIL import Image

from bratsprep.drawing.pictures import png_uri, webp_uri


def opened(uri, kind):
    """Picture of a data URI as Pillow reads it."""
    head, content = uri.split(",")
    assert head == f"data:image/{kind};base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 3), (1, 1)])
def test_png_comes_back_exactly(shape):
    picture = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    np.testing.assert_array_equal(opened(png_uri(picture), "png"), picture)


def test_png_takes_a_turned_view():
    picture = np.arange(12, dtype=np.uint8).reshape(3, 4)[::-1, ::-1]
    np.testing.assert_array_equal(opened(png_uri(picture), "png"), picture)


def test_webp_is_near_the_picture():
    picture = np.add.outer(np.arange(40), 3 * np.arange(48)).astype(np.uint8)
    shown = opened(webp_uri(picture, 75), "webp")[..., 0]
    assert shown.shape == picture.shape
    assert np.abs(shown.astype(int) - picture).mean() < 4
