# Two commands: `make demo` and `make test`. Both set everything up in .venv first, once.
PYTHON ?= python3
ifeq ($(OS),Windows_NT)
BIN := .venv/Scripts
else
BIN := .venv/bin
endif
STAMP := .venv/.installed
# One thread for each of the two test workers: more would only get in each other's way.
# numba sets the number for torch as well, when it starts its own.
TESTS := OMP_NUM_THREADS=1 MKL_NUM_THREADS=1 NUMBA_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal
# deepinv asks for torchvision, which comes for the wheels of torch with CUDA alone; the bridge and
# its tests do without.
BRIDGED := deepinv einops natsort

.DEFAULT_GOAL := help
.PHONY: help setup demo test coverage check bench figures-check docs clean

help: ## Show what can be made
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

setup: $(STAMP) ## Make .venv with the pinned versions

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit(None if v >= (3, 11) else \
	"Majorant needs Python 3.11 or newer; this is %d.%d. Name another: make PYTHON=python3.12" % v[:2])'
	@echo "Setting up .venv (once, about a minute)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[test,check]"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps \
		--constraint constraints.txt $(BRIDGED)
	@touch $@

demo: $(STAMP) ## Image a simulated evoked response with known sources; writes out/demo
	@$(BIN)/majorant image --demo --out out/demo --overwrite

test: $(STAMP) ## Run the tests
	@$(TESTS)

# Of what the guarantees rest on: energies, bounds, the guard, classical solvers, networks, metrics.
COVERED := energies majorants solvers networks metrics
coverage: $(STAMP) ## Measure which lines and branches of the solvers' rooms their own tests run
	@$(BIN)/python -c 'import pytest_cov' 2>/dev/null || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[coverage]"
	@$(TESTS) $(COVERED:%=tests/%) tests/test_problem.py tests/test_linalg.py \
		$(COVERED:%=--cov=src/majorant/%) --cov-branch --cov-report=term

check: $(STAMP) ## Lint, types, and the order of the rooms
	@$(BIN)/ruff check src tests examples docs benchmarks
	@$(BIN)/ruff format --check src tests examples benchmarks docs/*.py docs/images
	@$(BIN)/pyright src
	@$(BIN)/lint-imports

bench: $(STAMP) ## Measure speed, as ratios side by side
	@$(BIN)/python -m benchmarks.speed

figures-check: $(STAMP) ## Remake the numbers of README and docs and compare them; hours
	@$(BIN)/python -m benchmarks.figures_check

# The site has packages of its own, installed once, when it is first asked for.
docs: $(STAMP) ## Build the documentation site; warnings are errors
	@$(BIN)/python -c 'import furo, myst_parser, numpydoc, sphinx_copybutton, sphinx_gallery' 2>/dev/null || \
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		--constraint constraints.txt --editable ".[docs]"
	@MPLBACKEND=agg OMP_NUM_THREADS=1 $(BIN)/python -m sphinx -W --keep-going -q docs docs/_build/html
	@echo docs/_build/html/index.html

clean: ## Remove what was built and written
	rm -rf .venv out docs/_build docs/made docs/generated docs/examples .pytest_cache .ruff_cache .hypothesis .coverage build dist
