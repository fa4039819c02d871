# Everything a user or a CI machine needs, from nothing but git, make and Python 3.10-3.13:
#   make demo     sets up .venv and runs the main job
#   make test     sets up .venv and runs every check
# PYTHON=python3.12 chooses the interpreter of a new environment, VENV=folder another place for it.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
UV     := .uv/uv
LOWEST := .venv-lowest

# Two workers with one thread each: small models spend their time on barriers when threads share the cores.
WORKERS   ?= 2
XDIST     := -n $(WORKERS) --dist loadfile
# In their own order: the files with the longest tests have the fewest, and would come last, on one worker.
UNIT      := $(XDIST) --no-loadscope-reorder tests
NBVAL     := --nbval-lax --nbval-current-env --nbval-cell-timeout=300 --nbval-kernel-startup-timeout=120
CHAPTERS  := $(wildcard book/*.ipynb)
LOCK      := --universal --python-version 3.10 --extra dev --extra book --no-emit-index-url --no-header --no-annotate

export OMP_NUM_THREADS ?= 1
export UV_HTTP_TIMEOUT ?= 300
export UV_PYTHON_DOWNLOADS := never
export PYTHON

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help setup demo test lint types unit test-kernels notebooks book book-test colab-test test-lowest kit kit-test lock clean

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: $(READY)  ## create the environment .venv (the other targets do it by themselves)

demo: $(READY)  ## the main job: fine-tune the small model, compare before and after (runs/demo/report.html)
	$(BIN)/ivtutorial demo

# One sub-make after another, so that the cheap checks come first and the last words are pytest's, also under make -j.
test: $(READY)  ## every check: lint, format, types, unit tests, notebooks
	@for check in lint types unit notebooks; do $(MAKE) --no-print-directory $$check || exit 1; done

lint: $(READY)  ## ruff: lint and format; import-linter: imports go one way
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports --no-logo

types: $(READY)  ## mypy
	$(BIN)/mypy ivtutorial

unit: $(READY)  ## pytest tests/ (a larger set of golden values: IVTUTORIAL_GOLDEN=folder)
	HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(UNIT)

# KERNELS=avx2: some of the settings; NOTEBOOKS=1: the chapters, too; RECORD=file: another place for what was run.
test-kernels: $(READY)  ## unit tests with the kernels and threads of other processors (long; NOTEBOOKS=1: the chapters, too)
	HF_HUB_OFFLINE=1 $(BIN)/python scripts/test_kernels.py $(if $(KERNELS),--only $(KERNELS)) \
		$(if $(RECORD),--record $(RECORD)) $(if $(NOTEBOOKS),--notebooks="$(XDIST) $(NBVAL) $(CHAPTERS)") -- $(UNIT)

notebooks: $(READY)  ## run every notebook of the book
	$(if $(CHAPTERS),HF_HUB_OFFLINE=1 $(BIN)/python -m pytest $(XDIST) $(NBVAL) $(CHAPTERS),@echo "no notebooks yet")

book: $(READY)  ## build the site into _build/html
	$(BIN)/python scripts/build_book.py --workers $(WORKERS)

book-test: $(READY)  ## look at every page of the built site in a browser (needs `make book` and Chromium)
	@test -f _build/html/index.html || { echo "make: no site in _build/html: run 'make book' first" >&2; exit 1; }
	$(BIN)/python -m pytest -q -p no:xdist tests/book/site_in_browser.py

colab-test: $(READY)  ## ask pip whether installing the package would change a newer torch or numpy
	$(BIN)/python scripts/check_colab.py

test-lowest: $(LOWEST)/.ready  ## unit tests with the oldest allowed versions (PYTHON from 3.10 to 3.12)
	$(LOWEST)/bin/python -m pytest $(UNIT)  # not HF_HUB_OFFLINE=1: old diffusers then refuse local folders too

kit: $(READY)  ## an archive for a machine without network, with what it lacks (dist/ivtutorial-kit.tar.gz, dist/run.sh)
	$(BIN)/python scripts/make_kit.py --uv $(UV)

kit-test: kit  ## unpack the kit and rehearse it with what a GPU machine has, without a network (needs Python 3.12)
	$(BIN)/python scripts/rehearse_kit.py --uv $(UV)

lock: $(UV)  ## renew requirements.lock after a change of the dependencies in pyproject.toml
	$(UV) pip compile --quiet --upgrade $(LOCK) --output-file requirements.lock pyproject.toml

clean:  ## remove the environments and everything built; runs/ stays
	rm -rf $(VENV) $(LOWEST) .uv .hpsv2 _build build dist .mypy_cache .pytest_cache .ruff_cache

# Made again when the lock or the package's metadata changes. The stamp comes last: a broken set-up is done again.
# Compiled at once: where PYTHONDONTWRITEBYTECODE is set, every process would compile torch and diffusers for itself,
# and an import takes 18 s of the processor in place of 6.
$(READY): requirements.lock pyproject.toml | $(UV)
	@test -x $(BIN)/python || { rm -rf $(VENV) && $(UV) venv --quiet --python "$$(cat .uv/python)" $(VENV); }
	@echo "make: installing the pinned environment into $(VENV) (several GB on Linux: minutes the first time)"
	@$(UV) pip sync --quiet --compile-bytecode --python $(BIN)/python requirements.lock
	@$(UV) pip install --quiet --python $(BIN)/python --no-deps --no-build-isolation --editable .
	@touch $@

$(LOWEST)/.ready: pyproject.toml | $(UV)
	rm -rf $(LOWEST) && $(UV) venv --quiet --python "$$(cat .uv/python)" $(LOWEST)
	$(UV) pip install --quiet --python $(LOWEST)/bin/python --resolution lowest-direct --editable '.[dev,book]'
	@touch $@

# Finds uv or installs it below .uv, and checks the interpreter. See .ci/uv.
$(UV):
	@sh .ci/uv
