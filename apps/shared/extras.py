"""Modules of the package's extras."""

import importlib


class MissingExtra(ImportError):
    """A module is missing that an extra brings; the message names both, in one line."""


def needed(module, extra):
    """Imports a module of an extra.

    Raises:
        MissingExtra: If it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"this needs {module}, which `pip install 'keras-recurrent[{extra}]'` brings"
        raise MissingExtra(message) from error
