"""Fixtures for tests that read generated data sets by name."""

import pytest


@pytest.fixture
def cache_folder(tmp_path, monkeypatch):
    """An empty folder for generated data sets, so that none that was generated before is read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "keras-recurrent"
