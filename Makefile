# Each target sets up what it needs: Python 3.11 or newer, git and make are enough.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
PYTEST_FLAGS ?=
PYTEST_WORKERS ?= -n auto --maxprocesses 4 --dist worksteal
DEMO ?= demo
DEMO_FLAGS ?=

.PHONY: demo test lint bench clean

demo: $(VENV)/ready
	$(BIN)/wavegen demo --out $(DEMO) $(DEMO_FLAGS)

test: $(VENV)/ready
	$(BIN)/python -m pytest $(PYTEST_WORKERS) $(PYTEST_FLAGS)

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

bench: $(VENV)/ready
	$(BIN)/python benchmarks/bench_sampling.py
	$(BIN)/python benchmarks/bench_training.py
	$(BIN)/python benchmarks/bench_data.py

$(VENV)/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "wavegen needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache
