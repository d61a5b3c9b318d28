"""Texts: tokenizers, batches, and text generation by search or sampling."""
