# The two commands of the README are `make demo` and `make test`; both install what they need first.
PYTHON ?= python3
VENV := .venv
EMULATOR := .venv-emulator
BIN := $(VENV)/bin
UV ?= uv
PYTEST := $(BIN)/python -m pytest

# This machine or CI may forbid bytecode; without it every start would compile for 5-30 s.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: setup demo test test-all lint audit lock clean

setup: $(VENV)/.installed $(EMULATOR)/.installed

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	$(PYTHON) -c 'import sys; assert sys.version_info >= (3, 11), "fraudline needs Python 3.11 or newer: make PYTHON=python3.12 ..."'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --compile --no-deps --require-hashes --requirement requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/python -m compileall -q -j 0 $(VENV)/lib fraudline tasks flows expectations || true
	touch $@

$(EMULATOR)/.installed: requirements/emulator.txt
	$(PYTHON) -m venv $(EMULATOR)
	$(EMULATOR)/bin/python -m pip install --quiet --disable-pip-version-check --compile --no-deps --require-hashes --requirement requirements/emulator.txt
	touch $@

demo: setup
	$(BIN)/fraudline demo $(if $(DATA),--data "$(DATA)") $(if $(DEBUG),--debug)

# Two at a time: most tests wait for a server. Those of a file stay together, they share what they set up.
test: setup lint
	$(PYTEST) -m "not long" -n 2 --dist loadfile

test-all: setup lint
	$(PYTEST)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Known vulnerabilities in what is locked; needs a vulnerability service, and fails where it learns nothing of a package.
audit: setup
	for file in requirements/dev.txt requirements/emulator.txt infra/docker/requirements.txt; do \
		$(BIN)/pip-audit --strict --require-hashes --disable-pip --progress-spinner off --requirement $$file || exit 1; \
	done

lock:
	$(UV) pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --output-file requirements/dev.txt
	$(UV) pip compile requirements/emulator.in --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header --output-file requirements/emulator.txt

clean:
	rm -rf out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
