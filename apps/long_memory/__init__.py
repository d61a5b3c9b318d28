"""Experiments with long-term dependencies."""
