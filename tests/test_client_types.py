"""What mypy says about a client's file that uses the public verbs."""

import re
from pathlib import Path

import pytest
from mypy import api

ROOT = Path(__file__).parent.parent
CLIENT = """
from pathlib import Path

import bratsprep
import bratstrain

raw = bratsprep.phantoms("raw", cases=3, shape=(32, 32, 16), layout="msd", workers=2)
summary = bratsprep.build(raw, "a.h5", slices="brain", crop="32x32", subjects=Path("a.csv"))
verified = bratsprep.verify("a.h5", raw, cases=["a"], sample=2)
inspection = bratsprep.inspect(raw, labels="msd", images=True)
page = bratsprep.inspect_page(raw, "a.html", labels="auto")
bratsprep.plot_balance(inspection, "a.png")
case, planes = bratsprep.preview("a.h5", None, "a.png", planes=2)
twins = bratsprep.twins(raw, "a.h5", labels="auto")
with bratsprep.open("a.h5") as file:
    opened: bratsprep.SliceFile = file
    dataset = bratstrain.SliceDataset(file)
run = bratstrain.fit("a.h5", "run", model="unet", width=8, learning_rate=1e-3, device="cpu")
again = bratstrain.fit("a.h5", config=bratstrain.TrainConfig(epochs=3))
report = bratstrain.evaluate(run.folder, raw=raw, split="test", tta="lr", cases=["a"])
scores = bratstrain.score_folders("predicted", raw, conventions=["brats", "nnunet"])
predicted = bratstrain.predict(["a", "b"], raw, "out", batch_size=4, probabilities=True)
written = bratstrain.report("run", raw=raw, cleanup=True)
comparison = bratstrain.compare(["a", "b"], data="a.h5", any_spacing=True)
done = bratstrain.study("deck", raw, "out", profile="demo", threads=1)
exported = bratstrain.export("run", "a.onnx")
bratstrain.draw_report("a.png", report)
config = bratsprep.PrepConfig(slices="all", dtype="float32")
version: str = bratsprep.__version__ + bratstrain.__version__

bratsprep.phantoms("raw", case=3)  # wrong
bratsprep.phantoms("raw", shape=(32, 32))  # wrong
bratsprep.build("raw", "a.h5", slices="some")  # wrong
bratsprep.build("raw", "a.h5", slice="brain")  # wrong
bratsprep.build("raw", "a.h5", on_error="ask")  # wrong
bratsprep.verify("a.h5", samples=2)  # wrong
bratsprep.inspect("raw", labels=1)  # wrong
bratsprep.inspect_page("raw", "a.html", images=True)  # wrong
bratsprep.plot_balance(3, "a.png")  # wrong
bratsprep.preview("a.h5", None, "a.png", plane=2)  # wrong
bratsprep.twins("raw", worker=2)  # wrong
bratsprep.open("a.h5", colour=1)  # wrong
bratstrain.fit("a.h5", precision="fp8")  # wrong
bratstrain.fit("a.h5", lr=1e-3)  # wrong
bratstrain.fit("a.h5", width="8")  # wrong
bratstrain.evaluate("run", split="dev")  # wrong
bratstrain.evaluate("run", plane=True)  # wrong
bratstrain.score_folders("a", "b", tune_cleanup=True)  # wrong
bratstrain.predict("run", "raw", "out", tta="all")  # wrong
bratstrain.report("run", batch="4")  # wrong
bratstrain.compare(["a", "b"], labels=3)  # wrong
bratstrain.study("deck", "raw", profiles="demo")  # wrong
bratstrain.export("run")  # wrong
bratstrain.draw_report(report)  # wrong
bratsprep.bulid("raw", "a.h5")  # wrong
run.colour  # wrong
"""


@pytest.mark.slow
def test_mypy_finds_the_wrong_uses_of_every_verb_and_no_others(tmp_path):
    path = tmp_path / "client.py"
    path.write_text(CLIENT)
    options = ["--config-file", str(ROOT / "pyproject.toml"), "--no-error-summary"]
    output, faults, _ = api.run([*options, "--cache-dir", str(ROOT / ".mypy_cache"), str(path)])
    assert not faults
    lines = {int(number) for number in re.findall(r"client\.py:(\d+): error", output)}
    wrong = {i for i, line in enumerate(CLIENT.split("\n"), 1) if line.endswith("# wrong")}
    assert lines == wrong, output
