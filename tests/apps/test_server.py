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

import numpy as np
import psutil
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.forecasting.data import Origins

from .data import write

pytest.importorskip("litserve")
pytestmark = pytest.mark.deploy

MODELS = Path(write.__file__).parent
SERVER = Path(__file__).parents[2] / "docs/examples/server.py"
CLIENTS, SECONDS = 16, 3


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
    ({"text": 3}, "text must be a string"),
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
    """The server waits until it has all requests that are objects, so that they share a batch."""
    bodies = [body for body, _ in BAD_REQUESTS] + [{"text": "ein Hund schläft hier."}] * 2
    results = [None] * len(bodies)

    def client(port, index):
        results[index] = post(port, bodies[index])

    size = len(bodies) - 3
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


@pytest.fixture
def answer(load_script):
    """`answer(export, requests)`: the answers to a batch of requests, without a server."""

    def answer(export, requests):
        api = load_script(SERVER).SavedModelAPI(str(export), max_batch_size=8)
        api.setup("cpu")
        return [api.encode_response(output) for output in api.predict([api.decode_request(x) for x in requests])]

    return answer


def export_of(app, folder):
    assert cli.main([app, "export", str(MODELS / app), "--to", str(folder)]) == 0
    return folder


def test_pictures_are_sent_in_base64(answer, tmp_path):
    picture, question = write.image(), "Which colour is it?"
    body = {"image_bytes": base64.b64encode(picture).decode(), "question": question}
    broken = {**body, "image_bytes": base64.b64encode(picture[: len(picture) // 2]).decode()}
    wrong = {**body, "image_bytes": "?"}
    *errors, right = answer(export_of("vqa", tmp_path / "export"), [broken, wrong, body])
    expected = load(MODELS / "vqa").answer([picture], [question])[0]
    assert right["answers"] == [prediction.text for prediction in expected]
    assert right["probabilities"] == pytest.approx([prediction.probability for prediction in expected], abs=1e-5)
    assert [error.status_code for error in errors] == [400, 400]
    messages = [json.loads(error.body)["error"] for error in errors]
    assert messages[0] == "a broken or truncated image"
    assert messages[1].startswith("not Base64: ")


def test_labels_are_in_each_answer(answer, tmp_path):
    texts = ["ein Hund schläft.", "eine Katze rennt", "", "ein Hund"]
    answers = answer(export_of("classification", tmp_path / "export"), [{"text": text} for text in texts])
    assert answers.pop(2).status_code == 400
    model = load(MODELS / "classification")
    for actual, expected in zip(answers, model.classify([text for text in texts if text]), strict=True):
        assert actual["label"] == expected.label
        assert actual["labels"] == model.labels
        assert json.dumps(actual)


def test_series_are_lists_of_numbers(answer, tmp_path):
    forecaster = load(MODELS / "forecasting")
    (tmp_path / "table.csv").write_text(write.series())
    panel, _ = forecaster.read(str(tmp_path / "table.csv"))
    inputs = forecaster.reader(panel).inputs(Origins(np.arange(2), panel.lengths))
    requests = [
        {"values": values.tolist(), "known": known.tolist()}
        for values, known in zip(inputs["values"], inputs["known"], strict=True)
    ]
    requests[0]["values"][1] = requests[0]["known"][3][0] = None
    inputs["values"][0, 1], inputs["observed"][0, 1], inputs["known"][0, 3, 0] = 0, 0, forecaster.means["known"][0]
    known = requests[0]["known"]
    wrong = {
        "values must have the shape (4,), not (3,)": {"values": [1, 2, 3], "known": known},
        "values must be lists of numbers of equal length": {"values": ["x"] * 4, "known": known},
        "known must be lists of numbers of equal length": {"values": [1, 2, 3, 4], "known": [[1], [1, 2]]},
        "the series has no value": {"values": [None] * 4, "known": known},
        "a value is infinite": {"values": [1, 2, 3, float("inf")], "known": known},
        "a request has the keys known, values": {"values": [1, 2, 3, 4]},
    }
    answers = answer(export_of("forecasting", tmp_path / "export"), [*requests, *wrong.values()])
    for actual, expected in zip(answers, forecaster.quantiles(inputs), strict=False):
        assert actual["quantiles"] == [pytest.approx(own, rel=1e-4) for own in expected]
        assert actual["forecast"] == actual["quantiles"][forecaster.median] and json.dumps(actual)
    assert [(own.status_code, json.loads(own.body)["error"]) for own in answers[2:]] == [(400, text) for text in wrong]
