# Python 3.11 or newer; `make PYTHON=python3.12 ...` chooses another.
PYTHON ?= python3
BIN := .venv/bin
DEMO := saved_models/en-ko

.PHONY: demo test lint clean

# Trains on the generated English-Korean sentences, evaluates, exports, and translates with the export alone.
demo: .venv/installed
	$(BIN)/keras-recurrent translation train --data english_korean --source en --target ko --output $(DEMO) --overwrite
	$(BIN)/keras-recurrent translation evaluate $(DEMO) --split test
	$(BIN)/keras-recurrent translation export $(DEMO) --overwrite
	$(BIN)/python -P -m keras_recurrent.apps.demo $(DEMO)

test: .venv/installed
	$(BIN)/pytest

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

clean:
	rm -rf .venv

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@
