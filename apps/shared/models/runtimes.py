"""Exports for other runtimes than TensorFlow: the model, its tokenizers, and a program that runs them."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from ....export import formats
from ..errors import UsageError, first_line
from ..keras_internals import compute_in_float32
from ..text.tokenizers import TOKENIZERS, LiteralCharacterTokenizer
from . import browser, runner
from .outputs import atomic_output

_write_onnx = functools.partial(formats.write_onnx, right_padded_masks=True)  # as the tokenizers pad
FILES = {"onnx": "model.onnx", "litert": "model.tflite", "openvino": "model.xml", "web": "model.onnx"}
WRITERS: dict[str, Callable] = {
    "onnx": _write_onnx,
    "litert": formats.write_litert,
    "openvino": formats.write_openvino_loops,
    "web": _write_onnx,
}
# The names of the tokenizers in `runner.py`.
KINDS = {**{tokenizer: name for name, tokenizer in TOKENIZERS.items()}, LiteralCharacterTokenizer: "literal"}


def write_runtime(
    folder: str | Path,
    trained: Any,
    format: str,
    quantize: str | None = None,
    overwrite: bool = True,
    runtime: str | None = None,
) -> None:
    """Writes a folder with the model's `core`, its tokenizers, `config.json`, and `runner.py` or a page for browsers.

    A model with a mixed precision, whose types some runtimes lack, computes in float32, also in Python from then on.

    Args:
        folder: The folder to write. It appears complete or not at all.
        trained: A `TrainedModel`.
        format: A key of `FILES`.
        quantize: `"float16"` or `"int8"`, the type of the stored weights. None keeps float32.
        overwrite: Whether an existing folder is replaced.
        runtime: For `"web"`: a folder with ONNX Runtime Web that is copied. None leaves it on a public server.

    Raises:
        MissingExtra: If the format's converter is not installed.
        ModelFolderError: If another process writes the folder.
        UsageError: If the model cannot be exported, the format lacks an operation or the type of the weights,
            or `runtime` is not such a folder.
    """
    runtime_files = None if runtime is None else browser.runtime_files(runtime)
    options = trained.runner_options()  # before the long work, which some models do not allow
    compute_in_float32(trained.model)
    inputs = [tf.TensorSpec(spec.shape, spec.dtype, spec.name) for spec in trained.core_inputs]
    with atomic_output(folder, overwrite) as partial:
        try:
            WRITERS[format](partial / FILES[format], trained.core, inputs, quantize=quantize)
        except ValueError as error:  # the format lacks an operation
            raise UsageError(first_line(error)) from error
        files = {}
        for name in trained.tokenizers:
            tokenizer = trained.assets[name]
            files[name] = f"{name}.{tokenizer.file}"
            tokenizer.save(partial / files[name])
            options |= {"tokenizer": KINDS[type(tokenizer)], "lowercase": tokenizer.lowercase}
        if format == "web":
            options["runtime"] = browser.write_page(partial, runtime_files)
            browser.compress(partial / FILES[format])
            files = {name: browser.compress(partial / file) for name, file in files.items()}
        else:
            shutil.copyfile(runner.__file__, partial / "runner.py")
        config = {"app": trained.config.app, "tokenizers": files, **options}
        text = json.dumps(config, ensure_ascii=False, indent=1)
        (partial / "config.json").write_text(f"{text}\n", encoding="utf-8")
