"""The command line: `keras-recurrent APP VERB ...`."""

import dataclasses
import functools
import importlib
import os
import shlex
import signal
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from . import APPS, load, parsers, recipes
from .arguments import bind, check_name, options_first, parse_args
from .demo import demo
from .shared.allocator import keep_freed_memory
from .shared.backends import choose_backend, import_backend, require_tensorflow
from .shared.console import note
from .shared.errors import USER_ERRORS, UsageError
from .shared.memory import is_out_of_memory
from .shared.models import folders, outputs, packaged
from .shared.options import alternatives

# The commands besides those of the apps.
COMMANDS: dict[str, Callable[..., str | None]] = {"demo": demo, "models": packaged.table, "recipes": recipes.table}


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs a command and returns its exit status, which is 2 after an error that the user can fix.

    Args:
        arguments: The arguments of the command. None takes those of the process.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exception, so that incomplete folders are removed
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if arguments and arguments[0] in COMMANDS:
            command = COMMANDS[arguments[0]]
            parser = parsers.function_parser(command)
            parser.prog = f"keras-recurrent {arguments[0]}"
            if output := command(**vars(parse_args(parser, arguments[1:], parser._option_string_actions))):
                print(output, flush=True)
            return 0
        run = _parse(arguments)
        keep_freed_memory()
        import_backend()
        importlib.import_module(f".{arguments[0]}.model", __package__)
        if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        run()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output, such as `head`, has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at exit
        return 141
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
    note(f"the model is in {output}; next:")
    for command in _next_commands(config, output):
        print(f"  {command}", file=sys.stderr)


def _next_commands(config: Any, output: str) -> list[str]:
    """Returns the commands that evaluate and use a model after its training."""
    data = getattr(config, "data", "")  # the sequences of long_memory are generated
    has_test = not os.path.isdir(data) or any(any(Path(data).glob(name)) for name in ("test.*", "*_TEST.*"))
    verb, *inputs = config.example
    evaluate = ["evaluate", output, *([] if has_test else ["--split", "validation"])]
    return [shlex.join(["keras-recurrent", config.app, *words]) for words in (evaluate, [verb, output, *inputs])]


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
    """Exports a model in a format."""
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


def _check_export(format: str, quantize: str | None, runtime: str | None) -> None:
    """Raises a `UsageError` if options of an export contradict each other."""
    if quantize not in (None, *parsers.EXPORT_FORMATS[format].quantizations):
        formats = [name for name, (_, quantizations) in parsers.EXPORT_FORMATS.items() if quantize in quantizations]
        raise UsageError(f"--quantize {quantize} requires --format {alternatives(formats)}")
    if format != "web" and runtime is not None:
        raise UsageError("--runtime requires --format web")
    if format == "keras" and quantize is None:
        raise UsageError("--format keras requires --quantize float16 or int8")


def _parse(arguments: Sequence[str]) -> Callable[[], None]:
    """Parses a command and returns a function that runs it."""
    if arguments and not arguments[0].startswith("-"):
        check_name("app", arguments[0], APPS)
    name = parse_args(parsers.command_parser(), arguments[:1] or ["--help"]).app
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
    return bind(getattr(commands, verb), options)


def _parse_verb(
    name: str, commands: ModuleType, config_class: Any, arguments: Sequence[str]
) -> tuple[str, dict[str, Any]]:
    """Parses the arguments after the app's name and returns `(verb, options)`."""
    verb_parsers = parsers.verb_parsers(name, commands, config_class)
    parser = parsers.app_parser(name, commands.__doc__, verb_parsers)
    if not arguments[0].startswith("-"):
        check_name(f"verb of {name}", arguments[0], verb_parsers)
        verb_parser = verb_parsers[arguments[0]]
        arguments = [arguments[0], *options_first(verb_parser, arguments[1:])]
        parsed = parse_args(parser, arguments, verb_parser._option_string_actions)
    else:
        parsed = parse_args(parser, arguments)
    return parsed.verb, vars(parsed[parsed.verb])
