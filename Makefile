# Python 3.11 to 3.13; `make PYTHON=python3.12 ...` chooses one.
PYTHON ?= python3
DEMO := saved_models/demo
# Files in their order: the apps, which take longest, come first.
PYTEST := pytest -n 2 --dist loadfile --no-loadscope-reorder

export PIP_DISABLE_PIP_VERSION_CHECK = 1
PIP_INSTALL := bin/python -m pip install -qq

.PHONY: demo test test-rest test-backends test-faults test-deploy test-devices test-oldest lint types docs clean

# Trains a translator on generated Korean-English sentences, evaluates and exports it, and shows what the export does.
demo: .venv/apps
	@.venv/bin/keras-recurrent translation train --source ko --target en --epochs 4 --output $(DEMO) --overwrite
	@.venv/bin/keras-recurrent translation evaluate $(DEMO) --split test --baseline nearest > /dev/null
	@.venv/bin/keras-recurrent translation export $(DEMO) --overwrite
	@.venv/bin/python -P -m keras_recurrent.apps.translation.demo $(DEMO)

test: .venv/test
	.venv/bin/$(PYTEST)

# What `make test` leaves out, with its coverage, the apps on JAX, and the layers on JAX and PyTorch.
test-rest: .venv/test .venv-backends/installed
	.venv/bin/$(PYTEST) -m rest --cov
	$(MAKE) test-backends

# The apps' tests on JAX, and the layers' on JAX and PyTorch, in an environment without TensorFlow.
# JAX's tests are all compilation: little optimization takes a third less time, and what several tests compile alike is
# compiled once and kept in a folder until the end.
test-backends: export XLA_FLAGS = --xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true
test-backends: export JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS = 0
test-backends: export JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES = -1
test-backends: .venv-backends/installed
	JAX_COMPILATION_CACHE_DIR=$$(mktemp -d) && export JAX_COMPILATION_CACHE_DIR && \
		trap 'rm -rf "$$JAX_COMPILATION_CACHE_DIR"' EXIT && \
		KERAS_BACKEND=jax .venv-backends/bin/$(PYTEST) tests/backends tests/layers -m "not rest and not devices and not slow_on_jax"
	KERAS_BACKEND=torch .venv-backends/bin/$(PYTEST) tests/layers

# Kills at any moment of a training and malformed input, in forked processes; then signals to processes of their own.
test-faults: .venv/test
	.venv/bin/pytest -n 2 --dist worksteal tests/faults -m faults
	.venv/bin/$(PYTEST) tests/apps tests/datasets -m faults

# Exports in other runtimes, in servers, in C programs, on a microcontroller and in a browser.
test-deploy: .venv/test
	.venv/bin/$(PYTEST) -m deploy

# Trainings on four emulated devices and in two processes, on JAX; and trainings begun on one backend, on the other.
test-devices: .venv/test .venv-backends/installed
	KERAS_BACKEND=jax .venv-backends/bin/$(PYTEST) -m devices tests/backends
	.venv/bin/$(PYTEST) -m devices tests/backends

# The lower bounds in pyproject.toml: the oldest release of each dependency that they allow.
test-oldest: .venv-oldest/installed
	.venv-oldest/bin/$(PYTEST) tests/layers tests/apps/translation tests/apps/vqa tests/apps/test_cli.py
	.venv-oldest/bin/$(PYTEST) tests/export -m deploy

# mypy checks the package as it is installed: the repository's root, whatever its name, is `keras_recurrent` there.
lint: .venv/test types
	.venv/bin/ruff check
	.venv/bin/ruff format --check

types: .venv/test
	rm -rf build/lib build/lint
	.venv/$(PIP_INSTALL) --no-deps --no-build-isolation --target build/lint .
	cd build/lint && ../../.venv/bin/mypy --config-file ../../pyproject.toml --cache-dir ../../.mypy_cache -p keras_recurrent

# The documentation as a site in build/site; any warning, such as a dead link, is an error. It reads the docstrings of
# the package as it is installed.
docs: export NO_MKDOCS_2_WARNING = 1
docs: .venv-docs/installed
	rm -rf build/lib build/package
	.venv-docs/$(PIP_INSTALL) --no-deps --target build/package .
	.venv-docs/bin/mkdocs build --quiet --strict
	@echo "The documentation is in build/site/index.html."

clean:
	rm -rf build .venv .venv-backends .venv-docs .venv-oldest .mypy_cache .cache .coverage*

.venv/apps: pyproject.toml
	@echo "Installing TensorFlow and Keras into .venv takes a few minutes."
	$(PYTHON) -m venv .venv
	.venv/$(PIP_INSTALL) --editable ".[apps,cjk]"
	touch $@

.venv/test: .venv/apps
	.venv/$(PIP_INSTALL) --editable ".[test]"
	touch $@

# Of PyTorch the version of which there is a small build for CPUs.
.venv-backends/installed: pyproject.toml
	$(PYTHON) -m venv .venv-backends
	.venv-backends/$(PIP_INSTALL) --editable ".[easy-vqa,jax,tensorboard,test-layers]" torch==2.13.0
	touch $@

# Without the package's dependencies: the site is built from its source alone. Ruff formats the signatures.
.venv-docs/installed: Makefile
	$(PYTHON) -m venv .venv-docs
	.venv-docs/$(PIP_INSTALL) "mkdocs-material>=9.7" "mkdocstrings[python]>=1" "mkdocs-jupyter>=0.25" ruff
	touch $@

# pyarrow 26, of other packages, needs NumPy 2 without saying so.
.venv-oldest/installed: pyproject.toml
	$(PYTHON) -m venv .venv-oldest
	.venv-oldest/$(PIP_INSTALL) uv
	.venv-oldest/bin/uv pip install --quiet --python .venv-oldest --resolution lowest-direct --editable ".[test]" "pyarrow==25.*"
	touch $@
