"""Models with smaller weights, in a folder like that of any other model."""

import io
import shutil
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .folders import require, write_config
from .keras_files import check_keras_file
from .loading import parse_config, readable
from .outputs import atomic_output

SMALLEST = 1_000  # an array with fewer values keeps its type


def write_quantized(
    folder: str | Path, model: str | Path, config_class: Any, quantize: str, overwrite: bool = True, **options: Any
) -> None:
    """Copies a model's folder with smaller weights. Every command reads the copy, and Keras reads its `model.keras`.

    A matrix is stored in float16 and packed. For `"int8"`, the values of a column are rounded to at most 255 multiples
    of a power of two, which take about one byte each when packed. The model computes in float32.

    Args:
        folder: The folder to write. It appears complete or not at all.
        model: The model's folder. Its figures and exports are not copied.
        config_class: The `Config` of the app.
        quantize: `"float16"` or `"int8"`.
        overwrite: Whether an existing folder is replaced.
        **options: Values of the configuration that replace the saved ones. A value of None replaces nothing.

    Raises:
        ModelFolderError: If the model cannot be read, or another process writes the folder.
    """
    model = Path(model)
    config = parse_config(model, config_class, options)
    require(model, "model.keras")
    with readable(model / "model.keras"):
        check_keras_file(model / "model.keras")
    with atomic_output(folder, overwrite) as partial:
        for path in model.iterdir():
            if path.is_file() and not path.name.startswith("."):
                shutil.copyfile(path, partial / path.name)
        write_config(partial, config)
        _quantize(model / "model.keras", partial / "model.keras", quantize)


def _quantize(source: Path, target: Path, quantize: str) -> None:
    """Writes the `.keras` file `target`, which is `source` with other types of weights."""
    with zipfile.ZipFile(source) as archive, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as quantized:
        for name in archive.namelist():
            content = archive.read(name)
            if name.endswith(".h5"):
                content = _quantize_weights(content, quantize)
            # Without the time of the file, so that equal models have equal files.
            quantized.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _quantize_weights(content: bytes, quantize: str) -> bytes:
    """Does the same with an HDF5 file."""
    buffer = io.BytesIO()
    with h5py.File(io.BytesIO(content), "r") as weights, h5py.File(buffer, "w") as quantized:

        def copy(name: str, item: h5py.Group | h5py.Dataset) -> None:
            if isinstance(item, h5py.Group):
                copied = quantized.require_group(name)
            elif item.dtype == np.float32 and item.ndim > 1 and item.size >= SMALLEST:
                values = _rounded(item[()]) if quantize == "int8" else item[()]
                copied = quantized.create_dataset(
                    name, data=values.astype("float16"), compression="gzip", compression_opts=9, shuffle=True
                )
            else:
                copied = quantized.create_dataset(name, data=item[()])
            copied.attrs.update(item.attrs)

        weights.visititems(copy)
        quantized.attrs.update(weights.attrs)
    return buffer.getvalue()


def _rounded(values: np.ndarray) -> np.ndarray:
    """Rounds each column to the multiples `-127 ... 127` of a power of two, which float16 represents exactly.

    Seven bits of each mantissa are zero then, so that a value packs into one byte.
    """
    largest = np.max(np.abs(values), axis=tuple(range(values.ndim - 1)), keepdims=True)
    steps = np.exp2(np.ceil(np.log2(np.maximum(largest, 1e-6) / 127)))
    return np.round(values / steps) * steps
