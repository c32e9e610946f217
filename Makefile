# make demo and make test work on a fresh Debian or Ubuntu with Python >= 3.11 (and its venv), git and make.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/pip --quiet --disable-pip-version-check install --constraint constraints.txt

.PHONY: demo test lint bench faults clean

demo: .venv/ready
	@scripts/need sshd
	@$(BIN)/liftlock demo

test: .venv/ready-dev
	@scripts/need sshd postgresql
	$(BIN)/pytest --cov --cov-report=term:skip-covered

lint: .venv/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck scripts/need src/liftlock/adapters/host/*.sh src/liftlock/adapters/methods/*.sh

bench: .venv/ready-dev
	@scripts/need sshd
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	@scripts/need python $(PYTHON)
	@$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/ready-dev: .venv/ready
	$(PIP) --editable '.[dev]'
	@touch $@
