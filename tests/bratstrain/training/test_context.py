"""Fits on samples of several planes."""

import dataclasses
import json

import pytest
import torch

from bratsprep.errors import BratsError
from bratstrain.training.fit import fit
from bratstrain.training.step import Trainer
from tests.bratstrain.training.test_step import CONFIG, CPU, batch
from tests.helpers import fitfiles
from tests.helpers.fitfiles import (
    SMALL,
    assert_same,
    cut_and_resumed,
    one_thread,  # noqa: F401  for every test here
)

WHOLE = SMALL | {"context": 3, "steps": 6, "validate_steps": 3, "checkpoint_steps": 2, "ema": 0.9}


def trainer_of(context=1, **settings):
    model = dataclasses.replace(CONFIG.model, context=context)
    return Trainer(dataclasses.replace(CONFIG, model=model, **settings), CPU)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return fitfiles.phantom_file(tmp_path_factory.mktemp("data"), margin=1)


@pytest.mark.parametrize("augment", ["modern", "combined"])
def test_step_on_stacks_of_one_plane_is_that_on_planes(augment):
    image, label = batch()
    settings = {"augment": augment, "drop_modality": 0.3}
    plane, stack = trainer_of(**settings), trainer_of(**settings)
    for step in range(3):
        assert plane.step(image, label, step, 0.0) == stack.step(
            image[:, :, None], label, step, 0.0
        )
    for one, two in zip(plane.network.parameters(), stack.network.parameters(), strict=True):
        assert torch.equal(one, two)


def test_neighbours_alone_teach_the_plane_in_the_middle():
    generator = torch.Generator().manual_seed(0)
    label = torch.randint(0, 4, (2, 8, 8), generator=generator, dtype=torch.uint8)
    image = torch.zeros(2, 4, 3, 8, 8)
    image[:, :, 0] = torch.nn.functional.one_hot(label.long(), 4).permute(0, 3, 1, 2)
    trainer = trainer_of(context=3, ema=0.0, learning_rate=0.02)
    for step in range(80):
        trainer.step(image, label, step, 0.0)
    assert bool((trainer.segment(image).argmax(dim=1) == label).float().mean() > 0.98)


@pytest.mark.slow
def test_interrupted_run_ends_with_the_same_weights(data, tmp_path, monkeypatch):
    lines = []
    fit(data, tmp_path / "whole", tell=lines.append, **WHOLE)
    cut_and_resumed(monkeypatch, data, tmp_path / "run", 5, **WHOLE)
    assert_same(tmp_path / "run", tmp_path / "whole")
    assert "3 planes a sample, neighbours: " in lines[0]
    facts = json.loads((tmp_path / "whole" / "run.json").read_text())
    assert 0 <= facts["neighbours_lost"] < 0.2
    assert json.loads((tmp_path / "whole" / "config.json").read_text())["block"] == 4


def test_file_without_neighbours_is_refused(tmp_path):
    path = fitfiles.phantom_file(tmp_path, negatives=0.5)
    with pytest.raises(BratsError, match=r"lacks .* of the neighbours of the training slices"):
        fit(path, tmp_path / "run", **WHOLE | {"missing_neighbours": 0.0})


def test_missing_neighbours_have_no_effect_on_planes(data, tmp_path):
    with pytest.raises(ValueError, match="missing_neighbours has no effect without context"):
        fit(data, tmp_path / "run", **SMALL, missing_neighbours=0.5)


def test_even_context_is_refused(data, tmp_path):
    with pytest.raises(ValueError, match="context must be odd"):
        fit(data, tmp_path / "run", **SMALL, context=4)
