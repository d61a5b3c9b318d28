"""A page in the browser that runs the trained models that come with the package."""
