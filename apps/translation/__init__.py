"""Sequence-to-sequence translation: sentences of one language in, sentences of another out."""
