# make demo   install, run the main job, draw its picture        (needs python3 >= 3.11 and nothing else)
# make test   everything that CI runs: format, lint, types, docs, tests
# make docs   run every example in README and docs again and write its output in place
# make pictures   take the pictures of the live page again
# make bench  measure speed and write docs/performance.md
# make soak   the long runs; they write docs/soak.md

PYTHON ?= python3
BIN := .venv/bin
# The variable, unlike the option, pins what the build itself needs too.
PIP := PIP_CONSTRAINT=$(CURDIR)/constraints.txt $(BIN)/python -m pip install --quiet --disable-pip-version-check
PAGES := README.md $(wildcard docs/*.md)
COG := $(BIN)/python -m cogapp -P -I docs -p "from examples import run, keys, python, help_of"

.PHONY: demo test check docs pictures bench soak clean

demo: .venv/demo.done
	@$(BIN)/headway demo

test: check

check: .venv/dev.done
	@tests/install-browser
	$(BIN)/ruff format --check src tests bench docs/*.py
	$(BIN)/ruff check src tests bench docs/*.py
	$(BIN)/mypy
	$(COG) --check $(PAGES)
	$(BIN)/python -m pytest -n auto

docs: .venv/dev.done
	HEADWAY_DOCS_PICTURES=1 $(COG) -r $(PAGES)

pictures: .venv/dev.done
	@tests/install-browser
	$(BIN)/python docs/pictures.py

bench: .venv/dev.done
	@tests/install-browser
	$(BIN)/python bench/speed.py --write docs/performance.md

soak: .venv/dev.done
	$(BIN)/python bench/soak.py --write docs/soak.md

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "headway needs Python 3.11 or newer, found " + sys.version.split()[0])'
	$(PYTHON) -m venv .venv

.venv/demo.done: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[plot]'
	@touch $@

.venv/dev.done: .venv/bin/python pyproject.toml constraints.txt
	$(PIP) --editable '.[dev]'
	@touch $@ .venv/demo.done

clean:
	rm -rf .venv build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis headway-demo.*
