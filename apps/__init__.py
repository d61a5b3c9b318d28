"""The applications: each trains, evaluates, predicts and exports models built from the layers."""

from .folders import load

__all__ = ["load"]
