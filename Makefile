.PHONY: demo test quick check format bench figures clean
PY := .venv/bin/python

.venv/ready: pyproject.toml constraints.txt
	python3 -m venv .venv
	$(PY) -m pip install --quiet --constraint constraints.txt --editable '.[all,test]'
	touch $@

demo: .venv/ready  ## the main job on phantom cases, from nothing to a fitted network
	PATH="$(CURDIR)/.venv/bin:$$PATH" sh demo.sh demo

test: .venv/ready  ## every test, with coverage: what CI runs
	$(PY) -m pytest --cov -m "not gpu"

quick: .venv/ready  ## the tests of a minute
	$(PY) -m pytest -m "not slow and not gpu"

check: .venv/ready  ## lint, format, types
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy

format: .venv/ready  ## put the code into its one form
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .

bench: .venv/ready  ## our speed beside the peers': takes long, wants a quiet machine
	$(PY) -m benchmarks.build

figures: .venv/ready  ## the pictures in README and docs
	PATH="$(CURDIR)/.venv/bin:$$PATH" $(PY) -m docs.figures

clean:
	rm -rf .venv demo build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
