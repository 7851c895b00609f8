# Altnet. `make` alone lists what there is.
SHELL := /bin/bash
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Each process that a test starts would compile every module anew.
unexport PYTHONDONTWRITEBYTECODE

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PARTS := libs/common services/registry services/keyd services/relay-agent services/altnet client sdk/python
PYTEST := $(BIN)/python -m pytest
# For two cores: a fifth of the time is waiting. With four, tests that count packets lose some beside the others.
WORKERS ?= 3

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z][a-z-]*:.*## /{printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# --- set-up -----------------------------------------------------------------------------------------------------

define install_packages
	@missing=$$(for p in $$(cat $(1)); do dpkg-query -W -f '$${Status}' $$p 2>/dev/null | grep -q 'ok installed' || echo $$p; done); \
	if [ -n "$$missing" ]; then \
	  if [ "$$(id -u)" != 0 ]; then echo "missing Debian packages:" $$missing; echo "as root: apt-get install --no-install-recommends" $$missing; exit 1; fi; \
	  echo "installing Debian packages:" $$missing; \
	  deploy/packages/install.sh $$missing; \
	fi
endef

.PHONY: packages test-packages
packages: # Debian packages that running needs
	$(call install_packages,deploy/packages/run.txt)

test-packages: packages # Debian packages that only tests need
	$(call install_packages,deploy/packages/test.txt)

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.main: requirements/main.txt $(addsuffix /pyproject.toml,$(PARTS)) | $(BIN)/python
	@echo "installing Python packages for running"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/main.txt
	@PATH="$(abspath $(BIN)):$$PATH" $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation $(addprefix -e ,$(PARTS))
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.main
	@echo "installing Python packages for testing"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/dev.txt
	@touch $@

.PHONY: setup
setup: packages $(VENV)/.main ## Install what running needs (Debian packages as root, a virtual environment)

.PHONY: setup-dev
setup-dev: test-packages $(VENV)/.dev ## Install what tests and development need as well

.PHONY: lock
lock: ## Choose newest versions and write the hashed requirements
	cd requirements && ../$(BIN)/uv pip compile -q --upgrade --generate-hashes --no-header --no-annotate --python-version 3.11 dev.in -o dev.txt
	cd requirements && ../$(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --python-version 3.11 main.in -c dev.txt -o main.txt
	cd requirements && ../$(BIN)/uv pip compile -q --generate-hashes --no-header --no-annotate --python-version 3.11 agent.in -c dev.txt -o agent.txt

# --- running ----------------------------------------------------------------------------------------------------

.PHONY: demo
demo: setup ## Build the lab and show the mesh live (ONCE=1: run the story to its end and exit)
	@$(BIN)/altnet demo $(if $(ONCE),--once)

.PHONY: up
up: $(VENV)/.main ## Run the whole control plane on embedded parts, without root
	@$(BIN)/altnet up

# --- checking ---------------------------------------------------------------------------------------------------

.PHONY: test
test: packages ## Everything but what waits for minutes (soak)
	@# Debian's packages and Python's have nothing to do with each other.
	@$(MAKE) --no-print-directory -j2 setup-dev
	@# Tests on servers and hosts leave a quarter of two processors idle. The virtual machine and the pure tests take
	@# that, and what they say comes after the others: the machine's has deadlines and goes beside the servers' tests,
	@# the pure ones have none and yield to everybody.
	@mkdir -p build; \
	$(MAKE) --no-print-directory test-kernel-wg >build/kernel-wg.txt 2>&1 & machine=$$!; \
	$(MAKE) --no-print-directory lint type || { code=$$?; wait; exit $$code; }; \
	YIELDING=1 $(MAKE) --no-print-directory test-pure >build/pure.txt 2>&1 & pure=$$!; \
	$(MAKE) --no-print-directory test-servers; servers=$$?; \
	wait $$machine; machine=$$?; cat build/kernel-wg.txt; \
	test $$((servers | machine)) -eq 0 && { $(MAKE) --no-print-directory test-hosts; hosts=$$?; }; \
	wait $$pure; pure=$$?; echo "== pure tests:"; cat build/pure.txt; exit $$((servers | machine | hosts | pure))

.PHONY: test-fast
test-fast: $(VENV)/.dev ## What needs neither root nor a server nor patience, in under a minute
	$(PYTEST) -q -n $(WORKERS) -m "not netns and not kernel_wg and not e2e and not slow and not server"

# Servers are killed and packets have deadlines of milliseconds in these suites, so a test may starve beside others. What
# fails is run again, alone: only what fails then, too, is a failure; the first one stays in the output, loudly.
define again
{ code=$$?; test $$code -eq 1 || exit $$code; \
  echo "== FAILED BESIDE OTHER TESTS (above); now again, each alone:"; \
  $(PYTEST) -q -n 0 --last-failed --last-failed-no-failures=none -m $(1); }
endef

PURE := "not netns and not kernel_wg and not e2e and not server"
SERVERS := "server and not netns and not kernel_wg and not e2e"
HOSTS := "(netns or e2e) and not kernel_wg and not soak"

.PHONY: test-pure
test-pure: $(VENV)/.dev ## Tests that need neither root nor a server (YIELDING=1: only while nobody else wants a processor)
	$(if $(YIELDING),chrt --idle 0) $(PYTEST) -q -n $(WORKERS) -p no:cacheprovider $(if $(YIELDING),--timeout 900) -m $(PURE)

.PHONY: test-servers
test-servers: $(VENV)/.dev ## Tests on real Postgres and NATS, without root
	$(PYTEST) -q -n $(WORKERS) -m $(SERVERS) || $(call again,$(SERVERS))

.PHONY: test-hosts
# Dozens of wireguard-go share two cores: with one working thread each they take a quarter less of them.
test-hosts: export GOMAXPROCS = 1
test-hosts: $(VENV)/.dev ## Tests on namespaces and whole processes: mostly waiting, a file at a time a worker (root)
	$(PYTEST) -q -n $(WORKERS) --dist loadfile --no-loadscope-reorder -m $(HOSTS) --durations=20 --durations-min=10 \
	  || $(call again,$(HOSTS))

.PHONY: soak
soak: setup-dev ## Tests that take minutes: WireGuard's own rekey, a rotation on the kernel's, every kill at every step (root)
	$(PYTEST) -q -n 0 -m "soak and not kernel_wg"
	@# Nothing asynchronous is tested there, and then the plugin for it leaves its loop unclosed.
	$(BIN)/python deploy/kernelvm/run.py -q -W ignore::pytest.PytestUnraisableExceptionWarning -m soak \
	  services/relay-agent/tests/test_rotation_netns.py

.PHONY: lint
lint: $(VENV)/.dev ## Style, spelling, and who may import whom
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/lint-imports --no-cache
	@$(BIN)/codespell README.md docs libs services client tests deploy Makefile

.PHONY: type
type: $(VENV)/.dev ## mypy --strict
	@$(BIN)/mypy

.PHONY: format
format: $(VENV)/.dev ## Put code into the house's form
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

.PHONY: test-kernel-wg
test-kernel-wg: setup-dev ## The kernel's WireGuard backend, in a throw-away virtual machine
	@# Emulated, on processors that others use as well: what fails is run again, and said.
	$(BIN)/python deploy/kernelvm/run.py || { code=$$?; test $$code -eq 1 || exit $$code; \
	  echo "== FAILED BESIDE OTHER TESTS (above); now the machine once more:"; $(BIN)/python deploy/kernelvm/run.py; }

# --- generated files --------------------------------------------------------------------------------------------

.PHONY: contracts
contracts: $(VENV)/.dev ## Write AsyncAPI, JSON schemas of events and docs/subjects.md from the contract classes
	$(BIN)/python -m altnet.common.bus.asyncapi docs

.PHONY: openapi
openapi: $(VENV)/.main ## Write docs/openapi from the services
	@$(BIN)/python -m altnet.host.admin.documents docs/openapi

.PHONY: sdk
sdk: $(VENV)/.dev openapi ## Generate the Python client from docs/openapi
	$(BIN)/openapi-python-client generate --path docs/openapi/altnet.json --meta none --config sdk/python/generator.yml \
	  --custom-template-path sdk/python/templates \
	  --output-path sdk/python/src/altnet_sdk --overwrite
	@touch sdk/python/src/altnet_sdk/py.typed

# --- measuring --------------------------------------------------------------------------------------------------

.PHONY: bench
bench: setup-dev ## Measure against named alternatives (ONLY=name,… picks some, OUT=file.json keeps them)
	$(BIN)/python -m tests.bench $(if $(ONLY),--only $(ONLY)) $(if $(OUT),--out $(OUT))

.PHONY: bench-routing
bench-routing: setup-dev ## Planning; failures, throughput, convergence in the lab against babeld, yggdrasil, wireguard-go (root)
	$(BIN)/python -m tests.bench --suite routing $(if $(ONLY),--only $(ONLY)) $(if $(OUT),--out $(OUT))

.PHONY: bench-keyd
bench-keyd: setup-dev ## Packets lost while all keys of 8 relays rotate, against rotation in place; the Noise layer (root)
	$(BIN)/python -m tests.bench --suite keyd $(if $(ONLY),--only $(ONLY)) $(if $(OUT),--out $(OUT))

.PHONY: clean
clean: ## Remove what was built (not data)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
