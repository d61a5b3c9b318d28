"""The example of a server: answers, errors, and many clients at once."""

import base64
import contextlib
import http.client
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from keras_recurrent.apps import cli, load

from .data import write

pytest.importorskip("litserve")
pytestmark = pytest.mark.rest

SERVER = Path(__file__).parents[2] / "docs/examples/server.py"
CLIENTS, SECONDS = 16, 5


def post(port, body):
    """The status and the answer to a request; `body` is JSON, or bytes to send as they are."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    body = body if isinstance(body, bytes) else json.dumps(body)
    with contextlib.closing(connection):
        connection.request("POST", "/predict", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        return response.status, json.loads(response.read())


@contextlib.contextmanager
def serving(export, log, *options):
    """Yields the port and the process of a server."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-P", SERVER, export, "--port", str(port), *options]
    with open(log, "wb") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        children = []
        try:
            for _ in range(300):
                with contextlib.suppress(ConnectionError):
                    connection = http.client.HTTPConnection("127.0.0.1", port)
                    connection.request("GET", "/health")
                    if connection.getresponse().status == 200:
                        break
                assert process.poll() is None, log.read_text()
                time.sleep(0.2)
            children = psutil.Process(process.pid).children(recursive=True)
            yield port, process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    _, alive = psutil.wait_procs(children, timeout=20)
    for child in alive:
        child.kill()
    assert not alive


def memory(process):
    """The memory of a process and of its children, in MB."""
    processes = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    return sum(each.memory_info().rss for each in processes) / 2**20


BAD_REQUESTS = [
    ({"text": ""}, "the text is empty"),
    ({"text": " \n"}, "the text is empty"),
    (b'{"text": "\\ud800"}', "the text is not UTF-8"),
    ({"text": 3}, "Input should be a valid string"),
    ({"words": "ein Hund"}, "a request has the keys text"),
    ({"text": "ein Hund", "beam_size": "5"}, "a request has the keys text"),
    (b'{"text": ', "JSON decode error"),
    ([], "Input should be a valid dictionary"),
    (b"", "Field required"),
]


def test_clients_get_their_own_answers(saved, exported, tmp_path):
    texts = [
        f"{subject} {verb} {place}."
        for subject in ("ein Hund", "eine Katze", "ein Kind")
        for verb in ("schläft", "rennt", "isst", "sitzt")
        for place in ("hier", "dort", "draußen")
    ]
    answers = {text: answer for text, answer in zip(texts, load(saved).translate(texts), strict=True)}
    assert answers["ein Hund schläft hier."].text == "a dog sleeps here."
    wrong, counts = [], {200: 0, 400: 0}

    def client(port, number, end):
        bad = itertools.cycle(BAD_REQUESTS[number % len(BAD_REQUESTS) :])
        good = itertools.cycle(texts[number:] + texts[:number])
        for index in itertools.count():
            if time.monotonic() > end:
                break
            is_bad = index % 4 == 3
            body, expected = next(bad) if is_bad else (None, next(good))
            status, answer = post(port, body if is_bad else {"text": expected})
            counts[status] += 1
            if is_bad:
                is_right = status == 400 and answer == {"error": expected}
            else:
                known = answers[expected]
                is_right = (status, answer["text"], answer["error"]) == (200, known.text, "")
                is_right = is_right and answer["score"] == pytest.approx(known.score, abs=1e-4)
            if not is_right:
                wrong.append((body, expected, status, answer))

    with serving(exported, tmp_path / "log", "--batch-timeout", "0.02") as (port, process):
        used = []
        for seconds in (1, SECONDS):
            threads = [
                threading.Thread(target=client, args=(port, number, time.monotonic() + seconds))
                for number in range(CLIENTS)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            used.append(memory(process))
    print(f"{counts[200]} answers, {counts[400]} errors, {used[0]:.0f} MB, after {SECONDS} s {used[1]:.0f} MB")
    assert not wrong
    assert counts[200] > 3 * CLIENTS and counts[400] > CLIENTS
    assert used[1] < used[0] + 30


def test_a_batch_with_bad_requests(exported, tmp_path):
    """The server waits until it has all requests that are objects of strings, so that they share a batch."""
    bodies = [body for body, _ in BAD_REQUESTS] + [{"text": "ein Hund schläft hier."}] * 2
    results = [None] * len(bodies)

    def client(port, index):
        results[index] = post(port, bodies[index])

    size = len(bodies) - 4
    options = "--max-batch-size", str(size), "--batch-timeout", "20"
    with serving(exported, tmp_path / "log", *options) as (port, _):
        threads = [threading.Thread(target=client, args=(port, index)) for index in range(len(bodies))]
        start = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - start
    assert results[: len(BAD_REQUESTS)] == [(400, {"error": error}) for _, error in BAD_REQUESTS]
    for status, answer in results[len(BAD_REQUESTS) :]:
        assert (status, answer["text"]) == (200, "a dog sleeps here.")
    assert seconds < 15  # else a batch was smaller


def test_pictures_are_sent_in_base64(tmp_path):
    model, export = Path(write.__file__).parent / "vqa", tmp_path / "export"
    assert cli.main(["vqa", "export", str(model), "--to", str(export)]) == 0
    picture = write.image()
    expected = load(model).answer([picture], ["Which colour is it?"])[0]
    with serving(export, tmp_path / "log") as (port, _):
        body = {"image_bytes": base64.b64encode(picture).decode(), "question": "Which colour is it?"}
        status, answer = post(port, body)
        assert status == 200
        assert answer["answers"][0] == expected[0].text
        assert answer["probabilities"][0] == pytest.approx(expected[0].probability, abs=1e-5)
        broken = base64.b64encode(picture[: len(picture) // 2]).decode()
        assert post(port, {**body, "image_bytes": broken}) == (400, {"error": "a broken or truncated image"})
        status, answer = post(port, {**body, "image_bytes": "?"})
        assert (status, answer["error"][:12]) == (400, "not Base64: ")
