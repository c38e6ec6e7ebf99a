# Everything a developer runs, each from a fresh clone: the environment is made first where it is missing.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/ready
DEMO := demo

.PHONY: help demo test test-oldest bench lint format clean

help:
	@echo "make demo    three stages of RIE on synthetic people, a table and a picture in $(DEMO)/"
	@echo "make test    all tests"
	@echo "make test-oldest  the same with the oldest versions that pyproject.toml admits, in an environment of its own"
	@echo "make bench   times of the lifter's parts; beside the public implementation where LIFTPOSE_PEERS names a copy"
	@echo "make lint    ruff and mypy"
	@echo "make format  ruff format"
	@echo "make clean   remove the environment, caches and what the demo made"

$(READY): pyproject.toml setup.cfg constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)

demo: $(READY)
	$(BIN)/python scripts/demo.py --command $(BIN)/liftpose --out $(DEMO)

test: $(READY)
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-oldest:
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt torch
	$(VENV)-oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable '.[dev]'
	$(VENV)-oldest/bin/python -m pytest -n 2 --dist worksteal

# BENCH takes options of pytest, for example BENCH='-k gather'.
bench: $(READY)
	OMP_NUM_THREADS=$${LIFTPOSE_BENCH_THREADS:-1} $(BIN)/python -m pytest tests/benchmarks -q \
		-o python_files='bench_*.py' --benchmark-disable-gc --benchmark-columns=min,median,rounds $(BENCH)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(VENV)-oldest $(DEMO) build dist src/*.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
