"""Fixtures for tests that read generated data sets by name."""

import functools

import pytest
import tensorflow_datasets as tfds


@pytest.fixture
def tfds_folder(tmp_path, monkeypatch):
    """An empty folder in which TFDS prepares data sets, so that none that was prepared before is read."""
    monkeypatch.setattr(tfds, "builder", functools.partial(tfds.builder, data_dir=tmp_path))
    return tmp_path
