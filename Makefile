# Everything is installed from the locked files in requirements/, into .venv. ARGS goes to the program a target runs:
#   make demo ARGS=--keep      make test ARGS="-k rollout -x -n 0"      make lock ARGS=--upgrade

PYTHON ?= python3
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
# The pip of $(PYTHON) works on the environment from outside: Debian's Python has a pip, but no ensurepip to copy one.
PIP := $(PYTHON) -m pip --python $(BIN)/python --disable-pip-version-check
INSTALL := $(PIP) install --quiet --no-input
# A lock says what the public index has, whatever else the pip of this machine is set to look at.
COMPILE := env -u PIP_CONSTRAINT -u PIP_EXTRA_INDEX_URL -u PIP_FIND_LINKS -u PIP_INDEX_URL PIP_CONFIG_FILE=/dev/null \
	CUSTOM_COMPILE_COMMAND="make lock" \
	$(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-build-isolation \
	--no-emit-index-url --no-emit-trusted-host --no-emit-find-links --no-emit-options

.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help demo test hunt runbook image-test check lint bench docs venv lock clean

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

demo: $(VENV)/demo.stamp ## a blue-green switch through a real Traefik, here and now, in under a minute
	$(BIN)/bluegreen demo $(ARGS)

test: $(VENV)/dev.stamp ## run all tests
	$(BIN)/python -m pytest -n auto $(ARGS)

hunt: $(VENV)/dev.stamp ## look for bugs with other and many more random worlds, stories and kills, for an hour
	BLUEGREEN_EXAMPLES=20000 BLUEGREEN_KILLS=300 BLUEGREEN_ROUNDS=200 BLUEGREEN_SEEDS=10000 \
		BLUEGREEN_FAULTS_S=300 BLUEGREEN_SWITCHES=50 BLUEGREEN_AWAY_S=60 \
		BLUEGREEN_ROLLOUTS=20 BLUEGREEN_STEP_KILLS=50 $(BIN)/python -m pytest -n auto \
		tests/rollout/test_properties.py tests/rollout/test_stories.py tests/*/test_mutations*.py tests/integration/test_crash.py \
		tests/integration/test_store_crash.py tests/store/etcd/test_simulation.py tests/integration/test_etcd_*.py \
		tests/integration/test_replicas.py tests/integration/test_replicas_daemons.py \
		tests/integration/test_secrets.py tests/integration/test_steps_under_load.py $(ARGS)

runbook: $(VENV)/dev.stamp ## play docs/replicas.md as it is written, on machines of namespaces, in some minutes
	BLUEGREEN_RUNBOOK=yes $(BIN)/python -m pytest -n 0 tests/integration/test_runbook.py $(ARGS)

image-test: $(VENV)/dev.stamp ## build the image, and take a release through compose.yaml and the stacks of deploy/, in half an hour
	BLUEGREEN_IMAGE_TEST=yes $(BIN)/python -m pytest -n 0 tests/integration/test_image.py tests/integration/test_stack.py $(ARGS)

check: lint test ## everything that must hold: format, lint, types, import contracts, tests

lint: $(VENV)/dev.stamp
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy --strict
	$(BIN)/lint-imports

bench: $(VENV)/dev.stamp ## measure all that docs/benchmarks.md shows, in some twenty minutes
	$(BIN)/python -m bench $(ARGS)

docs: $(VENV)/dev.stamp ## write docs/reference/ from the code
	$(BIN)/python -m docs.generate

venv: $(VENV)/dev.stamp ## make .venv for development, without running anything

lock: $(VENV)/dev.stamp ## bring requirements/ in step with pyproject.toml
	$(COMPILE) $(ARGS) --extra dev --extra demo --build-deps-for editable -o requirements/dev.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt -o requirements/runtime.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt --extra demo -o requirements/demo.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt --extra notify -o requirements/notify.txt pyproject.toml
	$(COMPILE) -c requirements/dev.txt --only-build-deps --build-deps-for editable -o requirements/build.txt pyproject.toml

clean: ## remove everything that was built, .venv too
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# --- the virtual environment: rebuilt when a locked file changes, else only added to -------------------------------

$(VENV)/venv.stamp: $(wildcard requirements/*.txt)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo '$(PYTHON) is no Python 3.11 or later. Name one: make $(MAKECMDGOALS) PYTHON=python3.11' >&2; exit 1; }
	@$(PYTHON) -c 'import pip, venv' || { \
		echo '$(PYTHON) lacks pip or venv: apt install python3-pip python3-venv, or $(PYTHON) -m ensurepip' >&2; exit 1; }
	$(PYTHON) -m venv --clear --without-pip $(VENV)
	$(INSTALL) --require-hashes -r requirements/build.txt
	@touch $@

$(VENV)/project.stamp: pyproject.toml $(VENV)/venv.stamp
	$(INSTALL) --no-deps --no-build-isolation --no-index --editable .
	@touch $@

$(VENV)/demo.stamp: $(VENV)/venv.stamp | $(VENV)/project.stamp
	$(INSTALL) --require-hashes -r requirements/demo.txt
	@touch $@

$(VENV)/dev.stamp: $(VENV)/venv.stamp | $(VENV)/project.stamp
	$(INSTALL) --require-hashes -r requirements/dev.txt
	@touch $@ $(VENV)/demo.stamp
