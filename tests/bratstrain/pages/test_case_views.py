"""A shown case is read once, and each run predicts it once."""

from collections import Counter

import pytest

from bratstrain.inference import segment as segment_module
from bratstrain.pages.compare import compare
from bratstrain.pages.report import report
from bratsprep.sources.source import Source
from tests.helpers import pageruns


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    pageruns.write_cases(folder / "raw")
    return folder


@pytest.fixture
def counts(monkeypatch):
    """Counts the reads of each file, and the calls of the networks, which go through as they are."""
    counted = {"reads": Counter(), "planes": Counter()}
    read, label = Source.read, segment_module.probabilities

    def counting_read(self, name, *rest, **settings):
        counted["reads"][name] += 1
        return read(self, name, *rest, **settings)

    def counting_label(fitted, image, tta):
        counted["planes"][fitted.name] += len(image)
        return label(fitted, image, tta)

    monkeypatch.setattr(Source, "read", counting_read)
    monkeypatch.setattr(segment_module, "probabilities", counting_label)
    return counted
