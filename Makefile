# make train   train the whole configuration        (options: make train ARGS="--total-episodes 100")
# make test    linter, types and tests
# make demo    one outage, three controllers, a page to look at
#
# Both create .venv and install into it first, when .venv is missing or setup.cfg, pyproject.toml or
# constraints.txt have changed since. Without such a change nothing is installed and no network is needed.
#
# PyPI serves a CUDA build of torch of several GB on Linux. For the CPU build, some 200 MB, name its index:
#     make train PIP_ARGS="--extra-index-url https://download.pytorch.org/whl/cpu"
#
# Other extras of setup.cfg, as continuous integration names them:
#     make test EXTRAS=test,ray

SHELL := /bin/bash
VENV := .venv
PYTHON := $(VENV)/bin/python
EXTRAS ?= test
# One for every choice of extras: another choice installs.
STAMP := $(VENV)/.installed-$(EXTRAS)
PIP_ARGS ?=
ARGS ?=
# Two workers share the memory bandwidth of two cores well; every worker runs one thread (tests/conftest.py).
WORKERS ?= 2

# Asks about the pins in constraints.txt from an environment of its own, so that it changes none of them.
AUDIT := .venv-audit
PIP_AUDIT := pip-audit==2.10.1

.PHONY: help setup demo train results test test-slow fuzz kills soak audit commands lint format coverage constraints clean

help:
	@echo "make train      train 1000 episodes of 500 steps; results in runs/ and checkpoints/"
	@echo "make results    make baselines, shipped policies and their tables anew, and say what differs; under three hours"
	@echo "                (ARGS=--studies: the long studies as well, a night)"
	@echo "make demo       an outage in the evening under three controllers, as a page in the browser"
	@echo "make test       linter, types and tests, in a few minutes"
	@echo "make test-slow  the long tests as well"
	@echo "make fuzz       10,000 damaged inputs of each kind; every one has to end in one clear line"
	@echo "make kills      1,000 kills at random instants; every run has to end as if it had not been killed"
	@echo "make soak       100,000,000 steps of the reduced model and 2,000,000 of the full one; nothing may go wrong"
	@echo "make audit      known vulnerabilities of the pinned packages, by pip-audit; needs the network"
	@echo "make commands   every command that README and documents print, for real; some minutes"
	@echo "make docs       the documents with an API reference as a site, in site/"
	@echo "make lint       linter and types only"
	@echo "make format     let ruff rewrite the sources"
	@echo "make coverage   tests with a coverage report"
	@echo "make clean      remove caches and .venv; runs/ and checkpoints/ stay"

setup: $(STAMP)

$(STAMP): setup.cfg pyproject.toml constraints.txt
	@set -euo pipefail; \
	if [ ! -x $(PYTHON) ]; then \
	    found=""; \
	    for candidate in python3.11 python3 python; do \
	        if command -v $$candidate >/dev/null 2>&1 && \
	           $$candidate -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then \
	            found=$$candidate; break; \
	        fi; \
	    done; \
	    if [ -z "$$found" ]; then \
	        echo "error: no Python 3.11 or newer found as python3.11, python3 or python; install Python 3.11 and run make again" >&2; \
	        exit 1; \
	    fi; \
	    echo "== creating $(VENV) with $$($$found --version)"; \
	    if ! $$found -m venv $(VENV); then \
	        rm -rf $(VENV); \
	        echo "error: $$found cannot create a virtual environment; on Debian and Ubuntu install python3.11-venv" >&2; \
	        exit 1; \
	    fi; \
	fi; \
	echo "== installing into $(VENV); the first time this downloads several hundred MB and takes some minutes"; \
	$(PYTHON) -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt setuptools; \
	$(PYTHON) -m pip install --quiet $(PIP_ARGS) --constraint constraints.txt --no-build-isolation --editable '.[$(EXTRAS)]'; \
	echo "== compiling the numerical kernels and reading the year of load, wind and sun, once"; \
	$(PYTHON) -c 'from marl.environment import make_batch; [make_batch("training", n) for n in (1, 2)]'; \
	touch $@

demo: $(STAMP)
	@$(PYTHON) scripts/demo.py $(ARGS)

docs: $(STAMP)
	@NO_MKDOCS_2_WARNING=1 $(PYTHON) -m mkdocs build --strict --quiet
	@echo "site/index.html; with its search: $(PYTHON) -m http.server -d site"

train: $(STAMP)
	$(PYTHON) scripts/train_mappo.py $(ARGS)

results: $(STAMP)
	@$(PYTHON) scripts/make_results.py $(ARGS)

test: lint
	@echo "== tests: pytest with $(WORKERS) workers"
	@$(PYTHON) -m pytest -n $(WORKERS) $(ARGS)

test-slow: lint
	@echo "== tests, slow ones included: pytest with $(WORKERS) workers"
	@$(PYTHON) -m pytest -n $(WORKERS) -m "slow or not slow" $(ARGS)

fuzz: $(STAMP)
	@$(PYTHON) scripts/fuzz.py --json results/fuzz.json $(ARGS)

kills: $(STAMP)
	@$(PYTHON) scripts/kills.py --json results/kills.json $(ARGS)

soak: $(STAMP)
	@$(PYTHON) scripts/soak.py --json results/soak.json $(ARGS)

# pip-audit alone ends well where it could ask about nothing: --strict makes that a failure.
audit: $(STAMP)
	@set -euo pipefail; \
	if ! $(AUDIT)/bin/python -m pip show --quiet $(firstword $(subst ==, ,$(PIP_AUDIT))) 2>/dev/null; then \
	    echo "== installing $(PIP_AUDIT) into $(AUDIT)"; \
	    if ! { $(PYTHON) -m venv $(AUDIT) && $(AUDIT)/bin/python -m pip install --quiet $(PIP_ARGS) '$(PIP_AUDIT)'; }; then \
	        rm -rf $(AUDIT); \
	        echo "error: $(PIP_AUDIT) cannot be installed: no package index is reached" >&2; exit 2; \
	    fi; \
	fi; \
	status=0; \
	said=$$($(AUDIT)/bin/pip-audit --strict --requirement constraints.txt --no-deps --disable-pip \
	    --progress-spinner off $(ARGS) 2>&1) || status=$$?; \
	if [ $$status -ne 0 ] && ! grep -q 'Found [0-9]* known' <<< "$$said"; then \
	    echo "error: no advisories could be asked for: $$(tail -n 1 <<< "$$said")" >&2; exit 2; \
	fi; \
	echo "$$said"; exit $$status

commands: $(STAMP)
	@$(PYTHON) scripts/try_documents.py $(ARGS)

lint: $(STAMP)
	@echo "== linter: ruff"
	@$(PYTHON) -m ruff check .
	@echo "== types: mypy"
	@$(PYTHON) -m mypy

format: $(STAMP)
	@$(PYTHON) -m ruff check --fix .
	@$(PYTHON) -m ruff format .

coverage: $(STAMP)
	@$(PYTHON) -m pytest -n $(WORKERS) --cov --cov-report=term-missing $(ARGS)

# The comment at the head of constraints.txt stays; the pins are replaced by what .venv holds now.
constraints: $(STAMP)
	@grep '^#' constraints.txt > constraints.new
	@$(PYTHON) -m pip freeze --all --exclude pip --exclude-editable \
	    | sed 's/^\(torch==[0-9.]*\)+.*/\1/' | LC_ALL=C sort -f >> constraints.new
	@mv constraints.new constraints.txt
	@touch $(STAMP)

clean:
	rm -rf $(VENV) $(AUDIT) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
