"""A head: bodies where they belong, and kernels that say the same compiled or plain."""

import math

import numpy as np
import pytest
from numba.core.registry import CPUDispatcher

from bratsprep.phantom import anatomy
from bratsprep.phantom import paint as paint_module
from bratsprep.phantom.anatomy import SIDE, WAVE, Head, Scan, noise_block
from bratsprep.phantom.paint import paint, rician, sick_

SHAPE = (7, 8, 8)
KERNELS = [
    (module, name)
    for module in (anatomy, paint_module)
    for name, value in vars(module).items()
    if isinstance(value, CPUDispatcher)
]


@pytest.fixture
def plain(monkeypatch):
    """Every kernel as the Python that it was written in."""
    for module, name in KERNELS:
        monkeypatch.setattr(module, name, getattr(module, name).py_func)


@pytest.fixture(scope="module")
def block():
    return noise_block(np.random.default_rng(5))


def head(shape=SHAPE):
    centre = tuple((n - 1) / 2 for n in shape[::-1])
    step = (240 / shape[2], 240 / shape[1], 155 / shape[0])
    return Head(centre, step, 18.0, 0.8, 1.0)


def scan(noise=0.0, margin=(0.0, 0.0, 0.0, 0.0)):
    tissue = np.repeat(np.arange(100.0, 900.0, 100.0)[:, None], 4, axis=1)
    return Scan(tissue, np.zeros((4, 3)), np.full(4, noise), np.array(margin), 11)


def tumour(radius=20.0, rim=6.0):
    row = [30, 10, 25, radius, radius, radius, radius + 12, radius + 12, radius + 12, rim, 0.2, 40]
    return np.array([row], np.float64)


def test_noise_has_no_mean_and_unit_spread(block):
    assert block.shape == (SIDE, SIDE, SIDE)
    assert abs(float(block.mean())) < 1e-3
    assert float(block.std()) == pytest.approx(1, abs=1e-4)


def test_noise_has_its_wavelength(block):
    power = np.abs(np.fft.rfftn(block)[0, 0]) ** 2
    assert np.argmax(power) == pytest.approx(SIDE / WAVE, rel=0.35)


def test_fetch_gives_the_cell_itself_on_a_cell(block):
    assert anatomy.fetch(block, 3.0, 4.0, 5.0, WAVE) == pytest.approx(float(block[5, 4, 3]))


def test_fetch_goes_round(block):
    near = anatomy.fetch(block, 1.5, -2.25, 7.0, WAVE)
    assert anatomy.fetch(block, 1.5 + SIDE, -2.25 - SIDE, 7.0, WAVE) == pytest.approx(near)


@pytest.mark.parametrize(("x", "depth"), [(0.0, 10), (4.0, 6), (10.0, 0), (12.0, -2)])
def test_ellipsoid_of_equal_axes_is_a_ball(x, depth):
    assert anatomy.ellipsoid(x, 0.0, 0.0, 10.0, 10.0, 10.0) == pytest.approx(depth)


def test_capsule_tapers_from_end_to_end():
    rod = np.array([0.0, 0, 0, 10, 0, 0, 4, 2])
    depths = [anatomy.capsule(x, 1.0, 0.0, rod, 1.0) for x in (0.0, 5.0, 10.0)]
    assert depths == pytest.approx([3, 2, 1])


def test_ramp_is_half_on_the_surface():
    assert [anatomy.ramp(d, 2.0) for d in (-5.0, 0.0, 0.5, 5.0)] == [0, 0.5, 0.75, 1]


def test_blend_fills_a_crevice_and_leaves_the_rest():
    assert anatomy.blend(0.0, 0.0, 8.0) == 2.0
    assert anatomy.blend(1.0, 20.0, 8.0) == 20.0


@pytest.mark.parametrize(
    ("place", "body"),
    [((30, 0, 30), 0), ((45, 8, -28), 0), ((20, -50, -48), 1), ((0, -14, -60), 2)],
    ids=["hemisphere", "temporal lobe", "cerebellum", "stem"],
)
def test_body_is_deepest_where_it_belongs(place, body):
    depths = anatomy.bodies(*(float(v) for v in place))
    assert np.argmax(depths) == body
    assert depths[body] > 2


def test_bodies_end_below_the_skull():
    assert max(anatomy.bodies(0.0, 0.0, 75.0)) < 0
    assert max(anatomy.bodies(75.0, 0.0, 0.0)) < 0


def test_midline_is_a_fissure_above_the_callosum_only(block):
    assert anatomy.fissures(block, 0.0, 0.0, 50.0) < 2
    assert anatomy.fissures(block, 0.0, 0.0, 15.0) > 5


def test_sulci_stay_out_of_the_depth(block):
    assert anatomy.sulci(block, 20.0, 0.0, 20.0, 45.0, 18.0) > 5


def test_sulcus_is_never_further_than_the_surface(block):
    assert anatomy.sulci(block, 60.0, 5.0, 20.0, 1.5, 18.0) <= 1.5


def test_ventricles_are_the_same_on_both_sides():
    assert anatomy.ventricles(10.0, 10.0, 13.0, 1.0) > 0
    assert anatomy.ventricles(-10.0, 10.0, 13.0, 1.0) == anatomy.ventricles(10.0, 10.0, 13.0, 1.0)


def test_thalamus_is_deep_grey_matter():
    assert anatomy.nuclei(11.0, -9.0, 5.0) > 0 > anatomy.nuclei(40.0, -40.0, 30.0)


def test_rician_noise_has_the_moments_of_its_law():
    """Without signal: Rayleigh, mean sigma * sqrt(pi / 2)."""
    values = np.array([rician(0.0, 3.0, i, 77) for i in range(20_000)])
    assert values.mean() == pytest.approx(3 * math.sqrt(math.pi / 2), rel=0.02)
    assert (values**2).mean() == pytest.approx(2 * 9, rel=0.03)


def test_rician_noise_of_neighbours_is_independent():
    values = np.array([rician(1000.0, 3.0, i, 77) for i in range(20_000)])
    assert abs(np.corrcoef(values[1:], values[:-1])[0, 1]) < 0.03
    assert values.std() == pytest.approx(3, rel=0.03)


@pytest.mark.parametrize(
    ("core", "necrosis", "oedema", "klass"),
    [(9.0, 9.0, 9.0, 1), (9.0, -9.0, 9.0, 3), (-9.0, -9.0, 9.0, 2), (-9.0, -9.0, -9.0, 0)],
    ids=["dead", "rim", "oedema", "healthy"],
)
def test_tumour_gives_its_class(core, necrosis, oedema, klass):
    share = np.array([0, 0, 1, 0, 0, 0, 0, 0], np.float64)
    assert sick_(share, core, necrosis, oedema, 1.0) == klass
    assert share.sum() == pytest.approx(1)


def test_oedema_spares_fluid_and_cortex():
    for tissue in (0, 1):
        share = np.zeros(8)
        share[tissue] = 1
        assert sick_(share, -9.0, -9.0, 2.0, 1.0) == 0


@pytest.mark.parametrize("index", range(8))
def test_plain_kernels_paint_what_compiled_ones_do(block, index, request):
    shape, tumours = (9, 10, 10), tumour(12.0 + index)
    arguments = (shape, block, head(shape), tumours, scan(5.0, (0.0, 0, 3, 0)))
    images, label = paint(*arguments)
    request.getfixturevalue("plain")
    slow_images, slow_label = paint_module.paint(*arguments)
    np.testing.assert_array_equal(slow_label, label)
    np.testing.assert_allclose(slow_images, images, atol=1)


def test_every_kernel_agrees_with_its_plain_self(block, plain):
    """The small ones, at places that `paint` on a coarse grid may not reach."""
    rod = np.array([0.0, 0, 0, 10, 0, 0, 4, 2])
    assert anatomy.capsule(5.0, 1.0, 0.0, rod, 1.0) == pytest.approx(2)
    assert anatomy.nuclei(11.0, -9.0, 5.0) > 0
    assert paint_module.tumour_at(block, tumour(), 200.0, 0.0, 0.0) == (-1e3, -1e3, -1e3)


def test_paint_leaves_the_outside_zero(block):
    images, label = paint(SHAPE, block, head(), tumour(), scan(5.0))
    for volume in (*images, label):
        for axis in range(3):
            assert not np.take(volume, [0, -1], axis=axis)[..., 0].any()


def test_paint_without_tumour_has_an_empty_label(block):
    assert not paint(SHAPE, block, head(), np.empty((0, 12)), scan())[1].any()


def test_brain_is_positive_in_every_modality(block):
    images, _ = paint(SHAPE, block, head(), tumour(), scan(5.0))
    assert ((images > 0).all(axis=0) == (images > 0).any(axis=0)).all()


def test_margin_takes_brain_off_one_modality_alone(block):
    shape = (24, 32, 32)
    images, _ = paint(shape, block, head(shape), tumour(), scan(5.0, (0.0, 0.0, 4.0, 0.0)))
    counts = (images > 0).sum(axis=(1, 2, 3))
    assert counts[2] < counts[0] == counts[1] == counts[3]


def test_finer_voxels_show_the_same_head(block):
    volumes = [
        paint(shape, block, head(shape), tumour(), scan())[0].astype(bool).mean()
        for shape in ((20, 32, 32), (40, 64, 64))
    ]
    assert volumes[0] == pytest.approx(volumes[1], rel=0.05)
