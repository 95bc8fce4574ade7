"""The wheel holds every file of the packages, and works outside the checkout.

It is installed, without a network, into an environment of its own. The dependencies are those of
the environment that runs the tests: a `.pth` file adds their folder behind the wheel's.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
PACKAGES = ("bratsprep", "bratstrain")
BUILT_FROM = ("pyproject.toml", "README.md", "LICENSE")
pytestmark = pytest.mark.slow


def run(command, **settings):
    """Run a command; its output is what an error shows."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, **settings)
    assert done.returncode == 0, f"{command}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from a copy of the tree, so that the checkout stays as it is."""
    pytest.importorskip("setuptools", reason="the wheel is built without a network")
    copy, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, copy / name, ignore=ignored)
    for name in BUILT_FROM:
        shutil.copy(ROOT / name, copy)
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index"]
    run([*pip, "--wheel-dir", str(out), str(copy)])
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Folder of an environment with the wheel, where the dependencies are our own."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install"]
    run([*pip, "--no-deps", "--no-index", "--no-compile", str(wheel)])
    site = next((folder / "lib").glob("python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    take_over_kernels(site)
    return folder


def take_over_kernels(site):
    """Give an installation the kernels that the checkout has compiled from the same sources.

    Numba takes them where a source has the size and the time that it had; else it compiles anew.
    """
    for package in PACKAGES:
        for compiled in (ROOT / package).rglob("*.nb[ic]"):
            target = site / compiled.relative_to(ROOT)
            target.parent.mkdir(exist_ok=True)
            shutil.copy(compiled, target)
        for path in (site / package).rglob("*.py"):
            source = ROOT / path.relative_to(site)
            os.utime(path, ns=(source.stat().st_mtime_ns,) * 2)


def at(installed):
    """Environment variables under which the installed commands come first, and no checkout."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return {**kept, "PATH": f"{installed / 'bin'}:{os.environ['PATH']}"}


def test_every_file_of_the_packages_is_in_the_wheel(wheel):
    with zipfile.ZipFile(wheel) as archive:
        packed = {name for name in archive.namelist() if ".dist-info/" not in name}
    tree = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert packed == tree


def test_the_wheel_carries_the_licence_and_the_version(wheel):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith(".dist-info/METADATA")))
    assert any(name.endswith("/licenses/LICENSE") for name in names)
    assert f"\nVersion: {project['version']}\n" in metadata.decode()


@pytest.mark.parametrize("program", PACKAGES)
def test_the_installed_program_has_the_version_of_the_project(installed, program, tmp_path):
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert version in run([program, "--version"], cwd=tmp_path, env=at(installed))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_packages_are_those_of_the_wheel(installed, package, tmp_path):
    python = str(installed / "bin" / "python")
    code = f"import {package}; print({package}.__file__)"
    place = Path(run([python, "-c", code], cwd=tmp_path, env=at(installed)).strip())
    assert installed in place.parents


def test_the_demo_runs_outside_the_checkout(installed, tmp_path):
    shown = run(["bratstrain", "demo", "demo", "--quick"], cwd=tmp_path, env=at(installed))
    made = tmp_path / "demo"
    for name in ("inspect.html", "report.html", "preview.png", "figure.png"):
        assert (made / name).stat().st_size > 5_000, name
    assert len([*(made / "predicted").glob("*.nii.gz")]) == 6
    assert str(made / "report.html") in shown
