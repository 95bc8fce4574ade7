.DEFAULT_GOAL := help
.PHONY: help demo test quick check format wheel bench gpu pythons figures docs clean distclean
BIN := .venv/bin/
PY := $(BIN)python
PEERS ?= .venv-peers/bin/python
PYTHONS ?= python3.12 python3.13
WORK ?= build/benchmarks
CHROMIUM ?= chromium
# Without bytecode, rewriting the assertions of the tests would take longer than many of them.
TESTS = PYTHONDONTWRITEBYTECODE= $(PY) -m pytest --numprocesses auto --dist loadfile --no-loadscope-reorder
SHOT = $(CHROMIUM) --headless=new --no-sandbox --disable-gpu --hide-scrollbars --no-first-run --user-data-dir=build/chromium

.venv/ready: pyproject.toml constraints.txt
	python3 -m venv .venv
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[all,test]'
	touch $@

.venv-peers/ready: benchmarks/peers/requirements.txt constraints.txt
	python3 -m venv .venv-peers
	.venv-peers/bin/python -m pip install --quiet --constraint constraints.txt --requirement $<
	touch $@

# WHEELS: a folder of wheels for what a GPU machine without a network lacks; the torch of python3 is used,
# which may itself be that of a virtual environment.
.venv-gpu/ready: pyproject.toml
	python3 -m venv .venv-gpu
	python3 -c "import site; print(*site.getsitepackages(), sep='\n')" > $$(.venv-gpu/bin/python -c "import site; print(site.getsitepackages()[0])")/torch.pth
	.venv-gpu/bin/python -m pip install --quiet $(if $(WHEELS),--no-index --find-links $(WHEELS)) 'setuptools>=77' pytest hypothesis
	.venv-gpu/bin/python -m pip install --quiet $(if $(WHEELS),--no-index --find-links $(WHEELS)) --no-build-isolation --editable '.[train]'
	touch $@

help:  ## this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "%-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: .venv/ready  ## the main job on phantom cases, from raw files to a report
	rm -rf demo
	$(BIN)bratstrain demo demo

test: .venv/ready .venv/kernels  ## every test, with coverage: what CI runs
	$(TESTS) --cov -m "not gpu"

# One process compiles what every process of tests would compile for itself; beside `check` it takes no time.
.venv/kernels: .venv/ready
	PYTHONDONTWRITEBYTECODE= $(PY) -m tests.helpers.kernels
	touch $@

quick: .venv/ready  ## the tests that took under 0.05 s when they were last run here; the first time all fast ones
	$(TESTS) --quick -m "not slow and not gpu"

check: .venv/ready  ## lint, format, types, layers, spelling, links
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(BIN)lint-imports
	$(BIN)codespell
	$(PY) -m tests.helpers.links

format: .venv/ready  ## apply ruff's fixes and format
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

wheel: .venv/ready  ## build the wheel into dist/ and test it outside the checkout
	$(PY) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist .
	$(PY) -m pytest tests/end_to_end/test_wheel.py

bench: .venv/ready $(if $(filter .venv-peers/%,$(PEERS)),.venv-peers/ready) demo  ## benchmarks, peers included, and the README's table: hours on a quiet machine
	$(PY) -m benchmarks.demo demo/run
	$(PY) -m benchmarks.build --work $(WORK) --peers $(PEERS)
	$(PY) -m benchmarks.load --peers $(PEERS)
	$(PY) -m benchmarks.fit_memory --work $(WORK)
	$(PY) -m benchmarks.evaluate --peers $(PEERS)
	$(PY) -m benchmarks.evaluate_raw --work $(WORK)/evaluate_raw
	$(PY) -m benchmarks.scale $(LABELS) --work $(WORK)/scale
	$(PY) -m benchmarks.train --work $(WORK)
	$(PY) -m benchmarks.help_time
	$(PY) -m benchmarks.kills
	$(PY) -m benchmarks.longrun
	$(PY) -m benchmarks.summary

gpu: .venv-gpu/ready  ## what only a GPU can tell, in ten minutes; GPU="--dry" goes the same way on a CPU
	.venv-gpu/bin/python -m benchmarks.gpu --work $(WORK) $(GPU)

pythons: .venv/ready  ## the fast tests under further interpreters, every warning an error
	for python in $(PYTHONS); do $$python -m venv .venv-$$python && .venv-$$python/bin/python -m pip install --quiet --constraint constraints.txt --editable '.[all,test]' || exit 1; done
	$(PY) -m benchmarks.pythons $(PY) $(PYTHONS:%=.venv-%/bin/python)
	$(PY) -m benchmarks.summary

figures: demo  ## the pictures in README and docs, with Chromium
	rm -rf build/figures && mkdir -p build docs/images
	$(BIN)bratsprep phantom build/figures --cases 6
	$(BIN)bratsprep build build/figures build/figures.h5 --force
	$(BIN)bratsprep preview build/figures.h5 --planes 3 -o docs/images/phantom.png
	$(BIN)bratsprep inspect build/figures.h5 --plot docs/images/balance.png --html build/inspect.html
	$(SHOT) --window-size=1100,2165 --screenshot=docs/images/inspect.png file://$(CURDIR)/build/inspect.html
	cp demo/figure.png docs/images/evaluate.png
	$(PY) -m tests.helpers.screenshot demo/report.html docs/images/report.png

docs: .venv/ready  ## the documentation site, into site/
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[docs]'
	NO_MKDOCS_2_WARNING=1 $(PY) -m mkdocs build --strict

clean:  ## remove caches and build products; .venv and demo stay
	rm -rf .venv/kernels build dist site *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache .coverage
	find bratsprep bratstrain benchmarks tests -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean  ## the same, and the environments and the demo
	rm -rf .venv .venv-* demo
