# Two commands matter: `make demo` and `make test`. Both set up what they need.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.ready

.PHONY: help setup demo test slow bench lint format lock clean
help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

setup: $(STAMP) ## make .venv with everything in it

$(STAMP): pyproject.toml requirements.lock
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements.lock --editable '.[dev]'
	touch $(STAMP)

demo: setup ## a simulated fleet with faults, end to end
	$(BIN)/monitor demo

test: setup ## the fast tests, on all cores, then those that race the wall clock
	$(BIN)/pytest -n auto --dist worksteal -m 'not slow and not alone'
	$(BIN)/pytest -m 'alone and not slow'

slow: setup ## the slow tests
	$(BIN)/pytest -n auto --dist worksteal -m slow

bench: setup ## speed and memory; figures for docs/performance.md
	$(BIN)/python -m tests.bench
	$(BIN)/python -m tests.bench.store
	$(BIN)/python -m tests.bench.http
	$(BIN)/python -m tests.bench.sources

lint: setup ## style, types, docs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup ## format the code
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lock: ## pin the versions that tests and CI use
	$(BIN)/pip freeze --exclude-editable > requirements.lock

clean: ## remove what was built
	rm -rf .venv build dist demo .pytest_cache .mypy_cache .ruff_cache .hypothesis
