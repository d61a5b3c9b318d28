"""The command line: `keras-recurrent APP VERB ...`."""

import argparse
import dataclasses
import functools
import importlib
import inspect
import itertools
import os
import re
import signal
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any, Literal, cast

import docstring_parser
import jsonargparse

from .. import __version__
from ..export_formats import FORMATS, Format
from . import APPS, load, recipes
from .shared.allocator import keep_freed_memory
from .shared.backends import BACKENDS, choose_backend, import_backend, require_tensorflow
from .shared.config import NonNegativeInt, SearchConfig
from .shared.console import note
from .shared.errors import USER_ERRORS, UsageError
from .shared.memory import is_out_of_memory
from .shared.models import folders, outputs, packaged
from .shared.options import OptionType, alternatives, convert_options, read_yaml, suggestion

# A page runs an ONNX file. A model's folder with smaller weights needs no converter.
EXPORT_FORMATS = {**FORMATS, "web": FORMATS["onnx"], "keras": Format("", ("float16", "int8"))}


LISTS = {"recipes": recipes.table, "models": packaged.table}  # commands that need no backend


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status, which is 2 after an error that the user can fix.

    Args:
        arguments: The arguments of the command. None takes those of the process.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that incomplete folders are removed
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in LISTS:
            _parse_args(_list_parser(arguments[0]), arguments[1:])
            print(LISTS[arguments[0]]())
            return 0
        run = _parse(arguments)
        keep_freed_memory()
        import_backend()
        importlib.import_module(f".{arguments[0]}.model", __package__)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
    except (OSError, UnicodeError, *USER_ERRORS) as error:
        note(error)
        return 2
    except KeyboardInterrupt:
        note("stopped")
        return 130
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        note("not enough memory; lower the sizes of the layers, the batches or the search")
        return 2
    return 0


def _train(
    config_class: Any,
    *,
    output: str,
    resume: bool,
    overwrite: bool,
    devices: str | None,
    hosts: str | None,
    host: int | None,
    **options: Any,
) -> None:
    """Trains a model and writes its folder."""
    folder = outputs.output_folder(output)
    _make_absolute(options)
    config = config_class(**options)
    distribution = importlib.import_module(".shared.training.devices", __package__)
    distribution.use_devices(devices, hosts, host, config.batch_size)
    model = importlib.import_module(f".{config.app}.model", __package__)
    checksum = zlib.crc32(repr(config).encode())
    try:
        with distribution.leaving_others():
            if not distribution.is_chief():
                distribution.check_equal(checksum, "configuration")
                model.train(config, folders.unfinished_folder(folder))
                return
            with folders.resumable(folder, config, resume, overwrite) as partial:
                distribution.check_equal(checksum, "configuration")
                model.train(config, partial)
    except folders.FinishedError as error:
        note(error)
        return
    except USER_ERRORS:
        raise
    except BaseException:
        unfinished, finished = folders.unfinished_folder(folder), outputs.sibling(folder, "finished")
        if unfinished.exists():
            note(f"the unfinished training is in {unfinished}; --resume continues it")
        if finished.exists():
            note(f"the model is in {finished}; --resume renames it to {folder}")
        raise
    note(f"the model is in {output}")


def _make_absolute(options: dict[str, Any]) -> None:
    """Makes the paths among the options of a training absolute, so that `evaluate` finds them from any folder."""
    for name in ("data", "pairs", "backbone", "backbone_weights", "cache"):
        value = options.get(name) or ""
        # A value that may also be a name is a path if the path exists. The cache may not exist yet.
        is_path = os.path.exists(value) and (name != "backbone" or value.endswith(".keras"))
        if is_path or (name == "cache" and value):
            options[name] = os.path.abspath(os.path.expanduser(value))


def _export(
    config_class: Any,
    *,
    model: str,
    format: str,
    quantize: str | None,
    runtime: str | None,
    to: str | None,
    overwrite: bool,
    **search: Any,
) -> None:
    """Exports a model: a SavedModel for TensorFlow, or a folder with a model for another runtime and a program.

    `python FOLDER/runner.py ARGUMENT...` runs an export in the format onnx, litert or openvino. It requires only NumPy,
    the runtime, and Pillow for images. The format web is a page for browsers; `python -m http.server -d FOLDER` or any
    other file server serves it. The format keras is a folder like the model's own, with smaller weights; every command
    reads it.
    """
    _check_export(format, quantize, runtime)
    default = "-".join(["export", *([format] if format != "saved_model" else []), *([quantize] if quantize else [])])
    folder = outputs.output_folder(packaged.results_folder(model) / default if to is None else to)
    mark = {"saved_model": "saved_model.pb", "web": "runner.js", "keras": "config.yaml"}.get(format, "runner.py")
    outputs.check_new(folder, overwrite, mark)
    if format == "keras":
        quantized = importlib.import_module(".shared.models.quantized", __package__)
        quantized.write_quantized(folder, model, config_class, quantize, overwrite, **search)
        note(f"the model is in {folder if to is None else to}")
        return
    require_tensorflow()
    trained = load(model, **search)
    if format == "saved_model":
        trained.export(folder, overwrite)
        note(f"the SavedModel is in {folder if to is None else to}")
        return
    runtimes = importlib.import_module(".shared.models.runtimes", __package__)
    runtimes.write_runtime(folder, trained, format, quantize, overwrite, runtime)
    command = "serve it with `python -m http.server`" if format == "web" else "run it with `python runner.py`"
    note(f"the export is in {folder if to is None else to}; {command} there")


def _list_parser(name: str) -> jsonargparse.ArgumentParser:
    """Returns the parser of `keras-recurrent NAME`, where `NAME` is a key of `LISTS`."""
    parser = _parser(docstring_parser.parse(LISTS[name].__doc__ or ""))
    parser.prog = f"keras-recurrent {name}"
    return parser


def _add_recipe(parser: jsonargparse.ArgumentParser, app: str, verb: str) -> None:
    """Adds the option `--recipe` if there are recipes of this verb."""
    if names := recipes.names(app, verb):
        parser.add_argument(
            "--recipe",
            action=functools.partial(_OptionsFile, path=functools.partial(recipes.find, app, verb)),
            metavar="NAME",
            default=argparse.SUPPRESS,
            help=f"Recipe with values for the options below: {alternatives(names)}. `keras-recurrent recipes` "
            "describes them.",
        )


def _check_export(format: str, quantize: str | None, runtime: str | None) -> None:
    """Raises a `UsageError` if options of an export contradict each other."""
    if quantize not in (None, *EXPORT_FORMATS[format].quantizations):
        formats = [name for name, (_, quantizations) in EXPORT_FORMATS.items() if quantize in quantizations]
        raise UsageError(f"--quantize {quantize} requires --format {alternatives(formats)}")
    if format != "web" and runtime is not None:
        raise UsageError("--runtime requires --format web")
    if format == "keras" and quantize is None:
        raise UsageError("--format keras requires --quantize float16 or int8")


def _train_parser(app: str, config_class: Any) -> jsonargparse.ArgumentParser:
    parser = _parser(docstring_parser.parse(config_class.__doc__))
    _add_recipe(parser, app, "train")
    parser.add_argument(
        "--config",
        action=_OptionsFile,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help="YAML file with values for the options below.",
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
    parser = _parser(docstring_parser.parse(_export.__doc__ or ""))
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


def _function_parser(app: str, function: Callable) -> jsonargparse.ArgumentParser:
    parser = _parser(docstring_parser.parse(function.__doc__))
    _add_recipe(parser, app, function.__name__)
    _add_options(parser, function)
    return parser


def _parser(docstring: docstring_parser.Docstring) -> jsonargparse.ArgumentParser:
    parts = (docstring.short_description, docstring.long_description)
    return jsonargparse.ArgumentParser(
        description="\n\n".join(part for part in parts if part),
        exit_on_error=False,
        allow_abbrev=True,
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
    """Keeps the paragraphs of a description, and the indented commands in it."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        fill = super()._fill_text
        paragraphs = text.split("\n\n")
        return "\n\n".join(part if part.startswith(" ") else fill(part, width, indent) for part in paragraphs)


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


def _options_first(parser: jsonargparse.ArgumentParser, arguments: Iterable[str]) -> list[str]:
    """Moves the options of a verb before its positional arguments, which argparse does not accept after an option.

    The files of options come first, so that all other options override them.

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
            options.append(argument)
            positional += rest
        elif not argument.startswith("-") or argument == "-" or " " in name:
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
    return files + options + positional


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


def _parse(arguments: Sequence[str]) -> Callable[[], None]:
    """Parses a command and returns a function that runs it."""
    parser = jsonargparse.ArgumentParser(
        prog="keras-recurrent",
        usage="keras-recurrent APP VERB ...",
        description="Train, evaluate, run and export recurrent networks.",
        epilog="`keras-recurrent APP --help` lists an app's verbs, `keras-recurrent APP VERB --help` a verb's options. "
        "`keras-recurrent models` lists the trained models that come with the package, `keras-recurrent recipes` the "
        "recipes for training.",
        exit_on_error=False,
        version=__version__,
    )
    helps = "; ".join(f"{name}: {app.summary}" for name, app in APPS.items())
    parser.add_argument("app", choices=list(APPS), metavar="APP", help=helps)
    if arguments and not arguments[0].startswith("-"):
        _check_name("app", arguments[0], APPS)
    name = _parse_args(parser, arguments[:1] or ["--help"]).app
    commands = importlib.import_module(f".{name}.commands", __package__)
    config_class = importlib.import_module(f".{name}.config", __package__).Config
    verb, options = _parse_verb(name, commands, config_class, arguments[1:] or ["--help"])
    backend = options.pop("backend")
    needs_tensorflow = verb == "export" and options["format"] != "keras"
    choose_backend("tensorflow" if needs_tensorflow and backend is None else backend)
    if "model" in options:
        options["model"] = str(packaged.find(options["model"]))
        folders.read_config(options["model"], name)  # fails before TensorFlow is imported
    if verb == "train":
        fields = {field.name for field in dataclasses.fields(config_class)}
        for contradiction in config_class(**{name: options[name] for name in fields}).contradictions():
            raise UsageError(contradiction)
        return functools.partial(_train, config_class, **options)
    if verb == "export":
        return functools.partial(_export, config_class, **options)
    return _bind(getattr(commands, verb), options)


def _parse_verb(
    name: str, commands: ModuleType, config_class: Any, arguments: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Parses the arguments after the app's name and returns `(verb, options)`."""
    parser = jsonargparse.ArgumentParser(
        prog=f"keras-recurrent {name}",
        description=commands.__doc__,
        exit_on_error=False,
        formatter_class=_HelpFormatter,  # also of the verbs
    )
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    parsers = {"train": (_train_parser(name, config_class), _train.__doc__)}
    for function in commands.VERBS:
        summary = docstring_parser.parse(function.__doc__).short_description
        parsers[function.__name__] = _function_parser(name, function), summary
    parsers["export"] = _export_parser(config_class), _export.__doc__
    for verb, (verb_parser, summary) in parsers.items():
        verb_parser.add_argument(
            "--backend",
            type=OptionType(Literal[*BACKENDS] | None),
            default=None,
            help="Keras backend. The default is KERAS_BACKEND, or else TensorFlow if it is installed, or else JAX. "
            "An export requires TensorFlow.",
        )
        verbs.add_subcommand(verb, verb_parser, help=summary)
    if not arguments[0].startswith("-"):
        _check_name(f"verb of {name}", arguments[0], parsers)
        verb_parser, _ = parsers[arguments[0]]
        arguments = [arguments[0], *_options_first(verb_parser, arguments[1:])]
        parsed = _parse_args(parser, arguments, verb_parser._option_string_actions)
    else:
        parsed = _parse_args(parser, arguments)
    return parsed.verb, vars(parsed[parsed.verb])


def _parse_args(parser: jsonargparse.ArgumentParser, arguments: Sequence[str], options: Iterable[str] = ()) -> Any:
    try:
        return parser.parse_args(arguments)
    except jsonargparse.ArgumentError as error:
        raise UsageError(_message(error, options)) from error


def _check_name(kind: str, name: str, names: Iterable[str]) -> None:
    """Raises a `UsageError` if there is no app or verb of this name."""
    if name not in names:
        hint = suggestion(name, names) or f"; choose {alternatives(names)}"
        raise UsageError(f"unknown {kind} {name!r}{hint}")


def _bind(function: Callable, options: dict[str, Any]) -> Callable[[], None]:
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
