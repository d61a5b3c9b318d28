"""Trained models: their folders, loading and export."""
