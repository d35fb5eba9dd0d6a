# `make` alone lists what one can do. Each target sets up what it needs; a second run sets nothing up again.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PY := .venv/bin/python
READY := .venv/.ready
BROWSER := .venv/.browser
PARTS := common web workers client deploy tests bench celeryconfig.py
FILE ?=
PYTEST := $(PY) -m pytest
JOBS ?= 2

.PHONY: help demo up test test-all faults check bench shape fmt lock

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

demo: $(READY) ## start everything, import tickets and share files, kill workers meanwhile; FILE=path.csv for tickets of your own
	@$(PY) -m deploy.local.demo $(if $(FILE),--file "$(FILE)") $(if $(MAPPING),--mapping '$(MAPPING)')

up: $(READY) ## start everything and keep it running; Ctrl-C stops it
	@$(PY) -m deploy.local.up

test: $(BROWSER) ## the tests, with branch coverage
	@$(PYTEST) -n $(JOBS) -m "not slow" --cov --cov-report=term:skip-covered

test-all: $(BROWSER) ## all tests, with the whole of every corpus and the large files
	@$(PYTEST) -n $(JOBS)

faults: $(READY) ## only what kills, freezes and cuts, all of it
	@$(PYTEST) tests/faults

check: $(READY) ## format, lint, types, layers
	@$(PY) -m ruff format --check $(PARTS)
	@$(PY) -m ruff check $(PARTS)
	@$(PY) -m mypy
	@.venv/bin/lint-imports

bench: $(READY) ## what we cost against the plain alternative, as ratios in one run
	@$(PY) -m bench

shape: $(READY) ## figures of the tree: lengths of functions and files, import cycles
	@$(PY) -m bench.shape

fmt: $(READY) ## format and mend what can be mended
	@$(PY) -m ruff format $(PARTS)
	@$(PY) -m ruff check --fix $(PARTS)

lock: $(READY) ## pin the newest versions in requirements*.txt
	@CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --upgrade -q --no-emit-index-url --no-emit-trusted-host \
		--no-emit-find-links --strip-extras --no-annotate -o requirements.txt requirements.in
	@CUSTOM_COMPILE_COMMAND="make lock" .venv/bin/pip-compile --upgrade -q --no-emit-index-url --no-emit-trusted-host \
		--no-emit-find-links --strip-extras --no-annotate --allow-unsafe -c requirements.txt \
		-o requirements-dev.txt requirements-dev.in

$(READY): requirements-dev.txt requirements.txt client/pyproject.toml
	@python=$$(for name in python3.13 python3.12 python3.11 python3; do \
		command -v $$name >/dev/null && $$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; \
	done); \
	if [ -z "$$python" ]; then echo "Fairway needs Python 3.11 or newer: apt-get install python3 python3-venv"; exit 1; fi; \
	if ! $$python -c 'import venv, ensurepip' 2>/dev/null; then \
		echo "$$python has no venv: apt-get install python3-venv"; exit 1; fi; \
	echo "setting up .venv with $$python, once" && $$python -m venv .venv && \
	$(PY) -m pip install -q --disable-pip-version-check -r requirements-dev.txt \
		&& $(PY) -m pip install -q --disable-pip-version-check --no-deps -e client && touch $@

$(BROWSER): $(READY)
	@if command -v chromium >/dev/null; then touch $@; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "setting up Chromium, once" && apt-get update -qq -o Acquire::Retries=3 && DEBIAN_FRONTEND=noninteractive \
			apt-get install -qq -y --no-install-recommends -o Acquire::Retries=3 chromium >/dev/null && touch $@; \
	else echo "Chromium is missing, so the tests that look at a page will fail: apt-get install chromium"; fi
