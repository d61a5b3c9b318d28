"""The page that runs an export in a browser, with ONNX Runtime Web."""

import gzip
import shutil
from pathlib import Path

from ..errors import UsageError

RUNTIME_VERSION = "1.24.3"
_ADDRESS = f"https://cdn.jsdelivr.net/npm/onnxruntime-web@{RUNTIME_VERSION}/dist"
# The files of ONNX Runtime Web that `runner.js` loads: the entry point, and the two that it loads itself.
_RUNTIME_FILES = {
    "module": "ort.wasm.min.mjs",
    "mjs": "ort-wasm-simd-threaded.mjs",
    "wasm": "ort-wasm-simd-threaded.wasm",
}
PAGE = Path(__file__).parent / "web"  # the files of the page


def runtime_files(folder: str | Path) -> dict[str, Path]:
    """Returns the files of a copy of ONNX Runtime Web, by their names in `config.json`.

    Args:
        folder: The folder of the npm package `onnxruntime-web`, or its folder `dist`.

    Raises:
        UsageError: If a file is missing.
    """
    dist = Path(folder) / "dist" if (Path(folder) / "dist").is_dir() else Path(folder)
    files = {name: dist / file for name, file in _RUNTIME_FILES.items()}
    for file in files.values():
        if not file.is_file():
            raise UsageError(f"--runtime: {file} is missing; `npm install onnxruntime-web` writes such a folder")
    return files


def write_page(folder: Path, runtime: dict[str, Path] | None) -> dict[str, str]:
    """Writes the page, its script and its style.

    Args:
        folder: The folder of the export.
        runtime: The files to copy, as `runtime_files` returns them. None leaves the runtime on a public server.

    Returns:
        The addresses of the runtime's files, relative to the page if they are copied, for `config.json`.
    """
    for file in PAGE.iterdir():
        shutil.copyfile(file, folder / file.name)
    if runtime is None:
        return {name: f"{_ADDRESS}/{file}" for name, file in _RUNTIME_FILES.items()}
    addresses = {}
    for name, file in runtime.items():
        # Some file servers do not know that .mjs is JavaScript.
        addresses[name] = f"runtime/{file.with_suffix('.js').name if file.suffix == '.mjs' else file.name}"
        (folder / "runtime").mkdir(exist_ok=True)
        shutil.copyfile(file, folder / addresses[name])
    addresses["wasm"] = f"runtime/{compress(folder / addresses['wasm'])}"
    return addresses


def compress(file: Path) -> str:
    """Replaces a file with a gzip file, which `runner.js` decompresses. Returns its name."""
    compressed = file.with_name(f"{file.name}.gz")
    compressed.write_bytes(gzip.compress(file.read_bytes(), mtime=0))
    file.unlink()
    return compressed.name
