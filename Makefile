# A fresh machine needs Python and make. `make demo` shows what the package does, `make test` proves it.

PYTHON ?= python3
TESTS ?= tests
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
PACKAGE := setup.cfg pyproject.toml $(wildcard README.md) $(shell find mlflow_versioned_store -type f -not -name '*.pyc')

# pytest runs in an empty folder: there only the installed wheel can be imported, as it will be by its users.
ELSEWHERE := $(VENV)/elsewhere
RUN_TESTS = mkdir -p $(ELSEWHERE) && cd $(ELSEWHERE) && MVS_TEST_INSTALLED=1

.PHONY: help demo test test-quick servers lint format bench clean

help: ## Say what there is to make.
	@sed -n 's/^\([a-z%][^:]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 20

demo: $(VENV)/.demo ## Log three versions of a table into an embedded store and say what was gained.
	$(BIN)/python examples/churn.py

test: $(VENV)/.test servers ## Run all tests, against the installed wheel and real servers (TESTS=tests/… ARGS=… narrow it).
	$(RUN_TESTS) $(CURDIR)/$(BIN)/pytest -n 2 --dist loadfile $(addprefix $(CURDIR)/,$(TESTS)) $(ARGS)

test-quick: $(VENV)/.test ## Run the tests that take seconds, with the servers that are there.
	$(RUN_TESTS) $(CURDIR)/$(BIN)/pytest -n 2 --dist loadfile -m "not slow" $(addprefix $(CURDIR)/,$(TESTS)) $(ARGS)

test-mlflow-%: .venv-mlflow-%/.test servers ## Run the MLflow flows on another MLflow: test-mlflow-2.22, test-mlflow-3.5.
	$(RUN_TESTS) $(CURDIR)/.venv-mlflow-$*/bin/pytest -n 2 --dist loadfile $(CURDIR)/tests/mlflow_plugin/test_flows*.py $(ARGS)

servers: $(VENV)/.test ## Install the storage servers that the tests need and this machine lacks.
	@$(BIN)/python -m tests.servers install || echo "Without them: the end of the test run says what that means."

lint: $(VENV)/.dev ## Check style, formatting, types and import contracts.
	@status=0; for check in "ruff check" "ruff format --check" "mypy" "lint-imports --no-logo"; do \
		echo "$$check"; $(BIN)/$$check || status=1; \
	done; exit $$status

format: $(VENV)/.dev ## Format the code and mend what can be mended.
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

bench: $(VENV)/.test servers ## Measure against the stock S3 repository on a local MinIO.
	$(BIN)/python -m benchmarks $(ARGS)

clean: ## Remove the virtual environments and all that was built.
	rm -rf .venv .venv-* build dist *.egg-info .mypy_cache .pytest_cache .ruff_cache .import_linter_cache

# What setuptools leaves behind would go stale, into the next wheel, and pass for an installed package.
LEFTOVERS = build *.egg-info
define INSTALL
	test -x $(@D)/bin/python || $(PYTHON) -m venv $(@D)
	rm -rf $(LEFTOVERS)
	$(@D)/bin/python -m pip install --quiet --disable-pip-version-check $(WANTED)
	rm -rf $(LEFTOVERS)
	touch $@
endef

$(VENV)/.demo: WANTED = '.[demo]'
$(VENV)/.test: WANTED = '.[test]'
$(VENV)/.dev: WANTED = '.[test,dev]'
# What was released after an older MLflow can break it, though it does not say so: SQLAlchemy its import, OpenTelemetry
# its traces.
.venv-mlflow-%/.test: WANTED = '.[test]' 'mlflow == $*.*' 'sqlalchemy < 2.1' 'opentelemetry-sdk < 1.35'

$(VENV)/.demo $(VENV)/.test $(VENV)/.dev: $(PACKAGE)
	$(INSTALL)

.PRECIOUS: .venv-mlflow-%/.test
.venv-mlflow-%/.test: $(PACKAGE)
	$(INSTALL)
