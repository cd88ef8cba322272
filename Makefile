# Two commands: `make demo` runs the deck, `make test` runs the tests.
# Each makes .venv by itself, with uv where it is on PATH, else with python3 -m venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SOURCES := $(shell find cassette dialects gateway recorder mockserver testing watch deck -type f ! -name '*.pyc' 2>/dev/null) pyproject.toml constraints.txt

comma := ,

.PHONY: demo test lint peers bench bench-docs clean

demo: $(VENV)/.tickdeck
	$(BIN)/tickdeck demo

test: $(VENV)/.tests
	$(BIN)/python -m pytest -n 2

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/zensical build --strict

# Upstreams that nobody here wrote, for the tests that put the recorder before them; without these they are skipped.
peers:
	@command -v nginx >/dev/null 2>&1 || apt-get install -y -q --no-install-recommends nginx-light >/dev/null 2>&1 \
		|| echo "nginx could not be installed: its tests are skipped"
	@test -d .peers/node_modules/@polygon.io || npm install --prefix .peers --no-fund --no-audit --silent ws@8 @polygon.io/client-js@8 \
		|| echo "ws and the vendor's npm client could not be installed: their tests are skipped"

bench: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py

# The same, and the table and the curves in docs/ are those of this run: on a machine with nothing else to do.
bench-docs: $(VENV)/.bench
	$(BIN)/python benchmarks/run.py --docs

$(BIN)/python:
	@echo "making $(VENV)"
	@if command -v uv >/dev/null 2>&1; then uv venv -q --python $(PYTHON) $(VENV); else $(PYTHON) -m venv $(VENV); fi

# The installed wheel is what runs: a checkout never shadows it. A file that was taken away must not
# come back from an earlier build, so build/lib goes first.
define INSTALL
	@echo "installing $(1) into $(VENV)"
	@rm -rf build/lib build/bdist.*
	@if command -v uv >/dev/null 2>&1; then uv pip install -q --python $(BIN)/python --reinstall-package tickdeck -c constraints.txt '$(1)'; \
	else $(BIN)/python -m pip install -q --disable-pip-version-check --no-input -c constraints.txt '$(1)'; fi
endef

$(VENV)/.tickdeck: $(SOURCES) | $(BIN)/python
	$(call INSTALL,.)
	@touch $@

$(VENV)/.tests: $(SOURCES) | $(BIN)/python
	$(call INSTALL,.[test])
	@touch $@ $(VENV)/.tickdeck

$(VENV)/.bench: $(SOURCES) | $(BIN)/python
	$(call INSTALL,.[bench])
	@touch $@ $(VENV)/.tickdeck

$(VENV)/.lint: $(SOURCES) | $(BIN)/python
	$(call INSTALL,.[test$(comma)lint])
	@touch $@ $(VENV)/.tests $(VENV)/.tickdeck

clean:
	rm -rf $(VENV) .peers build dist *.egg-info
