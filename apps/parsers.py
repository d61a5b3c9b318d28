"""The parsers of the commands, which are made from dataclasses, functions and their docstrings."""

import argparse
import dataclasses
import functools
import inspect
import re
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any, Literal

import docstring_parser
import jsonargparse

from .. import __version__
from ..export_formats import FORMATS, Format
from . import APPS, recipes
from .shared.backends import BACKENDS
from .shared.config import NonNegativeInt, SearchConfig
from .shared.errors import UsageError
from .shared.options import OptionType, alternatives, convert_options, read_yaml

EXPORT = """Exports a model: a SavedModel for TensorFlow, or a folder with a model for another runtime and a program.

`python FOLDER/runner.py ARGUMENT...` runs an export in the format onnx, litert or openvino. It requires only NumPy,
the runtime, and Pillow for images. The format web is a page for browsers; `python -m http.server -d FOLDER` or any
other file server serves it. The format keras is a folder like the model's own, with smaller weights; every command
reads it.
"""

# A page runs an ONNX file. A model's folder with smaller weights needs no converter.
EXPORT_FORMATS = {**FORMATS, "web": FORMATS["onnx"], "keras": Format("", ("float16", "int8"))}


def command_parser() -> jsonargparse.ArgumentParser:
    """Returns the parser of `keras-recurrent APP`."""
    parser = jsonargparse.ArgumentParser(
        prog="keras-recurrent",
        usage="keras-recurrent APP VERB ...",
        description="Train, evaluate, run and export recurrent networks.",
        epilog="`keras-recurrent APP --help` lists an app's verbs, `keras-recurrent APP VERB --help` a verb's options. "
        "`keras-recurrent demo` shows what the trained models that come with the package can do, in a browser. "
        "`keras-recurrent models` lists them, `keras-recurrent recipes` the recipes for training.",
        exit_on_error=False,
        version=__version__,
    )
    helps = "; ".join(f"{name}: {app.summary}" for name, app in APPS.items())
    parser.add_argument("app", choices=list(APPS), metavar="APP", help=helps)
    return parser


def verb_parsers(app: str, commands: ModuleType, config_class: Any) -> dict[str, jsonargparse.ArgumentParser]:
    """Returns the parsers of an app's verbs by name."""
    parsers = {"train": _train_parser(app, config_class)}
    for function in commands.VERBS:
        parsers[function.__name__] = function_parser(function, app)
    parsers["export"] = _export_parser(config_class)
    for parser in parsers.values():
        parser.add_argument(
            "--backend",
            type=OptionType(Literal[*BACKENDS] | None),
            default=None,
            help="Keras backend. The default is KERAS_BACKEND, or else TensorFlow if it is installed, or else JAX. "
            "An export requires TensorFlow.",
        )
    return parsers


def app_parser(
    app: str, description: str | None, parsers: Mapping[str, jsonargparse.ArgumentParser]
) -> jsonargparse.ArgumentParser:
    """Returns the parser of `keras-recurrent APP VERB`, given the parsers of the verbs."""
    parser = jsonargparse.ArgumentParser(
        prog=f"keras-recurrent {app}",
        description=description,
        exit_on_error=False,
        formatter_class=_HelpFormatter,  # also of the verbs
    )
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    for verb, verb_parser in parsers.items():
        verb_parser.usage = f"keras-recurrent {app} {verb} {_usage(verb_parser)}"
        summary, *_ = (verb_parser.description or "").split("\n\n")
        verbs.add_subcommand(verb, verb_parser, help=summary)
    return parser


def _usage(parser: jsonargparse.ArgumentParser) -> str:
    """Returns the usage of a verb without its name: what it requires, and that it has options."""
    words = ["[options]"]
    for action in parser._actions:
        if not action.option_strings:
            words.append(f"[{action.dest} ...]" if action.nargs else action.dest)
        elif action.required:
            words.insert(0, f"{action.option_strings[0]} {action.dest.upper()}")
    return " ".join(words)


def _train_parser(app: str, config_class: Any) -> jsonargparse.ArgumentParser:
    parser = _parser(docstring_parser.parse(config_class.__doc__), add_help=False)
    common = ("output", "recipe", *config_class.common_options, "resume", "overwrite", "help", "help_all")
    parser.add_argument(
        "-h", "--help", action=_CommonHelp, common=common, help="Show the most common options and exit."
    )
    parser.add_argument("--help-all", action="help", help="Show all options and exit.")
    _add_recipe(parser, app, "train")
    parser.add_argument(
        "--config",
        action=_OptionsFile,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="YAML file with values of options.",
    )
    parser.add_argument("--output", required=True, help="Folder to write the model to, such as saved_models/NAME.")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="Resume an interrupted training. The final weights are those of an uninterrupted one.",
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace the output folder and start over.")
    group = parser.add_argument_group("Devices. Several require --backend jax; see docs/scaling.md")
    group.add_argument("--devices", help="Number of devices of each host, or all.")
    group.add_argument(
        "--hosts",
        help="Addresses of all hosts, separated by commas. Run the same command on each. auto takes them from Slurm, "
        "Open MPI or Kubernetes.",
    )
    group.add_argument("--host", type=OptionType(NonNegativeInt | None), help="Index of this host in --hosts, from 0.")
    _add_options(parser, config_class)
    return parser


def _export_parser(config_class: Any) -> jsonargparse.ArgumentParser:
    parser = _parser(docstring_parser.parse(EXPORT))
    parser.add_argument("model", help="Folder or name of the model.")
    parser.add_argument(
        "--format",
        type=OptionType(Literal[*EXPORT_FORMATS]),
        default="saved_model",
        help="Format. onnx, litert and openvino require the extra of that name, web requires onnx. keras requires "
        "--quantize.",
    )
    parser.add_argument(
        "--quantize",
        type=OptionType(Literal[*FORMATS["onnx"].quantizations] | None),
        default=None,
        help="Type of the stored weights; the default is float32. float16 halves the file, int8 about quarters it.",
    )
    parser.add_argument(
        "--runtime",
        help="Folder of the npm package onnxruntime-web. The format web copies its files, so that the page works "
        "offline. The default loads them from a public server.",
    )
    parser.add_argument(
        "--to", help="Folder to write to. The default is export/ or export-FORMAT/ in the model's folder."
    )
    parser.add_argument("--overwrite", action="store_true", help="Replace an existing folder.")
    if issubclass(config_class, SearchConfig):
        _add_options(_group(parser, SearchConfig), SearchConfig, is_override=True)
    return parser


def function_parser(function: Callable, app: str | None = None) -> jsonargparse.ArgumentParser:
    """Returns a parser of a function's parameters, and of the recipes if it is a verb of an app."""
    parser = _parser(docstring_parser.parse(function.__doc__ or ""))
    if app is not None:
        _add_recipe(parser, app, function.__name__)
    _add_options(parser, function)
    return parser


def _add_recipe(parser: jsonargparse.ArgumentParser, app: str, verb: str) -> None:
    """Adds the option `--recipe` if there are recipes of this verb."""
    if names := recipes.names(app, verb):
        parser.add_argument(
            "--recipe",
            action=functools.partial(_OptionsFile, path=functools.partial(recipes.find, app, verb)),
            metavar="NAME",
            default=argparse.SUPPRESS,
            help=f"Recipe, options for a known data set: {alternatives(names)}. `keras-recurrent recipes` describes "
            "them.",
        )


def _parser(docstring: docstring_parser.Docstring, add_help: bool = True) -> jsonargparse.ArgumentParser:
    parts = (docstring.short_description, docstring.long_description)
    return jsonargparse.ArgumentParser(
        description="\n\n".join(part for part in parts if part),
        exit_on_error=False,
        allow_abbrev=True,
        add_help=add_help,
    )


class _OptionsFile(argparse.Action):
    """Reads options from a YAML file, and checks them.

    Args:
        path: Function from the value of the argument to the file.
    """

    def __init__(self, *args, path=lambda value: value, **options):
        super().__init__(*args, **options)
        self._path = path

    def __call__(self, parser, namespace, values, option_string=None):
        option_types = {
            action.dest: OptionType(bool) if isinstance(action, jsonargparse.ActionYesNo) else action.type
            for action in parser._actions
            if isinstance(action, jsonargparse.ActionYesNo) or isinstance(action.type, OptionType)
        }
        path = self._path(values)
        options = read_yaml(path)
        try:
            options = convert_options(options, option_types)
        except UsageError as error:
            raise UsageError(f"{path}: {error}") from error
        for name, value in options.items():
            namespace[name] = value


class _HelpFormatter(jsonargparse.DefaultHelpFormatter):
    """Keeps the paragraphs of a description, and shows only those types and defaults that inform."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        paragraphs = text.split("\n\n")
        return "\n\n".join(part if part.startswith(" ") else fill(part, width, indent) for part in paragraphs)

    def _get_help_string(self, action: argparse.Action) -> str:
        if isinstance(action, argparse._HelpAction):
            return super()._get_help_string(action)
        notes = self._type_notes(action)
        if action.required and action.option_strings:
            notes.append("required")
        elif not any(action.default is value for value in (None, False, argparse.SUPPRESS)) and action.nargs != "*":
            notes.append("default: %(default)s")
        return f"{self._text(action)} ({'; '.join(notes)})" if notes else self._text(action)

    def _text(self, action: argparse.Action) -> str:
        """What the help says about an option, without its type and default."""
        return action.help or ""

    def _type_notes(self, action: argparse.Action) -> list[str]:
        """What the help says about the values of an option."""
        is_text = not isinstance(action.type, OptionType) or (action.type.kind is str and not action.type.choices)
        return [] if is_text else [repr(action.type)]


class _CommonHelpFormatter(_HelpFormatter):
    """Shows the first sentence about each option, and of the types only the choices."""

    def _text(self, action: argparse.Action) -> str:
        return re.split(r"(?<=\.) (?=[A-Z0-9`-])", super()._text(action), maxsplit=1)[0]

    def _type_notes(self, action: argparse.Action) -> list[str]:
        return super()._type_notes(action) if getattr(action.type, "choices", ()) else []


class _CommonHelp(argparse.Action):
    """Shows the help of the most common options, and exits.

    Args:
        common: The names of these options.
    """

    def __init__(self, *args, common, **options):
        super().__init__(*args, nargs=0, default=argparse.SUPPRESS, **options)
        self._common = common

    def __call__(self, parser, namespace, values, option_string=None):
        short = jsonargparse.ArgumentParser(
            usage=parser.usage,
            description=parser.description,
            formatter_class=_CommonHelpFormatter,
            add_help=False,
        )
        group = short.add_argument_group("common options")
        actions = {action.dest: action for action in parser._actions}
        for name in self._common:
            if name in actions:
                group._add_action(actions[name])
        short.print_help()
        parser.exit()


def _add_options(
    parser: Any,
    described: Any,
    is_override: bool = False,
    parameters: Mapping[str, inspect.Parameter] | None = None,
) -> None:
    """Adds an option for each parameter of a function or field of a dataclass, with the help from its docstring.

    A parameter without a default becomes a positional argument, `*name` a list of positional arguments, a parameter
    whose type is a dataclass the options of its fields, and `**search` the options of `SearchConfig`, whose defaults
    are the values in the model's configuration.

    Args:
        parser: The parser, or a group of it.
        described: The function or dataclass.
        is_override: Whether the defaults come from the model's configuration.
        parameters: If `described` is a base of a dataclass, the parameters of the dataclass, which may have other
            defaults.
    """
    docstring = docstring_parser.parse(described.__doc__)
    helps = {entry.arg_name: entry.description for entry in docstring.params}
    parameters = parameters or inspect.signature(described).parameters
    for name, parameter in parameters.items():
        option = f"--{name.replace('_', '-')}"
        if parameter.kind is parameter.VAR_POSITIONAL:
            parser.add_argument(name, nargs="*", type=str, default=[], help=helps[f"*{name}"])
        elif parameter.kind is parameter.VAR_KEYWORD:
            _add_options(_group(parser, SearchConfig), SearchConfig, is_override=True)
        elif dataclasses.is_dataclass(parameter.annotation):
            _add_options(_group(parser, parameter.annotation), parameter.annotation)
        elif name not in helps and isinstance(described, type):
            continue  # documented by the dataclass or by another of its bases
        elif name == "app":  # the command names it; a file of options may, too
            parser.add_argument(
                option, type=OptionType(parameter.annotation), default=parameter.default, help=argparse.SUPPRESS
            )
        elif is_override:
            parser.add_argument(
                option, type=OptionType(parameter.annotation | None), help=f"{helps[name]} (default: the model's)"
            )
        elif parameter.default is parameter.empty:
            parser.add_argument(name, type=OptionType(parameter.annotation), help=helps[name])
        elif parameter.annotation is bool:
            action = jsonargparse.ActionYesNo(no_prefix="no-")
            parser.add_argument(option, action=action, default=parameter.default, help=helps[name])
        else:
            parser.add_argument(
                option, type=OptionType(parameter.annotation), default=parameter.default, help=helps[name]
            )
    if isinstance(described, type):
        for base in described.__bases__:
            if base is not object:
                _add_options(_group(parser, base), base, parameters=parameters)


def _group(parser: Any, config_class: Any) -> Any:
    """Adds a group of options to the help, with the first sentence of the configuration's docstring as title."""
    title = docstring_parser.parse(config_class.__doc__).short_description or ""
    return parser.add_argument_group(title.rstrip("."))
