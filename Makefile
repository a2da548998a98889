# make test   everything: lint, types, tests, with the real tools that can be had here
# make demo   the main job on a bundled package: no registry, no cluster
# make bench  the numbers in benchmarks/
# make fleet-proof  the Job of examples/fleet in a real control plane, with pods that are killed: needs root and Go, takes half an hour
# make differential  Flux's own Go code beside krmfn, at random: needs Go; FLUX=DIR names clones of Flux's image controllers
# make record-cosign  what cosign (COSIGN=path, go install github.com/sigstore/cosign/v3/cmd/cosign@v3.1.3) makes and says, for fixtures/cosign
# make coverage  lines and branches of each room, by the quick tests alone
PYTHON ?= python3
VENV   := .venv
RUN    := $(VENV)/bin/python
PIP    := $(RUN) -m pip --disable-pip-version-check --no-input -q install
HASHED := --require-hashes --no-deps

.PHONY: help test unit lint coverage demo bench fleet-proof differential tools record-cosign lock clean
help:
	@sed -n 's/^# //p' Makefile

test: lint tools
	$(RUN) -m pytest -p tests.covered $(PYTEST)

# without the tests that start other programs
unit: $(VENV)/.dev
	$(RUN) -m pytest --ignore-glob='tests/test_e2e_*' --ignore=tests/test_container.py --ignore=tests/test_packaging.py $(PYTEST)

lint: $(VENV)/.dev
	$(VENV)/bin/ruff check -q .
	$(VENV)/bin/mypy

# the floors of tests/covered.py, without the tests that start other programs
coverage: $(VENV)/.dev
	$(RUN) -m pytest -p tests.covered -m 'not slow and not soak' --ignore-glob='tests/test_e2e_*' --ignore=tests/test_container.py --ignore=tests/test_packaging.py

demo: $(VENV)/.runtime
	@$(RUN) examples/demo/run.py

bench: $(VENV)/.dev tools
	$(RUN) -m benchmarks $(BENCH)

fleet-proof: $(VENV)/.dev tools
	$(RUN) -m benchmarks.fleet_proof $(REPOSITORIES)

FLUX := .cache/flux
differential: $(VENV)/.dev
	@for name in image-automation-controller image-reflector-controller; do \
		[ -d $(FLUX)/$$name ] || git clone -q --depth 1 https://github.com/fluxcd/$$name $(FLUX)/$$name || exit 1; done
	$(RUN) -m tests.differential $(FLUX) $(DIFFERENTIAL)

# what cosign signs, and what it says of every forgery, recorded anew in fixtures/cosign: COSIGN=path/to/cosign
COSIGN := $(shell command -v cosign)
record-cosign: $(VENV)/.dev tools
	$(RUN) -m tests.record_cosign $(COSIGN)
	$(RUN) -m tests.record_forgeries $(COSIGN)

tools: $(VENV)/.dev
	@$(RUN) tests/tools.py

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit("krmfn needs Python 3.11 or newer, $(PYTHON) is %d.%d: set PYTHON=..." % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)

$(VENV)/.runtime: requirements.txt requirements-build.txt pyproject.toml | $(VENV)/bin/python
	@$(RUN) -m pip --version >/dev/null 2>&1 || $(RUN) -m ensurepip >/dev/null
	$(PIP) $(HASHED) -r requirements.txt -r requirements-build.txt
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) $(HASHED) -r requirements-dev.txt
	@touch $@

# new pins: needs uv; keeps what is pinned unless UPGRADE=-U; nothing younger than a week comes in
lock:
	uv pip compile -q $(UPGRADE) --exclude-newer '7 days' --universal --python-version 3.11 --generate-hashes pyproject.toml -o requirements.txt
	uv pip compile -q $(UPGRADE) --exclude-newer '7 days' --universal --python-version 3.11 --generate-hashes --extra verify -c requirements.txt pyproject.toml -o requirements-verify.txt
	uv pip compile -q $(UPGRADE) --exclude-newer '7 days' --universal --python-version 3.11 --generate-hashes --group pyproject.toml:build -o requirements-build.txt
	uv pip compile -q $(UPGRADE) --exclude-newer '7 days' --universal --python-version 3.11 --generate-hashes --group dev --extra verify -c requirements-verify.txt pyproject.toml -o requirements-dev.txt
	uv pip compile -q $(UPGRADE) --exclude-newer '7 days' --universal --python-version 3.11 --generate-hashes --group pyproject.toml:release -o requirements-release.txt

clean:
	rm -rf $(VENV) .cache build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
