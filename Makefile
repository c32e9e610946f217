# make demo and make test work on a fresh Debian or Ubuntu with Python >= 3.11 (and its venv), git and make.
PYTHON ?= python3
BIN := .venv/bin
SEEN := $(CURDIR)/.faults.jsonl
PIP := $(BIN)/pip --quiet --disable-pip-version-check install --constraint constraints.txt

.PHONY: demo test lint bench faults clean

demo: .venv/ready
	@scripts/need sshd
	@$(BIN)/liftlock demo

test: .venv/ready-dev
	@scripts/need sshd postgresql
	$(BIN)/pytest --numprocesses 2 --dist loadfile --cov --cov-report=term:skip-covered

lint: .venv/ready-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/shellcheck scripts/need src/liftlock/adapters/host/*.sh src/liftlock/adapters/methods/*.sh

bench: .venv/ready-dev
	@scripts/need sshd
	$(BIN)/python -m benchmarks

# Every fault, LIFTLOCK_FAULT_ROUNDS times where that makes sense; docs/reliability.md is what it saw.
faults: .venv/ready-dev
	@scripts/need sshd postgresql strace faketime ip
	@rm -f $(SEEN)
	LIFTLOCK_FAULT_ROUNDS=$${LIFTLOCK_FAULT_ROUNDS:-2} LIFTLOCK_FAULT_RESULTS=$(SEEN) $(BIN)/pytest --numprocesses 2 --dist loadfile tests/faults
	$(BIN)/python tests/faults/reliability.py $(SEEN) docs/reliability.md

clean:
	rm -rf .venv .faults.jsonl .coverage* .mypy_cache .ruff_cache .pytest_cache .hypothesis

.venv/ready: pyproject.toml constraints.txt
	@scripts/need python $(PYTHON)
	@$(PYTHON) -m venv .venv
	$(PIP) --editable .
	@touch $@

.venv/ready-dev: .venv/ready
	$(PIP) --editable '.[dev]'
	@touch $@
