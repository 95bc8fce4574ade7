"""Read back what a page shows: its JSON, its pictures, the planes on a sheet."""

import base64
import io
import json
import re

import numpy as np
from PIL import Image


def content_of(text):
    return json.loads(re.search(r'type="application/json">(.*?)</script>', text)[1])


def opened(uri):
    head, content = uri.split(",")
    return head, np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


def planes_of(picture, n_planes, size, columns):
    """Cut a sheet into its planes, one by one."""
    h, w = size
    return np.array([
        picture[i // columns * h : i // columns * h + h, i % columns * w : i % columns * w + w]
        for i in range(n_planes)
    ])  # fmt: skip
