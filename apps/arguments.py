"""The arguments of a command, parsed by argparse, with messages of one line."""

import dataclasses
import functools
import inspect
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import jsonargparse

from .shared.errors import UsageError
from .shared.options import alternatives, suggestion


def parse_args(parser: jsonargparse.ArgumentParser, arguments: Sequence[str], options: Iterable[str] = ()) -> Any:
    """Parses arguments, and raises a `UsageError` with a message about these options if that fails."""
    try:
        return parser.parse_args(arguments)
    except jsonargparse.ArgumentError as error:
        raise UsageError(_message(error, options)) from error


def options_first(parser: jsonargparse.ArgumentParser, arguments: Iterable[str]) -> list[str]:
    """Moves the options of a verb before its positional arguments, which argparse does not accept after an option.

    The files of options come first, so that all other options override them. What begins with a negative number is
    positional.

    Raises:
        UsageError: If an option is unknown.
    """
    takes_value = {option: action.nargs != 0 for action in parser._actions for option in action.option_strings}
    files: list[str] = []
    options: list[str] = []
    positional: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name = argument.partition("=")[0]
        completions = [option for option in takes_value if option.startswith(name)]  # of an abbreviation
        if argument == "--":
            positional += rest
        elif not argument.startswith("-") or argument == "-" or " " in name or re.match(r"-\.?\d", argument):
            positional.append(argument)
        elif not completions:
            raise UsageError(f"unknown option {name}{suggestion(name, takes_value)}")
        elif argument == f"{name}=--":  # argparse drops the value
            raise UsageError(f"{name} does not take '--'")
        else:
            target = files if set(completions) <= {"--config", "--recipe"} else options
            target.append(argument)
            if takes_value.get(argument, any(takes_value[option] for option in completions)) and "=" not in argument:
                if not (value := [*itertools.islice(rest, 1)]):  # argparse would take the first positional argument
                    raise UsageError(f"{argument} takes a value")
                target += value
    separator = ["--"] if any(argument.startswith("-") for argument in positional) else []
    return files + options + separator + positional


def _message(error: jsonargparse.ArgumentError, options: Iterable[str]) -> str:
    """Says in one line what is wrong with the arguments of a command with these options, in place of argparse."""
    message = str(error)
    if match := re.search(r"arguments are required: (.*)", message):
        names = [name.rpartition(".")[2] for name in match[1].split(", ")]
        return f"missing: {', '.join(f'--{name}' if f'--{name}' in options else name for name in names)}"
    if match := re.match(r"argument ([^\s:/]+)\S*: (.*)", message):
        option, message = match.groups()
        message = re.sub(r"^ignored explicit argument", "takes no value, not", message)
        return f"{option} {'takes a value' if message.startswith('expected') else message}"
    return message.replace("unrecognized arguments", "unexpected argument").replace("could match", "may be")


def check_name(kind: str, name: str, names: Iterable[str]) -> None:
    """Raises a `UsageError` if there is no app or verb of this name."""
    if name not in names:
        hint = suggestion(name, names) or f"; choose {alternatives(names)}"
        raise UsageError(f"unknown {kind} {name!r}{hint}")


def bind(function: Callable, options: dict[str, Any]) -> Callable[[], None]:
    """Binds a verb's function to its options; see `_add_options`. Positional parameters are passed by position."""
    positional: list[Any] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += options.pop(parameter.name)
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            positional.append(options.pop(parameter.name))
        elif dataclasses.is_dataclass(parameter.annotation):
            values = {field.name: options.pop(field.name) for field in dataclasses.fields(parameter.annotation)}
            options[parameter.name] = cast(type, parameter.annotation)(**values)
    return functools.partial(function, *positional, **options)
