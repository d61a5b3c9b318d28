"""Code that several apps share."""
