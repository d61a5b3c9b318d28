"""Sequence-to-sequence translation of sentences."""
