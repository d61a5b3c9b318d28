"""Option types: accepted values, conversion and error messages."""

import argparse
import difflib
import os
import stat
import sys
import types as python_types
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

import yaml

from .errors import UsageError, first_line

MAX_CONFIG_BYTES = 100_000  # of a YAML file; a configuration has about 2,000


class Limits(NamedTuple):
    """The numbers that an option takes, as metadata of `Annotated`.

    Attributes:
        description: The numbers in words, such as "a positive integer".
        minimum: The lowest number.
        maximum: The highest number.
        excluded: Numbers that are not taken, such as an open end of the interval.
    """

    description: str
    minimum: float
    maximum: float = sys.float_info.max
    excluded: tuple[float, ...] = ()

    def contain(self, value: float) -> bool:
        """Whether an option takes the number; false for NaN."""
        return self.minimum <= value <= self.maximum and value not in self.excluded


class OptionType:
    """Converts values from a command line or a YAML file to the type of an annotation.

    Args:
        annotation: `bool`, `str`, a `Literal` of strings, an `Annotated` `int` or `float` with `Limits`; a tuple of any
            number of such values, which a command line separates by commas; or such a type in union with None.

    Example:

    >>> from typing import Annotated
    >>> from keras_recurrent.apps.shared.options import Limits, OptionType
    >>> OptionType(Annotated[int, Limits("a positive integer", 1)] | None)("12")
    12
    """

    def __init__(self, annotation: Any) -> None:
        kinds = get_args(annotation) if get_origin(annotation) in (Union, python_types.UnionType) else (annotation,)
        self.is_optional = python_types.NoneType in kinds
        (kind,) = (kind for kind in kinds if kind is not python_types.NoneType)
        self.description: str
        self.limits: Limits | None = None
        self.items: OptionType | None = None
        if get_origin(kind) is tuple:
            self.items, kind = OptionType(get_args(kind)[0]), tuple
        if get_origin(kind) is Annotated:
            kind, self.limits = get_args(kind)
        self.choices = get_args(kind) if get_origin(kind) is Literal else ()
        self.kind = str if self.choices else kind
        if self.items:
            item = self.items.description.removeprefix("a ").removeprefix("an ")
            self.description = f"{item}, several separated by commas"
        elif self.limits:
            self.description = self.limits.description
        elif self.choices:
            self.description = alternatives(self.choices)
        else:
            self.description = {bool: "true or false", str: "text"}[self.kind]

    def __repr__(self) -> str:  # what the help says after "type:"
        return self.description.removeprefix("a ").removeprefix("an ")

    def __call__(self, value: Any) -> Any:
        """Returns the converted value.

        Raises:
            argparse.ArgumentTypeError: If the option does not take the value. The message begins with "takes".
        """
        if self.is_optional and value in (None, "null"):
            return None
        if isinstance(value, int) and value.bit_length() > 1000:  # Python refuses to print it
            raise argparse.ArgumentTypeError(f"takes {self.description}, not an integer of {value.bit_length()} bits")
        converted: Any
        if self.items:
            return self._tuple(self.items, value)
        if self.kind is bool:
            converted = {"true": True, "yes": True, "false": False, "no": False}.get(str(value).lower())
        elif self.kind is str:
            converted = value if isinstance(value, str) and value in (self.choices or (value,)) else None
        else:
            converted = self._number(value)
        if converted is None:
            raise argparse.ArgumentTypeError(f"takes {self.description}{self._hint(value)}, not {_shown(value)}")
        return converted

    @staticmethod
    def _tuple(convert: Callable[[Any], Any], value: Any) -> tuple[Any, ...]:
        """Converts a list, or text with commas, to a tuple."""
        if isinstance(value, str):
            return tuple(convert(item.strip()) for item in value.split(",") if item.strip())
        return tuple(map(convert, value if isinstance(value, (list, tuple)) else [value]))

    def _number(self, value: Any) -> Any:
        """Converts a value to a number within the limits; None if it is none."""
        if isinstance(value, bool) or not isinstance(value, (int, float, str)):
            return None
        try:
            number: Any = self.kind(value)
        except (ValueError, OverflowError):  # OverflowError: an infinite number for an integer
            return None
        is_exact = isinstance(value, str) or number == value
        return number if is_exact and self.limits and self.limits.contain(number) else None

    def _hint(self, value: Any) -> str:
        """What a message adds to the description of the values."""
        if self.kind is str and not self.choices and value is not None:
            return " in quotation marks"  # YAML has converted it to a number, a date, or true or false
        if self.kind is int and self.limits and str(value).isdecimal() and str(value).strip("0"):
            is_high = len(str(value)) > 15 or int(value) > self.limits.maximum
            maximum = f"{self.limits.maximum:,}"
            return f" up to {maximum}" if is_high and maximum not in self.description else ""
        return ""


def option_types(config_class: type) -> dict[str, OptionType]:
    """Returns the types of the options of a configuration, a dataclass, by name."""
    hints = get_type_hints(config_class, include_extras=True)
    return {name: OptionType(annotation) for name, annotation in hints.items()}


def _shown(value: Any) -> str:
    """A value as a message shows it, shortened."""
    shown = "null" if value is None else repr(value)
    return shown if len(shown) <= 60 else f"{shown[:50]}..."


def alternatives(names: Iterable[str]) -> str:
    """Returns names as an enumeration: "a, b or c"."""
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def suggestion(name: str, names: Iterable[str]) -> str:
    """Returns the end of a message about an unknown name, which suggests the most similar one, if any."""
    nearest = difflib.get_close_matches(name, list(names), 1)
    return f"; did you mean {nearest[0]}?" if nearest else ""


def convert_options(values: Mapping[str, Any], types: Mapping[str, OptionType]) -> dict[str, Any]:
    """Converts the options of a YAML file.

    Args:
        values: Dictionary from names to values, as YAML has them.
        types: Dictionary from names to the types of all options.

    Raises:
        UsageError: If an option is unknown or does not take its value.
    """
    converted = {}
    for name, value in values.items():
        if name not in types:
            raise UsageError(f"unknown option {_shown(name)}{suggestion(str(name), types)}")
        try:
            converted[name] = types[name](value)
        except argparse.ArgumentTypeError as error:
            raise UsageError(f"{name} {error}") from error
    return converted


class _Loader(yaml.SafeLoader):
    """Refuses aliases: with a few of them, a short file describes an object of any size."""

    def compose_node(self, parent, index):
        event = self.peek_event()
        if getattr(event, "anchor", None) is not None:
            raise yaml.YAMLError("anchors and aliases are not supported")
        return super().compose_node(parent, index)


def read_yaml(path: str | Path) -> dict[str, Any]:
    """Reads a YAML file with a dictionary.

    Raises:
        UsageError: If the file is missing, is not a regular file, is too large, or has other contents.
    """
    path = Path(os.path.expanduser(path))
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path}: not a regular file")
        if status.st_size > MAX_CONFIG_BYTES:
            raise UsageError(
                f"{path}: has {status.st_size:,} bytes; a YAML file of options has at most {MAX_CONFIG_BYTES:,}"
            )
        values = yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8") from error
    except UsageError:
        raise
    except (yaml.YAMLError, RecursionError, ValueError) as error:  # ValueError: an impossible date or file name
        reason = getattr(error, "problem", None) or first_line(error)
        if isinstance(error, RecursionError):
            reason = "nested too deeply"
        raise UsageError(f"{path}: not a YAML file ({reason})") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: must have one `option: value` per line")
    return values
