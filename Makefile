# One virtual environment, made once; every target uses it.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed

.PHONY: demo test test-slow check check-numbers fix sample docs bench clean

demo: $(INSTALLED)  ## six methods on built-in data, then the report
	$(BIN)/collapsebench run --grid demo -y
	$(BIN)/collapsebench report --grid demo

test: $(INSTALLED)  ## the default tests
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

test-slow: $(INSTALLED)  ## the tests that take minutes
	$(BIN)/python -m pytest -m slow

check: $(INSTALLED)  ## format, lint, types, floors, citation
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m tests.citation

check-numbers: $(INSTALLED)  ## small trainings against the frozen ones: levels 0, 1 and 2
	rm -rf build/numbers
	$(BIN)/collapsebench run --grid ci -r build/numbers -y
	$(BIN)/collapsebench check --fail-on worse -r build/numbers

fix: $(INSTALLED)  ## what can be mended by itself
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

sample: $(INSTALLED)  ## the pages and figures of reports/sample, from frozen rows
	$(BIN)/python -m tests.sample

docs: $(INSTALLED)  ## the site, in build/site
	$(BIN)/python -m pip install --quiet --group docs
	$(BIN)/python -m tests.site
	$(BIN)/mkdocs build --quiet --strict

bench: $(INSTALLED)  ## speeds, on an idle machine; writes tests/speed/results.json
	$(BIN)/python -m tests.speed

$(INSTALLED): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed, this is " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable '.[train]' --group dev
	touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info
