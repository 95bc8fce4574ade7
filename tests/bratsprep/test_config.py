"""Settings are checked when made and survive being written."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bratsprep.config import COMPRESSION, NORMALISE, SLICES, PhantomConfig, PrepConfig
from bratsprep.labels import shipped
from bratsprep.phantom.layouts import LAYOUTS
from bratsprep.settings import choices, from_names, keywords

settings = st.fixed_dictionaries(
    {
        "slices": st.sampled_from(SLICES),
        "margin": st.integers(0, 9),
        "negatives": st.floats(0, 1),
        "normalise": st.sampled_from(NORMALISE),
        "crop": st.sampled_from(["192x160", "8x3", "brain", "none"]),
        "dtype": st.sampled_from(["auto", "float32"]),
        "compression": st.sampled_from(COMPRESSION),
        "labels": st.sampled_from(["auto", *shipped()]),
        "unlabelled": st.booleans(),
        "seed": st.integers(0, 2**31),
    }
)


@given(settings)
def test_json_gives_the_config_back(names):
    config = PrepConfig(**names)
    assert PrepConfig.from_json(config.to_json()) == config


def test_json_has_every_setting_in_sorted_order():
    names = list(json.loads(PrepConfig().to_json()))
    assert names == sorted(names)
    assert len(names) == 11


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"slices": "x"}, "slices must be one of tumour, brain, all, got 'x'"),
        ({"normalise": "x"}, "normalise must be one of modality, case, none, got 'x'"),
        ({"dtype": "x"}, "dtype must be one of auto, float16, float32, int16, got 'x'"),
        ({"compression": "x"}, "compression must be one of fast, small, none, got 'x'"),
        ({"labels": "x y"}, "labels must be auto or the name of a scheme, got 'x y'"),
        ({"subjects": "x"}, "subjects must be one of auto, names, got 'x'"),
        ({"margin": -1}, "margin must be 0 to 32767, got -1"),
        ({"margin": 32_768}, "margin must be 0 to 32767, got 32768"),
        ({"margin": 1.0}, r"margin must be a whole number, got 1\.0"),
        ({"margin": True}, "margin must be a whole number, got True"),
        ({"margin": None}, "margin must be a whole number, got None"),
        ({"seed": -1}, "seed must be 0 to 9223372036854775807, got -1"),
        ({"seed": 0.5}, r"seed must be a whole number, got 0\.5"),
        ({"negatives": "0.5"}, "negatives must be a number, got '0.5'"),
        ({"unlabelled": 1}, "unlabelled must be true or false, got 1"),
        ({"subjects": 5}, "subjects must be text, got 5"),
        ({"crop": 192}, "crop must be text, got 192"),
        ({"negatives": 1.5}, "negatives must be 0 to 1, got 1.5"),
        ({"negatives": -0.5}, "negatives must be 0 to 1, got -0.5"),
        ({"negatives": float("nan")}, "negatives must be 0 to 1, got nan"),
        ({"dtype": "int16"}, "dtype int16 needs normalise none: a z-score is not an integer"),
        (
            {"dtype": "float16", "normalise": "none"},
            "dtype float16 cannot hold integers over 2,048; take int16 or float32",
        ),
        ({"crop": "192"}, "crop must be brain, none or HEIGHTxWIDTH .*, got '192'"),
        ({"crop": "0x4"}, "crop must be .*, got '0x4'"),
        ({"crop": "4x0"}, "crop must be .*, got '4x0'"),
        ({"crop": "4097x4"}, "crop must be .*, sides at most 4096, got '4097x4'"),
        ({"crop": "4x9999999999999"}, "crop must be .*, got '4x9999999999999'"),
        ({"crop": "4x4x4"}, "crop must be .*, got '4x4x4'"),
        ({"shade": 1}, "unknown setting shade; "),
    ],
    ids=str,
)
def test_config_refuses(names, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_names(PrepConfig, names)


def test_whole_number_is_a_number():
    assert PrepConfig(negatives=1).negatives == 1


@pytest.mark.parametrize(
    ("crop", "window"), [("192x160", (192, 160)), ("brain", None), ("none", None)]
)
def test_window_is_y_by_x(crop, window):
    assert PrepConfig(crop=crop).window == window


@pytest.mark.parametrize(
    ("dtype", "normalise", "stored"),
    [
        ("auto", "modality", "<f2"),
        ("auto", "case", "<f2"),
        ("auto", "none", "<i2"),
        ("float16", "modality", "<f2"),
        ("float32", "modality", "<f4"),
        ("float32", "none", "<f4"),
        ("int16", "none", "<i2"),
    ],
)
def test_stored_type(dtype, normalise, stored):
    assert PrepConfig(dtype=dtype, normalise=normalise).stored == stored


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"slices": "brain", "margin": 2}, "negatives have no effect with slices brain"),
        (
            {"slices": "all", "negatives": 0.2},
            "negatives have no effect with slices all",
        ),
        ({"seed": 3}, "seed 3 has no effect without negatives"),
    ],
)
def test_settings_without_effect_are_refused(names, message):
    config = PrepConfig(**names)
    with pytest.raises(ValueError, match=message):
        config.check_effects()


@pytest.mark.parametrize(
    "names",
    [{}, {"slices": "brain"}, {"margin": 2}, {"negatives": 0.2, "seed": 3}, {"slices": "all"}],
    ids=str,
)
def test_settings_with_an_effect_are_accepted(names):
    assert PrepConfig(**names).check_effects() is None


@pytest.mark.parametrize("labels", ["auto", "toml:0123456789abcdef", *shipped()])
def test_labels_are_the_name_of_a_scheme(labels):
    assert PrepConfig(labels=labels).labels == labels


@pytest.mark.parametrize("labels", ["", "a b", "../own.toml", "toml:xyz"])
def test_labels_that_are_no_name_are_refused(labels):
    with pytest.raises(ValueError, match="labels must be auto or the name of a scheme"):
        PrepConfig(labels=labels)


@pytest.mark.parametrize("modalities", ["t1gd", "t1gd,adc", "a,b,c,d,e", "flair,swi-mag,t1.2+x_"])
def test_modalities_are_names_by_commas(modalities):
    config = PrepConfig(modalities=modalities)
    assert config.channels == tuple(modalities.split(","))
    assert PrepConfig.from_json(config.to_json()) == config


def test_usual_modalities_are_not_written_into_the_settings():
    assert "modalities" not in json.loads(PrepConfig().to_json())
    assert json.loads(PrepConfig(modalities="t1gd").to_json())["modalities"] == "t1gd"


@pytest.mark.parametrize(
    ("modalities", "fault"),
    [
        ("", "modality ''"),
        ("flair,", "modality ''"),
        ("flair,flair", "1 to 16 different names"),
        (",".join(f"m{i}" for i in range(17)), "1 to 16 different names"),
        ("T1", "modality 'T1' must be a small letter"),
        ("t1 w", "modality 't1 w'"),
        ("2d", "modality '2d'"),
        ("a" * 25, "must be a small letter, then up to 23"),
    ],
)
def test_modalities_that_are_no_names_are_refused(modalities, fault):
    with pytest.raises(ValueError, match=fault):
        PrepConfig(modalities=modalities)


def test_layouts_of_the_settings_are_those_that_can_be_written():
    assert choices(keywords(PhantomConfig)["layout"].type) == tuple(LAYOUTS)
