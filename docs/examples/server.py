"""Serves an exported SavedModel over HTTP with LitServe. Requests that arrive together share a batch.

    pip install tensorflow litserve
    python server.py saved_models/de-en/export
    curl localhost:8000/predict -H "Content-Type: application/json" -d '{"text": "Ein Mann schläft."}'

A request has a value for each input of the signature `serving_default`: a text, an image file in Base64 for
`image_bytes`, or lists of numbers, in which null is a missing one. The answer has the outputs of the signature. A
request that the model cannot use gets the status 400 and what is wrong with it, and the others of its batch get their
answers.
"""

import argparse
import base64
import contextlib
import functools
import os
import signal
from typing import Any

import litserve
import numpy as np
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse


class SavedModelAPI(litserve.LitAPI):
    """An exception in one of these methods would fail a whole batch: errors are values of their requests."""

    def __init__(self, folder, **options):
        super().__init__(**options)
        self.folder = folder

    def setup(self, device):
        import tensorflow as tf  # in the process of the model alone

        with contextlib.suppress(ImportError):
            import tensorflow_text  # noqa: F401 (the operations of subwords)

        self.constant = tf.constant
        self.model = tf.saved_model.load(self.folder)
        self.signature = self.model.signatures["serving_default"]
        self.inputs = self.signature.structured_input_signature[1]
        self.predict([{name: example(spec) for name, spec in self.inputs.items()}])  # the first call takes longest

    def decode_request(self, request: dict[str, Any]):
        """Returns the inputs as bytes and arrays, or an error."""
        if request.keys() != self.inputs.keys():
            return ValueError(f"a request has the keys {', '.join(sorted(self.inputs))}")
        try:
            return {name: decode(name, value, self.inputs[name]) for name, value in request.items()}
        except ValueError as error:
            return error

    def predict(self, requests):
        """Returns the outputs of each request, or its error."""
        valid = [request for request in requests if isinstance(request, dict)]
        rows = iter(self.answer(valid) if valid else [])
        return [next(rows) if isinstance(request, dict) else request for request in requests]

    def answer(self, requests):
        columns = {name: stack([request[name] for request in requests]) for name in self.inputs}
        outputs = self.signature(**{name: self.constant(column) for name, column in columns.items()})
        arrays = {name: value.numpy() for name, value in outputs.items()}
        return [{name: x[row] for name, x in arrays.items()} for row in range(len(requests))]

    def encode_response(self, output):
        if isinstance(output, ValueError):
            return bad_request(str(output))
        # All other outputs of a row that cannot be used are empty or 0.
        is_usable = any(np.asarray(value, object).any() for name, value in output.items() if name != "error")
        if output["error"] and not is_usable:
            return bad_request(output["error"].decode())
        return {name: as_json(value) for name, value in output.items()}


def example(spec):
    """Returns an input of a signature: an empty string, or zeros."""
    return b"" if spec.dtype.name == "string" else np.zeros([size or 1 for size in spec.shape[1:]], "float32")


def decode(name, value, spec):
    """Returns an input of a request as bytes or as an array. Raises a `ValueError` that says what is wrong with it."""
    if spec.dtype.name == "string":
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a string")
        if not name.endswith("_bytes"):
            return value.encode(errors="surrogatepass")  # not Unicode becomes not UTF-8, which the model rejects
        try:
            return base64.b64decode(value, validate=True)
        except ValueError as error:
            raise ValueError(f"not Base64: {error}") from error
    try:
        array = np.array(value, "float32")
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be lists of numbers of equal length") from error
    if not spec.shape[1:].is_compatible_with(array.shape):
        raise ValueError(f"{name} must have the shape {tuple(spec.shape[1:])}, not {array.shape}")
    return array


def stack(rows):
    """Returns inputs as a batch; shorter arrays get missing numbers at the end."""
    if isinstance(rows[0], bytes):
        return rows
    batch = np.full((len(rows), max(map(len, rows)), *rows[0].shape[1:]), np.nan, "float32")
    for numbers, row in zip(batch, rows, strict=True):
        numbers[: len(row)] = row
    return batch


def as_json(value):
    """Returns an output as numbers, strings and lists of them."""
    if isinstance(value, np.ndarray):
        return [as_json(item) for item in value]
    return value.decode() if isinstance(value, bytes) else value.item()


def bad_request(error):
    return JSONResponse({"error": error}, status_code=400)


def refuse(request, error):
    """Answers a body that is not JSON, or not an object."""
    return bad_request("; ".join(detail["msg"] for detail in error.errors()))


def interrupt(process, *signal_and_frame):
    """Stops the server as Ctrl+C does. On SIGTERM alone, LitServe 0.2.19 leaves its other processes behind."""
    if os.getpid() == process:  # these inherit the handler
        raise KeyboardInterrupt


def main():
    parser = argparse.ArgumentParser(description="Serves an exported SavedModel over HTTP.")
    parser.add_argument("folder", help="folder of the SavedModel")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default: 127.0.0.1)"
    )
    parser.add_argument("--port", type=int, default=8000, help="port to listen on (default: 8000)")
    parser.add_argument("--max-batch-size", type=int, default=32, help="requests per batch (default: 32)")
    parser.add_argument(
        "--batch-timeout", type=float, default=0.005, help="seconds to wait for others (default: 0.005)"
    )
    arguments = parser.parse_args()
    api = SavedModelAPI(
        arguments.folder, max_batch_size=arguments.max_batch_size, batch_timeout=arguments.batch_timeout
    )
    server = litserve.LitServer(api, accelerator="cpu")
    server.app.add_exception_handler(RequestValidationError, refuse)
    signal.signal(signal.SIGTERM, functools.partial(interrupt, os.getpid()))
    server.run(arguments.host, arguments.port, generate_client_file=False, log_level="warning")


if __name__ == "__main__":
    main()
