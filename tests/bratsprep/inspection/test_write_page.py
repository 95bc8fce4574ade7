import re
import shutil

import numpy as np
import pytest
from click.testing import CliRunner

import bratsprep
from bratsprep.cli import main
from bratsprep.errors import BuildError, LayoutError
from bratsprep.inspection.inspector import inspect
from bratsprep.inspection.write_page import inspect_page
from tests.helpers import browser, niftis

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    """Two raw cases; the second has no ET, and a nasty name."""
    folder = tmp_path_factory.mktemp("raw")
    niftis.write_case(folder, "A")
    images, label = niftis.phantom(seed=1)
    niftis.write_case(folder, NASTY, volumes=(images, label * np.uint8(label != 4)))
    return folder


@pytest.fixture(scope="module")
def raw_page(raw, tmp_path_factory):
    path = tmp_path_factory.mktemp("pages") / "page.html"
    inspect_page(raw, path, workers=2)
    return path


def test_the_page_of_raw_data_has_every_section(raw_page):
    made = raw_page.read_text()
    assert re.findall("<h2[^>]*>(.*?)</h2>", made) == [
        "Class balance", "Spread over the cases", "Intensities, before and after normalisation",
        "Unusual cases", "Every case"]  # fmt: skip
    assert made.count("<svg") == 3 + 1 + 5 + 8  # bars, strip, key, two a modality


def test_the_page_makes_no_request(raw_page):
    made = raw_page.read_text()
    made = made.replace('<link rel="icon" href="data:,">', "")  # or browsers ask for an icon
    assert not re.search(r"https?:|<script|<link|<iframe|@import|url\(|\son\w+=\"| style=", made)
    assert set(re.findall(r'src="([^,]+),', made)) == {"data:image/png;base64"}


def test_the_page_gives_what_inspect_gives(raw, tmp_path):
    found = inspect_page(raw, tmp_path / "page.html", workers=1)
    assert found == inspect(raw, images=True, workers=1)


def test_a_slice_file_has_a_page(raw, tmp_path):
    bratsprep.build(raw, tmp_path / "out.h5", workers=1, crop="none")
    found = inspect_page(tmp_path / "out.h5", tmp_path / "page.html", workers=2)
    made = (tmp_path / "page.html").read_text()
    assert found == inspect(tmp_path / "out.h5")
    assert f"Brain voxels of the {found.stored.slices} stored slices" in made
    assert "image and label" in made


def test_the_page_is_the_same_for_any_number_of_threads(raw, raw_page, tmp_path):
    inspect_page(raw, tmp_path / "page.html", workers=1)
    assert (tmp_path / "page.html").read_text() == raw_page.read_text()


def test_masks_alone_have_a_page(raw, tmp_path):
    (tmp_path / "masks").mkdir()
    for path in raw.rglob("*_seg.nii.gz"):
        shutil.copy(path, tmp_path / "masks" / path.name)
    inspect_page(tmp_path / "masks", tmp_path / "page.html", labels="brats2017", workers=1)
    assert "masks without images" in (tmp_path / "page.html").read_text()


def test_a_page_that_cannot_be_written_is_said(raw, tmp_path):
    with pytest.raises(BuildError, match="cannot be written"):
        inspect_page(raw, tmp_path / "none" / "page.html", workers=1)


def test_a_page_of_nothing_is_refused(tmp_path):
    with pytest.raises(LayoutError, match="holds no case"):
        bratsprep.inspect_page(tmp_path, tmp_path / "page.html")


def test_the_command_writes_the_page_and_the_text(raw, tmp_path):
    given = ["inspect", str(raw), "--html", str(tmp_path / "page.html"), "--workers", "1"]
    done = CliRunner().invoke(main, given)
    assert done.exit_code == 0, done.output
    assert "t1gd" in done.output
    assert 'id="unusual"' in (tmp_path / "page.html").read_text()


def test_the_command_reads_images_when_told(raw):
    done = CliRunner().invoke(main, ["inspect", str(raw), "--images", "--workers", "1"])
    assert "± between" not in done.output
    assert re.search(r"^flair +\d", done.output, re.MULTILINE)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    """A browser; tests that need one are skipped where there is none."""
    program = browser.find()
    if program is None:
        pytest.skip("Chromium is not on this machine")
    opened = browser.Browser(program, tmp_path_factory.mktemp("browser"))
    yield opened
    opened.close()


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_browser_shows_the_page_in_silence(chromium, raw_page, width, scheme):
    chromium.open(raw_page, width=width, scheme=scheme)
    assert chromium.requests() == [raw_page.as_uri()]
    assert chromium.complaints() == []
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")
    assert chromium.run("document.querySelector('.cards b').textContent") == NASTY
    assert chromium.run("[...document.images].every(i => i.naturalWidth > 0)")
    paper = chromium.run("getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(20, 23, 27)"}[scheme]
