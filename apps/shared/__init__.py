"""What several apps use."""
