"""Modules of the package's extras."""

import importlib
from types import ModuleType


class MissingExtra(ImportError):
    """A module of an extra is not installed. The message is one line with the command that installs it."""


def import_extra(module: str, extra: str) -> ModuleType:
    """Imports a module of an extra.

    Args:
        module: The module's name.
        extra: The extra's name, such as `"onnx"`.

    Raises:
        MissingExtra: If the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        message = f"this needs {module.partition('.')[0]}; install it with `pip install 'keras-recurrent[{extra}]'`"
        raise MissingExtra(message) from error
