# From a fresh clone: `make book` builds the book, `make test` runs every test.
# Both first set up .venv from requirements.lock. `make help` lists the rest.

PYTHON ?= python3
SIZE ?= quick
NAME ?= figure1_performance
JOBS ?= 2
BIN := .venv/bin
UNTRAINED := tests/genomics tests/nn tests/datasets tests/test_files.py tests/runs/test_spec.py \
  tests/own/test_files.py tests/own/test_splitting.py tests/pages/test_claims.py \
  tests/pages/test_figure1_performance.py tests/pages/test_figure4_positional_weights.py \
  tests/pages/test_notebook.py

.PHONY: help book test reproduce figure report benchmark lab lint check-book lowest backends \
  lock readme clean

help:
	@echo "make book                  build the book from the published records"
	@echo "make test                  run every test, in two processes"
	@echo "make reproduce SIZE=quick  train every run anew, then build the book from them;"
	@echo "                           sizes: smoke, quick, standard, full"
	@echo "make figure NAME=...       run one notebook of notebooks/"
	@echo "make report                the replication report, as report.pdf (needs Chromium)"
	@echo "make benchmark             time everything on this machine, for the book's page Speed"
	@echo "make lab                   open the playground, and the other notebooks, in JupyterLab"
	@echo "make lint                  ruff, mypy, and the arrows between the rooms"
	@echo "make check-book            every page and the playground in a real browser"
	@echo "make lowest                the tests without training on the oldest allowed libraries"
	@echo "make backends              install without a backend, with JAX, with torch: size, a run"
	@echo "make lock                  pin requirements.lock and Binder's anew"
	@echo "make readme                the README's picture and minutes, from the records"

book: .venv/installed
	$(BIN)/sfc book --jobs $(JOBS)

test: .venv/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

# Its own store: nothing published or trained before is used. Interrupted, it goes on
# where it stopped; remove the folder to start over.
reproduce: .venv/installed
	SFC_RUNS_DIR=$(CURDIR)/runs/reproduce-$(SIZE) $(BIN)/sfc book --size $(SIZE) --no-published --jobs $(JOBS)

figure: .venv/installed
	$(BIN)/sfc notebook $(NAME) -o book/_executed/$(NAME).ipynb

# On an idle machine: about a quarter of an hour.
benchmark: .venv/installed
	$(BIN)/python benchmarks/run.py

report: .venv/installed
	$(BIN)/sfc report -o report.pdf

lab: .venv/installed
	$(BIN)/jupyter lab notebooks/playground.ipynb

lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache --no-logo

# Every page in a real browser, and the playground in JupyterLab: needs Debian's chromium.
check-book: .venv/installed
	SFC_REQUIRE_CHROMIUM=1 $(BIN)/python -m pytest -m "not installs" \
	  tests/pages/test_book.py tests/pages/test_method.py tests/pages/test_explorer.py \
	  tests/pages/test_sequence.py tests/pages/test_figure3_importance.py \
	  tests/pages/test_figure4_positional_weights.py tests/whole/test_lab.py

# The lower bounds of pyproject.toml hold: a new environment of the oldest releases.
# Old releases may warn of what newer ones changed.
lowest: .venv/installed
	$(BIN)/uv venv --clear --python 3.11 .venv/lowest
	$(BIN)/uv pip install --python .venv/lowest --resolution lowest-direct -e '.[tensorflow,book,cluster,dev]'
	.venv/lowest/bin/python -m pytest -n 2 --dist loadfile -o filterwarnings=default $(UNTRAINED)

# Needs the network, and some minutes for each backend.
backends: .venv/installed
	$(BIN)/python -m pytest -m installs -s tests/whole/test_installs.py

# The parts of the README that come from the records: its picture and its table.
readme: .venv/installed
	$(BIN)/python benchmarks/readme.py

lock: .venv/installed
	$(BIN)/uv pip compile pyproject.toml --extra tensorflow --extra jax --extra book --extra cluster \
	  --extra dev --universal --fork-strategy fewest --python-version 3.11 --generate-hashes \
	  --no-header --no-annotate --output-file requirements.lock
	$(BIN)/uv pip compile pyproject.toml binder/requirements.in --constraints requirements.lock \
	  --universal --python-version 3.11 --no-header --no-annotate \
	  --output-file binder/requirements.txt

clean:
	rm -rf .venv book/_build book/_executed book/assets

.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' || \
	  { echo "Needs Python 3.11, 3.12 or 3.13; $(PYTHON) is $$($(PYTHON) --version). Try: make PYTHON=python3.12"; exit 1; }
	$(PYTHON) -m venv --clear .venv
	sed -n '/^uv==/,/[^\\]$$/p' requirements.lock > .venv/uv.lock
	$(BIN)/python -m pip install --quiet --require-hashes -r .venv/uv.lock
	$(BIN)/uv pip install --python .venv --compile-bytecode --require-hashes -r requirements.lock || \
	  $(BIN)/python -m pip install --require-hashes -r requirements.lock  # through pip's own settings
	$(BIN)/python -m pip install --no-deps --no-build-isolation -e .
	touch $@
