# From a fresh clone: `make book` builds the book, `make test` runs every test.
# Both first set up .venv from requirements.lock.

PYTHON ?= python3
SIZE ?= quick
NAME ?= figure1_performance
JOBS ?= 2
BIN := .venv/bin

.PHONY: help book test reproduce figure benchmark lab lint lock readme clean

help:
	@echo "make book                     build the book from the published records"
	@echo "make test                     run every test"
	@echo "make reproduce SIZE=quick  train every run anew, then build the book from them"
	@echo "make figure NAME=...          run one notebook of notebooks/"
	@echo "make benchmark                time everything on this machine, for the book's page Speed"
	@echo "make lab                      open the notebooks in JupyterLab"
	@echo "make lint                     ruff and mypy"

book: .venv/installed
	$(BIN)/sfc book --jobs $(JOBS)

test: .venv/installed
	$(BIN)/python -m pytest

# Its own store: nothing published or trained before is used. Interrupted, it goes on
# where it stopped; remove the folder to start over.
reproduce: .venv/installed
	SFC_RUNS_DIR=$(CURDIR)/runs/reproduce-$(SIZE) $(BIN)/sfc book --size $(SIZE) --no-published --jobs $(JOBS)

figure: .venv/installed
	$(BIN)/sfc notebook $(NAME) -o book/_executed/$(NAME).ipynb

# On an idle machine: about a quarter of an hour.
benchmark: .venv/installed
	$(BIN)/python benchmarks/run.py

lab: .venv/installed
	$(BIN)/jupyter lab notebooks

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The parts of the README that come from the records: its picture and its table.
readme: .venv/installed
	$(BIN)/python benchmarks/readme.py

lock:
	uv pip compile pyproject.toml --extra book --extra jax --extra dev --extra cluster --universal \
	  --fork-strategy fewest --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --output-file requirements.lock

clean:
	rm -rf .venv book/_build book/_executed book/assets

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	touch $@
