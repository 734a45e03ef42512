# Everything that is done with this checkout. Needs Python 3.11 or newer, make and git; installs into .venv only.
.DEFAULT_GOAL := help
.PHONY: help demo test test-slow test-matrix lint docs clean run-venv dev-venv

VENV ?= .venv
RUNS ?= runs

# The first Python that is new enough; `make test PYTHON=/path/to/python` chooses another.
new_enough = $(shell $(1) -c 'import sys; print("yes" if sys.version_info >= (3, 11) else "no")' 2>/dev/null)
PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3.13 python3 python,$(if $(filter yes,$(call new_enough,$(name))),$(name))))

# An environment is reused until one of these two files changes.
STATE := $(shell cksum pyproject.toml constraints.txt | cksum)

# install FOLDER,EXTRAS,PYTHON: makes or updates an environment, and says so.
define install
	@if [ "$$(cat $(1)/.zoo-dev 2>/dev/null)" = "$(STATE)" ] || \
	    [ -z "$(2)" -a "$$(cat $(1)/.zoo-run 2>/dev/null)" = "$(STATE)" ]; then \
	  echo "== $(1): reused"; \
	else \
	  if [ -z "$(3)" ]; then echo "no Python 3.11 or newer was found: make $(MAKECMDGOALS) PYTHON=/path/to/python" >&2; exit 2; fi; \
	  if [ ! -x $(1)/bin/pip ]; then echo "== $(1): made with $(3)"; $(3) -m venv $(1) || exit 1; fi; \
	  echo "== $(1): installing zoo$(2) and what it needs (the first time some minutes and 6 GB)"; \
	  $(1)/bin/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.$(2)' || exit 1; \
	  echo "$(STATE)" > $(1)/.zoo-$(if $(2),dev,run); \
	fi
endef

help:  ## what can be made
	@echo "make TARGET"
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## /\t/' | while IFS="$$(printf '\t')" read -r name text; do \
	  printf '  %-12s %s\n' "$$name" "$$text"; done

demo: run-venv  ## install, fine-tune on the embedded digits, say where the results are
	@folder=$(RUNS)/demo-$$(date +%Y-%m-%d-%H-%M-%S); \
	echo "== $(VENV)/bin/python -m zoo finetune run.dir=$$folder"; \
	$(VENV)/bin/python -m zoo finetune run.dir=$$folder && \
	echo "== results: $$folder (report/ to read, model/ to use, record.json for how it was made)"

test: dev-venv lint  ## every check of .ci/run: style, types, tests (some minutes)
	@echo "== pytest"
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n 2

test-slow: dev-venv  ## tests that install packages, start processes, or try many inputs
	@echo "== pytest, slow tests"
	@OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -m 'slow and not gpu' -n 2

test-matrix:  ## the tests on Python 3.12 and 3.13, where they are installed
	@for version in 3.12 3.13; do \
	  found=""; \
	  for python in "python$$version" "$$HOME"/.pyenv/versions/$$version*/bin/python; do \
	    if [ -z "$$found" ] && "$$python" -c 'import sys' >/dev/null 2>&1; then found="$$python"; fi; \
	  done; \
	  if [ -z "$$found" ]; then echo "== Python $$version: not installed, skipped"; continue; fi; \
	  echo "== Python $$version: $$found"; \
	  $(MAKE) --no-print-directory dev-venv VENV=.venv-$$version PYTHON="$$found" || exit 1; \
	  OMP_NUM_THREADS=1 .venv-$$version/bin/python -m pytest -n 2 || exit 1; \
	done

lint: dev-venv  ## style and types
	@echo "== ruff check"
	@$(VENV)/bin/ruff check .
	@echo "== ruff format --check"
	@$(VENV)/bin/ruff format --check -q .
	@echo "== mypy"
	@$(VENV)/bin/mypy

docs: dev-venv  ## write docs/hooks anew from the hookspecs and the contracts
	@$(VENV)/bin/python docs/write_hook_pages.py

clean:  ## remove what builds and tests leave; environments and runs stay
	rm -rf build dist zoo.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find zoo plugins conf tests benchmarks examples -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

run-venv:
	$(call install,$(VENV),,$(PYTHON))

dev-venv:
	$(call install,$(VENV),[dev],$(PYTHON))
