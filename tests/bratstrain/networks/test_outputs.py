import numpy as np
import pytest
import torch

from bratsprep.labels import ClassSet, scheme
from bratstrain.networks.outputs import labels_of, nesting_of, probabilities_of, region_truth
from tests.helpers.class_sets import GLIOMA, GLIOMA_2024, ONE, SIX

GLIOMA_NESTING = (2, 1, 3)
"""ED is in WT alone, NCR in TC too, ET in all."""


def test_nesting_goes_from_the_outermost_region_inwards():
    assert nesting_of(GLIOMA) == GLIOMA_NESTING
    assert nesting_of(ONE.classes) == (1,)
    assert nesting_of(scheme("brats2023").classes) == nesting_of(GLIOMA)


@pytest.mark.parametrize(
    ("classes", "message"),
    [
        (
            GLIOMA_2024,
            r"^target regions needs regions that nest.* is no part of",
        ),
        (SIX.classes, r"^target regions needs regions that nest"),
    ],
    ids=["apart", "six"],
)
def test_regions_that_do_not_nest_are_refused(classes, message):
    with pytest.raises(ValueError, match=message):
        nesting_of(classes)


def regions(**members):
    names = ("background", "a", "b", "c")
    return ClassSet(
        names,
        tuple((name, tuple(names.index(one) for one in parts)) for name, parts in members.items()),
        ("#000000",) * 4,
        names,
    )


def test_regions_that_do_not_cover_or_tell_apart_are_refused():
    with pytest.raises(ValueError, match=r"outermost region of all classes: all lacks c"):
        nesting_of(regions(all=["a", "b"], inner=["b"]))
    with pytest.raises(ValueError, match=r"cannot tell b from c: no region within core"):
        nesting_of(regions(all=["a", "b", "c"], core=["b", "c"]))


@pytest.mark.parametrize("name", ["brats2017", "brats2023", "msd", "brats-men-rt", "whole-tumour"])
def test_nesting_of_shipped_schemes_names_every_class_once(name):
    classes = scheme(name).classes
    assert sorted(nesting_of(classes)) == list(range(1, len(classes)))


def test_probabilities_of_classes_are_the_softmax():
    logits = torch.randn(2, 4, 3, 3, generator=torch.Generator().manual_seed(0))
    assert torch.equal(probabilities_of(logits), logits.softmax(dim=1))
    assert torch.equal(labels_of(probabilities_of(logits)).long(), logits.argmax(dim=1))


def test_probabilities_of_regions_worked_out_by_hand():
    # WT .9, TC .6, ET .3: ED .3, NCR .3, ET .3, background .1.
    chances = torch.tensor([0.9, 0.6, 0.3])
    found = probabilities_of(chances.logit()[None, :, None], GLIOMA_NESTING)
    assert found.shape == (1, 4, 1)
    np.testing.assert_allclose(found[0, :, 0], [0.1, 0.3, 0.3, 0.3], atol=1e-6)


def test_a_region_is_no_likelier_than_the_one_around_it():
    chances = torch.tensor([0.2, 0.9, 0.7])
    found = probabilities_of(chances.logit()[None, :, None], GLIOMA_NESTING)
    np.testing.assert_allclose(found[0, :, 0], [0.8, 0, 0, 0.2], atol=1e-6)


def test_probabilities_of_regions_sum_to_1_and_give_the_regions_back():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(2, 3, 5, 4, generator=generator)
    found = probabilities_of(logits, GLIOMA_NESTING)
    np.testing.assert_allclose(found.sum(dim=1), 1, atol=1e-6)
    assert bool((found >= 0).all())
    inside = logits.sigmoid().cummin(dim=1).values
    table = torch.from_numpy(GLIOMA.masks([labels for _, labels in GLIOMA.nested])).float()
    np.testing.assert_allclose(torch.einsum("rc,bchw->brhw", table, found), inside, atol=1e-6)


def test_labels_are_decided_region_by_region_and_not_by_the_largest_class():
    # WT .6, TC .55, ET .52: background is the largest class, and the voxel is ET all the same.
    found = probabilities_of(torch.tensor([0.6, 0.55, 0.52]).logit()[None, :, None], GLIOMA_NESTING)
    assert int(labels_of(found, GLIOMA_NESTING)) == 3
    assert int(labels_of(torch.tensor([[[0.3], [0.45], [0.15], [0.1]]]), GLIOMA_NESTING)) == 1
    assert int(labels_of(torch.tensor([[[0.4], [0.2], [0.3], [0.1]]]), GLIOMA_NESTING)) == 2
    assert int(labels_of(torch.tensor([[[0.5], [0.5], [0.0], [0.0]]]), GLIOMA_NESTING)) == 0


def test_truth_of_regions_is_that_of_the_class_set():
    label = torch.tensor([[0, 1, 2, 3]], dtype=torch.uint8)
    found = region_truth(label, GLIOMA_NESTING)
    members = GLIOMA.masks([labels for _, labels in GLIOMA.nested])  # (r, c)
    np.testing.assert_array_equal(found[0].numpy(), members[:, label[0]] > 0)


def test_certain_logits_give_the_label_back():
    label = torch.randint(0, 4, (2, 6, 5), generator=torch.Generator().manual_seed(0))
    logits = 40 * (region_truth(label, GLIOMA_NESTING).float() - 0.5)
    found = labels_of(probabilities_of(logits, GLIOMA_NESTING), GLIOMA_NESTING)
    assert torch.equal(found.long(), label)
