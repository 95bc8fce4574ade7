import numpy as np
import torch

from bratstrain.data.reading import Reading, united


def test_united_planes_are_read_once_and_rising():
    reading = united(np.array([[7, 8, 9], [8, 9, 9]]))
    assert reading.rows.tolist() == [7, 8, 9]
    assert reading.places.tolist() == [[0, 1, 2], [1, 2, 2]]


def test_gathered_sample_has_its_planes_and_the_label_of_the_middle_one():
    image = torch.arange(12.0).reshape(3, 2, 1, 2)
    label = torch.arange(6, dtype=torch.uint8).reshape(3, 1, 2)
    found, truth = Reading(np.arange(3), np.array([[0, 1, 2], [2, 0, 1]])).gather(image, label)
    assert found.shape == (2, 2, 3, 1, 2)
    for sample, places in enumerate([[0, 1, 2], [2, 0, 1]]):
        for k, place in enumerate(places):
            assert torch.equal(found[sample, :, k], image[place])
        assert torch.equal(truth[sample], label[places[1]])


def test_slices_without_places_are_given_back():
    image, label = torch.zeros(2, 1, 3, 3), torch.zeros(2, 3, 3, dtype=torch.uint8)
    found, truth = Reading(np.arange(2)).gather(image, label)
    assert found is image
    assert truth is label
