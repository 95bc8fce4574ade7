"""A package with a network of the user's own, and with networks that break the contract."""

import sys

import pytest

PACKAGE = "tiny_networks"
GOOD = f"{PACKAGE}.nets:build"
SOURCE = '''
import numpy as np
import torch
from torch import nn
from torch.nn.functional import dropout


class Tiny(nn.Module):
    """Four-fold down and up again, with everything that a resumed run has to restore."""

    def __init__(self, modalities, classes, width):
        super().__init__()
        self.cell = 4
        self.down = nn.Conv2d(modalities, width, 4, stride=4)
        self.norm = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(0.2)
        self.up = nn.ConvTranspose2d(width, classes, 4, stride=4)

    def forward(self, image):
        assert image.shape[2] % 4 == 0 and image.shape[3] % 4 == 0
        return self.up(self.drop(torch.relu(self.norm(self.down(image)))))


def build(modalities, classes, width=8):
    return Tiny(modalities, classes, width)


def frozen_encoder(modalities, classes):
    network = build(modalities, classes)
    network.down.requires_grad_(False)
    return network


class Levels(Tiny):
    def forward(self, image):
        logits = super().forward(image)
        return [logits, logits[..., ::2, ::2]] if self.training else logits


def levels(modalities, classes):
    return Levels(modalities, classes, 4)


class Changed(Tiny):
    """Passes its logits through a function."""

    def __init__(self, modalities, classes, change):
        super().__init__(modalities, classes, 4)
        self.change = change

    def forward(self, image):
        return self.change(self, super().forward(image))


def number(modalities, classes):
    return 3


def fewer_classes(modalities, classes):
    return build(modalities, classes - 1)


def half_size(modalities, classes):
    return Changed(modalities, classes, lambda self, x: x[..., ::2, ::2])


def double(modalities, classes):
    return build(modalities, classes).double()


def widened(modalities, classes):
    return Changed(modalities, classes, lambda self, x: x.double())


def infinite(modalities, classes):
    return Changed(modalities, classes, lambda self, x: x / 0)


def mapping(modalities, classes):
    return Changed(modalities, classes, lambda self, x: {"out": x})


def always_a_list(modalities, classes):
    return Changed(modalities, classes, lambda self, x: [x])


def nothing(modalities, classes):
    return Changed(modalities, classes, lambda self, x: [])


def restless(modalities, classes):
    return Changed(modalities, classes, lambda self, x: dropout(x, 0.5, training=True))


def detached(modalities, classes):
    return Changed(modalities, classes, lambda self, x: x.detach())


def root(modalities, classes):
    """The slope of the root at 0 is infinite."""
    return Changed(modalities, classes, lambda self, x: (x - x.detach()).abs().sqrt() + 1)


def refuse(self, x):
    raise RuntimeError("sides must be divisible by 32")


def refusing(modalities, classes):
    return Changed(modalities, classes, refuse)


def unused(modalities, classes):
    network = build(modalities, classes)
    network.spare = nn.Conv2d(1, 1, 1)
    return network


def all_frozen(modalities, classes):
    return build(modalities, classes).requires_grad_(False)


def lazy(modalities, classes):
    network = build(modalities, classes)
    network.down = nn.LazyConv2d(8, 4, stride=4)
    return network


def other_generator(modalities, classes):
    network = build(modalities, classes)
    noise = np.random.default_rng().normal(size=network.up.bias.shape)
    with torch.no_grad():
        network.up.bias.copy_(torch.from_numpy(noise))
    return network


class Noting(Tiny):
    def get_extra_state(self):
        return "a note"

    def set_extra_state(self, state):
        pass


def noting(modalities, classes):
    return Noting(modalities, classes, 4)


def odd_cell(modalities, classes):
    network = build(modalities, classes)
    network.cell = "4"
    return network


not_a_function = 3
'''


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Folder of the package, which can be imported while a test runs."""
    folder = tmp_path / "lib" / PACKAGE
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "nets.py").write_text(SOURCE)
    (folder / "needy.py").write_text("import a_package_that_is_not_installed\n")
    monkeypatch.syspath_prepend(str(tmp_path / "lib"))
    yield folder
    forget()


def forget():
    """Have the package imported anew."""
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def is_imported():
    """Whether code of the package has run."""
    return PACKAGE in sys.modules
