# Python 3.11 or newer; `make PYTHON=python3.12 ...` chooses another.
PYTHON ?= python3
BIN := .venv/bin
DEMO := saved_models/en-ko

.PHONY: demo test test-backends lint clean

# Trains on the generated English-Korean sentences, evaluates, exports, and translates with the export alone.
demo: .venv/installed
	$(BIN)/keras-recurrent translation train --data english_korean --source en --target ko --epochs 7 --output $(DEMO) --overwrite
	$(BIN)/keras-recurrent translation evaluate $(DEMO) --split test
	$(BIN)/keras-recurrent translation export $(DEMO) --overwrite
	$(BIN)/python -P -m keras_recurrent.apps.translation.demo $(DEMO)

test: .venv/installed
	$(BIN)/pytest

# The layers' tests on JAX and PyTorch, in an environment without TensorFlow.
# JAX's tests are all compilation: little optimisation takes a third less time, and what is compiled alike in several
# tests is compiled once and kept in a folder until the end.
test-backends: export XLA_FLAGS = --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true
test-backends: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS = 0
test-backends: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES = -1
test-backends: .venv-backends/installed
	JAX_COMPILATION_CACHE_DIR=$$(mktemp -d) && export JAX_COMPILATION_CACHE_DIR && \
		trap 'rm -rf "$$JAX_COMPILATION_CACHE_DIR"' EXIT && \
		KERAS_BACKEND=jax .venv-backends/bin/pytest tests/layers -m "not slow and not slow_on_jax"
	KERAS_BACKEND=torch .venv-backends/bin/pytest tests/layers

lint: .venv/installed
	$(BIN)/ruff check
	$(BIN)/ruff format --check

clean:
	rm -rf .venv .venv-backends

.venv/installed: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable ".[test]"
	touch $@

.venv-backends/installed: pyproject.toml
	$(PYTHON) -m venv .venv-backends
	.venv-backends/bin/python -m pip install --quiet --upgrade pip
	.venv-backends/bin/python -m pip install --quiet "keras>=3.15,<3.16" jax torch==2.13.0 pytest hypothesis
	.venv-backends/bin/python -m pip install --quiet --no-deps --editable .
	touch $@
