"""The server of the page. It serves this machine alone and runs one computation at a time."""

import json
import mimetypes
import threading
import webbrowser
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from .. import load
from ..shared.console import note
from ..shared.errors import USER_ERRORS, UsageError, first_line
from ..shared.images.pixels import ImageError
from ..shared.models import browser, packaged
from ..shared.models.folders import read_config
from .answers import ANSWERS, FIELDS, parse

HOST = "127.0.0.1"
MAX_BYTES = 32 * 2**20  # of a request: a picture in base64
_PAGE = Path(__file__).parent / "page"


def serve(port: int, opens_browser: bool) -> None:
    """Serves the page until the process is interrupted.

    Args:
        port: The port; 0 chooses a free one.
        opens_browser: Whether to show the page in the browser of this machine.

    Raises:
        UsageError: If the port is in use, or no models come with the package.
    """
    try:
        server = DemoServer(port)
    except OSError as error:
        raise UsageError(f"port {port} cannot be used ({error.strerror}); --port chooses another") from error
    with server:
        note(f"the demo is at {server.url}; Ctrl-C ends it")
        threading.Thread(target=server.load_all, daemon=True).start()
        if opens_browser:
            webbrowser.open(server.url)
        server.serve_forever()


class DemoServer(ThreadingHTTPServer):
    """An HTTP server for the page and the models.

    Args:
        port: The port; 0 chooses a free one.
    """

    daemon_threads = True

    def __init__(self, port: int) -> None:
        if not packaged.names():
            raise UsageError(f"{packaged.FOLDER} has no models")
        super().__init__((HOST, port), _Handler)
        self._models: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}/"

    def load_all(self) -> None:
        """Loads the models, so that the first answers come sooner."""
        for name in packaged.names():
            with self._lock:
                self._model(name)

    def _model(self, name: str) -> Any:
        """Returns a model, which is loaded once. The caller holds the lock."""
        if name not in packaged.names():
            raise UsageError(f"there is no model {name!r}")
        if name not in self._models:
            self._models[name] = load(packaged.FOLDER / name)
        return self._models[name]

    def answer(self, task: str, name: str, values: Any) -> dict[str, Any]:
        """Computes the answer of a model.

        Args:
            task: A key of `ANSWERS`.
            name: The name of the model.
            values: What is entered into the form; see `answers.Form`.

        Raises:
            UsageError, DataError or ImageError: If it cannot be used.
        """
        form = parse(values)
        with self._lock:
            model = self._model(name)
            if task not in tasks(model.config.app):
                raise UsageError(f"{name} is no model for {task}")
            texts = {key: getattr(form, FIELDS[key]) for key in model.tokenizers if key in FIELDS}
            unknown = [token for key, text in texts.items() for token in model.assets[key].unknown(text)]
            return {"answer": ANSWERS[task](model, form), "unknown": unknown}


def tasks(app: str) -> list[str]:
    """Returns the tasks of the page that models of an app can do."""
    return [app, "inspection"] if app == "classification" else [app]


def models() -> list[dict[str, Any]]:
    """Describes the models for the page."""
    described = []
    for name in packaged.names():
        folder = packaged.FOLDER / name
        examples, labels = folder / "examples.json", folder / "labels.txt"
        described.append(
            {
                "name": name,
                "tasks": tasks(read_config(folder)["app"]),
                "summary": packaged.summary(folder),
                "labels": labels.read_text(encoding="utf-8").splitlines() if labels.exists() else [],
                "examples": json.loads(examples.read_text(encoding="utf-8")) if examples.exists() else [],
            }
        )
    return described


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: DemoServer

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        if not self._is_local():
            self._send(HTTPStatus.FORBIDDEN, b"only this machine is served", "text/plain")
        elif path == "/models":
            self._send_json(HTTPStatus.OK, models())
        elif (file := self._file(path)) is None:
            self._send(HTTPStatus.NOT_FOUND, b"not found", "text/plain")
        else:
            kind = "text/javascript" if file.suffix == ".js" else mimetypes.guess_type(file)[0]
            self._send(HTTPStatus.OK, file.read_bytes(), kind or "application/octet-stream")

    def do_POST(self) -> None:
        """`/TASK/MODEL` with a form as JSON; the answer is JSON with `answer`, or with `error`, one line."""
        task, _, name = unquote(self.path).strip("/").partition("/")
        size = self.headers.get("Content-Length", "")
        self.close_connection = True  # unless the body is read
        if not self._is_local() or task not in ANSWERS or not size.isdecimal():
            self._send_json(HTTPStatus.FORBIDDEN, {"error": "not allowed"})
            return
        if int(size) > MAX_BYTES:
            self._send_json(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {"error": "the picture is too large"})
            return
        values = self.rfile.read(int(size))
        self.close_connection = False
        try:
            self._send_json(HTTPStatus.OK, self.server.answer(task, name, json.loads(values)))
        except (*USER_ERRORS, ImageError, ValueError) as error:
            self._send_json(HTTPStatus.BAD_REQUEST, {"error": first_line(error)})

    def _is_local(self) -> bool:
        """Refuses pages of other sites, whose names may lead to this machine."""
        return self.headers.get("Host") in {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}

    @staticmethod
    def _file(path: str) -> Path | None:
        """Returns the file of a path, or None."""
        parts = path.strip("/").split("/")
        match parts:
            case [""]:
                return _PAGE / "index.html"
            case ["demo.js"]:
                return _PAGE / "demo.js"
            case ["web", name] if name in {file.name for file in browser.PAGE.iterdir()}:  # the page of an export
                return browser.PAGE / name
            case ["examples", name, picture] if name in packaged.names():
                pictures = packaged.FOLDER / name / "examples"
                return next((file for file in pictures.glob("*") if file.name == picture), None)
        return None

    def _send_json(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, json.dumps(value, ensure_ascii=False).encode(), "application/json")

    def _send(self, status: HTTPStatus, content: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", f"{kind}; charset=utf-8" if kind.startswith("text/") else kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: Any) -> None:
        """Requests are not logged."""
