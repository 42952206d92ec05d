# The front door. `make help` lists everything.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
WORKERS ?= 2
MINUTES ?= 10
FOLDERS := schemas producers sql consumers replay recommendations dashboards local bench cli tests examples

.DEFAULT_GOAL := help
.PHONY: help install demo test test-timescaledb test-faults test-mutations load soak check coverage bench bench-compare bench-views bench-storage bench-recorder bench-comparison bench-yielding pictures screenshots format lint types imports schema lock clean

help: ## list the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

install: $(VENV)/.installed ## set up .venv, with arc-eval-db in its bin, and what the embedded stack needs

$(VENV)/.installed: requirements/dev.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements/dev.txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	$(BIN)/arc-eval-db local fetch
	@touch $@

demo: install ## the whole path at work: sandboxes, Kafka, consumer, rows (about two minutes)
	@$(BIN)/arc-eval-db demo

test: install ## all tests but the long ones, in WORKERS processes with servers of their own
	$(BIN)/python $(if $(COVERAGE),-m coverage run) -m pytest -n $(WORKERS) --dist loadgroup $(PYTEST_ARGUMENTS)

test-timescaledb: install ## the database tests against a server: make test-timescaledb DATABASE_URL=postgresql://...
	@test -n "$(DATABASE_URL)" || { echo "name the server: make test-timescaledb DATABASE_URL=postgresql://user:password@host:port/postgres"; exit 2; }
	ARC_EVAL_TEST_DATABASE_URL="$(DATABASE_URL)" $(BIN)/python -m pytest -m database $(PYTEST_ARGUMENTS)

test-faults: install ## every fault and 30 seeds of random ones, then each guard taken away in turn (docs/reliability.md)
	$(BIN)/python -m pytest --long tests/fault $(PYTEST_ARGUMENTS)
	$(MAKE) test-mutations

test-mutations: install ## take each guard away in turn: a test must fail without it
	PYTHONPATH=tests $(BIN)/python -m fault.mutations $(MUTATION_ARGUMENTS)

load: install ## 1,000 executions at once, with a consumer killed and the database restarted
	PYTHONPATH=tests $(BIN)/python -m fault.load $(LOAD_ARGUMENTS)

soak: install ## a steady load that fails on drift: make soak MINUTES=60
	PYTHONPATH=tests $(BIN)/python -m fault.soak --minutes $(MINUTES) $(SOAK_ARGUMENTS)

check: lint types imports coverage ## everything that CI checks

coverage: install ## the tests, with at least 90 % of the package covered
	$(BIN)/coverage erase
	$(MAKE) test COVERAGE=1
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report --fail-under=90

bench-yielding: install ## does a replay of a million events stay out of the way of the living? (5 minutes)
	PYTHONPATH=tests $(BIN)/python -m benchmarks.yielding $(BENCH_ARGUMENTS)

bench-views bench-storage bench-recorder bench-comparison: install ## how fast, how small (docs/performance.md): make bench-views DATABASE_URL=postgresql://...
	@test -n "$(DATABASE_URL)" || { echo "name the server: make $@ DATABASE_URL=postgresql://user:password@host:port/postgres"; exit 2; }
	PYTHONPATH=tests $(BIN)/python -m benchmarks.$(@:bench-%=%) --url "$(DATABASE_URL)" $(BENCH_ARGUMENTS)

bench: install ## how fast everything is, on an embedded stack (15 minutes; docs/performance.md): make bench BENCH_ARGUMENTS="sink"
	@$(BIN)/arc-eval-db bench $(BENCH_ARGUMENTS)

bench-compare: install ## two revisions in one interleaved run ("." is the working tree): make bench-compare A=HEAD~1 B=.
	@test -n "$(A)" -a -n "$(B)" || { echo "name two revisions: make $@ A=HEAD~1 B=."; exit 2; }
	$(BIN)/python -m arc_eval_db.bench.compare "$(A)" "$(B)" $(BENCH_ARGUMENTS)

pictures: install ## draw the pictures of docs/views.md again: make pictures DATABASE_URL=postgresql://...
	PYTHONPATH=tests $(BIN)/python -m support.pictures "$(DATABASE_URL)"

screenshots: install ## draw the pictures of docs/dashboard.md again, from the demo's data (5 minutes)
	PYTHONPATH=tests $(BIN)/python -m support.screenshots $(SCREENSHOT_ARGUMENTS)

format: install ## format the code
	$(BIN)/ruff check --fix $(FOLDERS)
	$(BIN)/ruff format $(FOLDERS)

lint: install ## style
	$(BIN)/ruff check $(FOLDERS)
	$(BIN)/ruff format --check $(FOLDERS)

types: install ## types
	$(BIN)/mypy

imports: install ## which folder may import which
	$(BIN)/lint-imports --no-logo

schema: install ## regenerate JSON Schemas, examples, AsyncAPI, OpenAPI, the metrics page, docs/health.md's tables and schema.*.sql
	PYTHONPATH=tests $(BIN)/python -m support.regenerate

lock: ## pin every dependency again, with hashes (needs uv)
	uv pip compile --universal --python-version 3.11 --generate-hashes --no-header --no-annotate --no-emit-index-url \
		--extra dev --no-emit-package arc-eval-db pyproject.toml --output-file requirements/dev.txt

clean: ## remove what was made, the environment too
	rm -rf $(VENV) .arc-eval-db .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage .coverage.*
