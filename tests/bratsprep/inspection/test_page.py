import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bratsprep.inspection import page as page_module
from bratsprep.inspection.class_balance import CaseCount, Stored
from bratsprep.inspection.page import page
from bratsprep.inspection.results import Inspection
from bratsprep.inspection.voxel_statistics import Sketch, picture
from tests.helpers.class_sets import GLIOMA
from tests.helpers.markup import Markup

NASTY = "<img src=x onerror=alert(1)>"
STORED = Stored(6, 8, 4, (90, 1, 2, 3), (7, 0, 1, 0), 1000, 500)


def row(case, voxels=(900, 60, 70, 80), labelled=True, **changes):
    planes = tuple(min(count, 3) for count in voxels)
    return replace(CaseCount(case, case, labelled, 5, voxels, planes, 3, 20, 1.0), **changes)


UNLABELLED = row("U", (0, 0, 0, 0), labelled=False, tumour_planes=0, tumour_plane_background=0)


def inspected(*rows, **changes):
    found = Inspection(
        Path("raw"), "masks only", ("msd",), rows, 9, class_set=GLIOMA, modalities=()
    )
    return replace(found, **changes)


def drawn(image=None):
    return picture(image, np.ones((4, 3), np.uint8), 17, GLIOMA)


def sketch_of(**pictures):
    sketch = Sketch()
    for case, each in pictures.items():
        sketch.add(case, (), each)
    return sketch


def test_a_case_id_shows_as_text():
    rows = row(NASTY, (900, 60, 70, 0)), row("B", subject=NASTY)
    sketch = Sketch()
    sketch.add(NASTY, (), drawn())
    made = page(inspected(*rows, path=Path(NASTY)), sketch)
    read = Markup(made)
    (shown,) = read.attributes("img")
    assert shown["src"].startswith("data:image/png;base64,")
    assert NASTY in shown["alt"]
    assert sum(NASTY in words for words in read.words) >= 5  # title, heading, list, card, tables


def test_the_table_says_what_inspect_says():
    made = page(inspected(row("A")), Sketch())
    cells = ["NCR", "60", "5.405 %", "26.087 %", "15.0", "3", "1"]
    assert (
        f'<tr><th scope="row">NCR</th>{"".join(f"<td>{cell}</td>" for cell in cells[1:])}' in made
    )
    assert "Largest to smallest class, ET to NCR: 1.33 : 1" in made


def test_a_slice_file_shows_what_it_keeps():
    made = page(inspected(row("A"), stored=STORED, kind="slice file"), Sketch())
    assert "6 slices of 8 x 4" in made
    assert "7 brain and 1 tumour voxels" in made
    assert "<td>93.750 %</td>" in made  # 90 of 96 stored
    assert "The file stores no slice" in made
    assert "figure" not in intensities_of(made)


def intensities_of(made):
    """Elements of the section of the intensities."""
    return Markup(made.partition('id="intensities"')[2].partition("</section>")[0]).names


def test_masks_have_no_intensities():
    made = page(inspected(row("A")), Sketch())
    assert "These are masks without images" in made
    assert intensities_of(made) == ["h2", "p"]


def test_unlabelled_cases_are_not_counted():
    made = page(inspected(row("A", (0, 0, 0, 0), labelled=False)), Sketch())
    assert "No case has a label" in made
    assert "<strong>unlabelled</strong> (1): A" in made
    assert '<div class="cards">' not in made


@pytest.mark.parametrize(
    ("rows", "planes"),
    [
        ([row("A"), row("B")], "10, of them 6 with tumour"),
        ([row("A"), UNLABELLED], "10; of the 5 planes of labelled cases, 3 with tumour"),
        ([UNLABELLED], "5; how many hold tumour is unknown without labels"),
    ],
    ids=["all labelled", "mixed", "none labelled"],
)
def test_planes_with_tumour_are_counted_in_labelled_cases_alone(rows, planes):
    assert f"<dt>planes</dt><dd>{planes}</dd>" in page(inspected(*rows), Sketch())


def test_lost_tumour_voxels_are_not_given_without_labels():
    made = page(inspected(UNLABELLED, stored=STORED, kind="slice file"), Sketch())
    assert "<dt>outside the crop</dt><dd>7 brain voxels</dd>" in made


def test_both_medians_of_the_spread_name_their_cases():
    rows = row("A"), row("B", (900, 0, 70, 80)), row("C", (900, 20, 70, 80)), UNLABELLED
    made = page(inspected(*rows), Sketch()).partition('id="spread"')[2].partition("</section>")[0]
    (ring,) = re.findall(r"A dot is a case that holds the class[^<]*", made)
    assert "the ring is their median" in ring
    (caption,) = re.findall("<caption><span>(.*?)</span>", made)
    assert caption == "Over all 3 labelled cases; a case without a class counts as 0 voxels"
    # Median of 0, 20 and 60, beside the ring at 40, that of the two cases that hold NCR.
    assert '<th scope="row">NCR voxels</th><td>0</td><td>10</td><td>20</td>' in made


def test_cases_without_tumour_have_no_spread_to_draw():
    made = page(inspected(row("A", (9, 0, 0, 0))), Sketch())
    assert not re.search("<circle", made)
    assert "there is no NCR" in made


def test_without_unusual_cases_none_is_listed():
    assert "None: every case has a label" in page(inspected(row("A")), Sketch())


def test_a_card_shows_the_plane_and_why():
    sketch = sketch_of(A=drawn(np.ones((4, 3), np.float32)))
    made = page(inspected(row("A", (900, 3, 70, 0))), sketch)
    assert 'alt="Plane 17 of A: image and label"' in made
    assert "<b>A</b>fewer than 50 voxels of NCR, no ET, plane 17" in made
    assert 'src="data:image/png;base64,' in made


def test_a_case_without_a_plane_says_so():
    assert "no plane<br>to show" in page(inspected(row("A", (9, 0, 0, 0))), Sketch())


def test_many_unusual_cases_are_cut_and_counted(monkeypatch):
    monkeypatch.setattr(page_module, "PICTURES", 2)
    monkeypatch.setattr(page_module, "LISTED", 3)
    rows = [row(f"C{n}", (900, 60, 70, 0)) for n in range(5)]
    made = page(inspected(*rows), Sketch())
    assert "the first 2 of 5 cases." in made
    assert "(5): C0, C1, C2 and 2 more" in made
    assert made.count("<b>C") == 2


@pytest.mark.parametrize("case", ["A", "B"])
def test_every_case_stands_in_the_table(case):
    rows = row("A"), row("B", (0, 0, 0, 0), labelled=False)
    made = page(inspected(*rows), Sketch())
    last = "<td>3</td><td>60</td><td>70</td><td>80</td><td>0.2</td>" if case == "A" else (
        "<td>-</td>" * 5)  # fmt: skip
    assert f'<th scope="row">{case}</th><td>{case}</td><td>5</td>{last}' in made
