"""The command line: `keras-recurrent APP VERB ...`."""

import functools
import importlib
import inspect
import itertools
import os
import signal
import sys

import docstring_parser
import jsonargparse

from ..datasets import DataError
from . import APPS, load
from .shared.allocator import keep_freed_memory
from .shared.config import SearchConfig, plain
from .shared.console import note
from .shared.errors import ModelFolderError, TrainingError, UsageError
from .shared.extras import MissingExtra
from .shared.models import folders

MISTAKES = (DataError, MissingExtra, ModelFolderError, TrainingError, UsageError)


def main(arguments=None):
    """Runs a command and returns its exit status: 2 after a mistake that its user can mend."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a half-written folder is removed
    try:
        run = _parse(sys.argv[1:] if arguments is None else arguments)
        keep_freed_memory()
        _import_tensorflow()
        run()
    except (jsonargparse.ArgumentError, OSError, UnicodeError, *MISTAKES) as error:
        note(error)
        return 2
    except KeyboardInterrupt:
        note("stopped")
        return 130
    return 0


def _import_tensorflow():
    """Imports TensorFlow without its greeting, which no setting of its own silences: standard error is for people."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        importlib.import_module("tensorflow")
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def _train(app, options):
    """Trains a model and writes its folder."""
    output, resume, overwrite, _ = (options.pop(name) for name in ("output", "resume", "overwrite", "config"))
    goes_on = resume and folders.unfinished_folder(output).exists()
    folders.check_new(output, overwrite or goes_on, "config.yaml")
    for name in ("data", "pairs", "backbone", "backbone_weights", "cache"):
        value = options.get(name) or ""
        # What may be a name is a path if there is one; a cache is one that may be yet to be made.
        if (os.path.exists(value) and (name != "backbone" or value.endswith(".keras"))) or (name == "cache" and value):
            options[name] = os.path.abspath(os.path.expanduser(value))  # where `evaluate` finds it from any folder
    config = app.Config(**options)
    model = importlib.import_module(f"{app.__package__}.model")
    try:
        with folders.resumable(output, config, resume, overwrite) as partial:
            model.train(config, partial)
    except MISTAKES:
        raise
    except BaseException:
        if folders.unfinished_folder(output).exists():
            note(f"what was trained is kept in {folders.unfinished_folder(output)}; --resume goes on from there")
        raise
    note(f"the model is in {output}")


def _export(app, options):
    """Writes a model as a SavedModel that needs nothing but TensorFlow."""
    to = options["to"] or os.path.join(options["model"], "export")
    folders.check_new(to, options["overwrite"], "saved_model.pb")
    load(options["model"]).export(to)
    note(f"the SavedModel is in {to}")


def _train_parser(app):
    parser = _parser(docstring_parser.parse(app.Config.__doc__))
    parser.add_argument("--config", action="config", help="YAML file with values for the options below")
    parser.add_argument("--output", required=True, help="folder to write the model into, such as saved_models/NAME")
    parser.add_argument("--resume", action="store_true", help="go on with a training that was interrupted")
    parser.add_argument("--overwrite", action="store_true", help="replace the output folder, and begin anew")
    _add_options(parser, app.Config)
    return parser


def _export_parser():
    parser = jsonargparse.ArgumentParser(description=_export.__doc__, exit_on_error=False)
    parser.add_argument("model", help="the model's folder")
    parser.add_argument("--to", help="folder to write the SavedModel into (default: export/ in the model's folder)")
    parser.add_argument("--overwrite", action="store_true", help="replace that folder")
    return parser


def _function_parser(function):
    parser = _parser(docstring_parser.parse(function.__doc__))
    _add_options(parser, function)
    return parser


def _parser(docstring):
    parts = (docstring.short_description, docstring.long_description)
    return jsonargparse.ArgumentParser(
        description="\n\n".join(part for part in parts if part),
        exit_on_error=False,
        formatter_class=jsonargparse.DefaultHelpFormatter,
    )


def _add_options(parser, described, is_override=False, parameters=None):
    """An option for each parameter of a function or field of a dataclass, with its help from the docstring.

    A parameter without a default is a positional argument, one with a star is any number of them, and `**search` are
    the options of `SearchConfig`. Those are overrides: without a value of their own, the model's configuration has it.
    Of a dataclass's base, `parameters` are those of the dataclass, which may have other defaults.
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
        elif name not in helps and isinstance(described, type):
            continue  # it is in the docstring of the dataclass or of another base
        elif is_override:
            parser.add_argument(option, type=parameter.annotation | None, help=f"{helps[name]} (default: the model's)")
        elif parameter.default is parameter.empty:
            parser.add_argument(name, type=parameter.annotation, help=helps[name])
        elif parameter.annotation is bool:
            action = jsonargparse.ActionYesNo(no_prefix="no-")
            parser.add_argument(option, action=action, default=parameter.default, help=helps[name])
        else:
            parser.add_argument(option, type=parameter.annotation, default=parameter.default, help=helps[name])
    if isinstance(described, type):
        for base in described.__bases__:
            if base is not object:
                _add_options(_group(parser, base), base, parameters=parameters)


def _group(parser, config):
    """A part of the help, under what the docstring of a configuration says first."""
    return parser.add_argument_group(docstring_parser.parse(config.__doc__).short_description.rstrip("."))


def _options_first(parser, arguments):
    """A verb's arguments with the options before the others: behind an option, argparse would find no more files."""
    has_value = {option: action.nargs != 0 for action in parser._actions for option in action.option_strings}
    options, others, rest = [], [], iter(arguments)
    for argument in rest:
        if argument == "--":
            options.append(argument)
            others += rest
        elif not argument.startswith("-") or argument == "-" or " " in argument:
            others.append(argument)
        else:
            options.append(argument)
            whole = [option for option in has_value if option.startswith(argument)]  # it may be cut short
            if has_value.get(argument, any(has_value[option] for option in whole)):
                options += itertools.islice(rest, 1)
    return options + others


def _parse(arguments):
    """The chosen verb as a function, and its options."""
    parser = jsonargparse.ArgumentParser(
        prog="keras-recurrent",
        usage="keras-recurrent APP VERB ...",
        description="Trains, evaluates, runs and exports recurrent networks.",
        epilog="`keras-recurrent APP --help` lists an app's verbs, `keras-recurrent APP VERB --help` a verb's options.",
        exit_on_error=False,
    )
    helps = "; ".join(f"{name}: {app.summary}" for name, app in APPS.items())
    parser.add_argument("app", choices=list(APPS), metavar="APP", help=helps)
    name = parser.parse_args(arguments[:1]).app

    app = importlib.import_module(f".{name}.commands", __package__)
    parser = jsonargparse.ArgumentParser(prog=f"keras-recurrent {name}", description=app.__doc__, exit_on_error=False)
    verbs = parser.add_subcommands(dest="verb", metavar="VERB")
    parsers = {"train": (_train_parser(app), _train.__doc__)}
    for function in app.VERBS:
        help = docstring_parser.parse(function.__doc__).short_description
        parsers[function.__name__] = _function_parser(function), help
    parsers["export"] = _export_parser(), _export.__doc__
    for verb, (verb_parser, help) in parsers.items():
        verbs.add_subcommand(verb, verb_parser, help=help)

    arguments = arguments[1:]
    if arguments and arguments[0] in parsers:
        verb_parser, _ = parsers[arguments[0]]
        arguments[1:] = _options_first(verb_parser, arguments[1:])
    chosen = parser.parse_args(arguments)
    options = {name: plain(value) for name, value in vars(chosen[chosen.verb]).items()}
    if "model" in options:
        folders.read_config(options["model"], app.Config.app)  # before TensorFlow is imported
    if chosen.verb in ("train", "export"):
        return functools.partial({"train": _train, "export": _export}[chosen.verb], app, options)
    function = getattr(app, chosen.verb)
    parameters = inspect.signature(function).parameters.values()
    positional = []
    for one in parameters:
        if one.kind is one.VAR_POSITIONAL:
            positional += options.pop(one.name)
        elif one.kind is one.POSITIONAL_OR_KEYWORD:
            positional.append(options.pop(one.name))
    return functools.partial(function, *positional, **options)
