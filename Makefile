# Everything here needs only git, make and python3 >= 3.11; the first target run builds .venv from the hashed lock.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# Two worker processes per core keep both cores busy: most tests wait for sockets.
JOBS ?= 4
LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version 3.11
# WaveSpeed's own clients, which the gate drives: an environment each.
CLIENTS := python-current python-1.0.8

.PHONY: help run test check format bench lock clean

help: ## Show this help
	@echo "Breakwater: make <target>"
	@grep -hE '^[a-z.]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

run: .venv ## Run the whole system on this machine and watch one video go through (Ctrl-C ends it)
	@exec $(BIN)/breakwater dev

test: .venv ## Run unit, integration and journey tests (under two minutes)
	@$(BIN)/pytest -n $(JOBS) --dist worksteal $(PYTEST_ARGS)

check: .venv ## Lint, types, layers and declared dependencies
	@echo "== lint" && $(BIN)/ruff check . && $(BIN)/ruff format --check .
	@echo "== types" && $(BIN)/mypy
	@echo "== layers" && $(BIN)/lint-imports
	@echo "== dependencies" && $(BIN)/deptry .
	@echo "All checks passed. Next: make test"

format: .venv ## Format the code and mend what lint can mend
	@$(BIN)/ruff check --fix . && $(BIN)/ruff format .

bench: .venv ## Measure against contestants started in the same run (BENCH=name for one; ROUND_S=0.3 to try it)
	@$(BIN)/python -m benchmarks $(BENCH)

lock: .venv ## Resolve pyproject.toml into the hashed lock files again
	@$(LOCK) pyproject.toml -o requirements.lock
	@$(LOCK) pyproject.toml --extra dev --extra embedded -o requirements-dev.lock
	@for client in $(CLIENTS); do $(LOCK) tests/clients/$$client.in -o tests/clients/$$client.lock; done
	@$(LOCK) tests/contract/requirements.in -o tests/contract/requirements.lock
	@$(LOCK) deploy/build.in -o deploy/build.lock
	@for tool in image/lint image/sbom compose/requirements chart/validate chart/checkov; do $(LOCK) tests/$$tool.in -o tests/$$tool.lock; done
	@echo "Locks written. Next: make test"

clean: ## Remove the environment and every cache
	@rm -rf .venv tests/*/.venv benchmarks/contestants/.venv tests/*/node_modules deploy/dashboards/node_modules deploy/dashboards/build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis dist build *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
	@echo "Clean. Next: make run"

.venv: .venv/.installed ## Build the environment alone

# The stamp: rebuilt when the lock changes, so that a pull is enough.
.venv/.installed: requirements-dev.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit("Breakwater needs Python 3.11 or newer; this is %s. Try: make PYTHON=python3.12 ..." % sys.version.split()[0] if sys.version_info < (3, 11) else 0)'
	@echo "Building .venv from requirements-dev.lock (once; under a minute) ..."
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --retries 5 --require-hashes -r requirements-dev.lock
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@
