"""A training on several devices or hosts gives the losses and weights of one device."""

import os
import random
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from keras_recurrent.apps.shared.models.outputs import STATES
from PIL import Image

pytest.importorskip("jax")
pytestmark = pytest.mark.devices

# Trains once on one device and once on all, in one process.
SCRIPT = """
import sys
import time
from keras_recurrent.apps import cli
folder, *arguments = sys.argv[1:]
for name, devices in (("one", "1"), ("all", "all")):
    status = cli.main([*arguments, "--output", f"{folder}/{name}", *(["--devices", devices] if name == "all" else [])])
    assert status == 0, name
"""
MAIN = "import sys; from keras_recurrent.apps import cli; sys.exit(cli.main(sys.argv[1:]))"
SMALL = ["--epochs", "1", "--embedding-dim", "8", "--seed", "3", "--learning-rate", "0.0005"]
COLOURS = {"red": (200, 30, 30), "green": (30, 200, 30), "blue": (30, 30, 200)}


def write_tables(folder, app, rows):
    """Writes `train` and `validation`, each with these rows."""
    header = "image\tcaption" if app == "captioning" else "image\tquestion\tanswer"
    for split in ("train", "validation"):
        (folder / f"{split}.tsv").write_text("\n".join([header, *rows]) + "\n")


def pictures(folder):
    """Draws 40 pictures of one colour, and returns their names and colours."""
    (folder / "images").mkdir()
    drawn = []
    for index in range(40):
        name = random.Random(index).choice([*COLOURS])
        pixels = np.full((16, 16, 3), COLOURS[name], "uint8")
        pixels[: index % 16] //= 2
        Image.fromarray(pixels).save(folder / "images" / f"{index}.png")
        drawn.append((f"{index}.png", name))
    return drawn


@pytest.fixture(params=["translation", "generation", "captioning", "vqa"])
def command(request, tmp_path):
    """The arguments of a training. But for images, whose backbone normalizes a batch, batches do not divide by four."""
    app, folder = request.param, tmp_path / "data"
    folder.mkdir()
    generator = random.Random(0)
    words = ["a", "dog", "cat", "sleeps", "runs", "here", "there"]
    texts = [" ".join(generator.choices(words, k=generator.randint(2, 9))) for _ in range(70)]
    options = ["--units", "8", "--batch-size", "6", *SMALL]
    if app == "translation":
        for split in ("train", "validation"):
            for language in ("en", "xx"):
                lines = [text if language == "en" else text[::-1] for text in texts]
                (folder / f"{split}.{language}").write_text("\n".join(lines) + "\n")
        sizes = ["--encoder-units", "8", "--decoder-units", "8", "--batch-size", "6"]
        options = ["--source", "en", "--target", "xx", "--tokenizer", "characters", *sizes, *SMALL]
    elif app == "generation":
        for split in ("train", "validation"):
            (folder / f"{split}.txt").write_text("\n".join(texts) + "\n")
    elif app == "captioning":
        rows = [f"{name}\ta {colour} picture {'of ' * (len(name) % 3)}" for name, colour in pictures(folder)]
        write_tables(folder, app, rows)
        sizes = ["--image-units", "8", "--decoder-units", "8", "--batch-size", "4", "--image-size", "16"]
        options = [*sizes, "--backbone", "small", *SMALL]
    else:
        rows = [f"{name}\twhat colour is it ?\t{colour}" for name, colour in pictures(folder)]
        rows += [f"{name}\tis it red ?\t{'yes' if colour == 'red' else 'no'}" for name, colour in pictures_again(rows)]
        write_tables(folder, app, rows)
        sizes = ["--image-units", "8", "--question-units", "8", "--fusion-units", "8", "--classifier-units", "8"]
        options = [*sizes, "--fusion", "add", "--batch-size", "6", "--image-size", "16", "--backbone", "small", *SMALL]
    return [app, "train", "--data", str(folder), *options]


def pictures_again(rows):
    return [(row.split("\t")[0], row.split("\t")[2]) for row in rows[::2]]


def environment(devices):
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    return {**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags}


def results(folder):
    """The losses and weights of a model's folder."""
    import keras
    import keras_recurrent.layers  # noqa: F401, registers them

    history = np.genfromtxt(folder / "history.csv", delimiter=",", names=True)
    weights = keras.models.load_model(folder / "model.keras", compile=False).get_weights()
    return [history["loss"], history["val_loss"]], weights


def assert_same(folder, other):
    for values, expected in zip(results(folder), results(other), strict=True):
        for value, wanted in zip(values, expected, strict=True):
            np.testing.assert_allclose(value, wanted, atol=1e-5)


def test_four_devices_give_the_result_of_one(command, tmp_path):
    run = [sys.executable, "-c", SCRIPT, str(tmp_path), *command]
    result = subprocess.run(run, env=environment(4), capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert_same(tmp_path / "all", tmp_path / "one")


def free_port():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


def start(command, output, address, host):
    arguments = [*command, "--output", str(output), "--hosts", f"{address},127.0.0.1", "--host", str(host)]
    run = [sys.executable, "-c", MAIN, *arguments]
    return subprocess.Popen(run, env=environment(2), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


@pytest.mark.parametrize("command", ["vqa"], indirect=True)
def test_two_hosts_give_the_result_of_one(command, tmp_path):
    address = f"127.0.0.1:{free_port()}"
    processes = [start(command, tmp_path / "hosts", address, host) for host in (1, 0)]
    errors = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
    alone = [sys.executable, "-c", MAIN, *command, "--output", str(tmp_path / "one")]
    subprocess.run(alone, env=environment(1), check=True, capture_output=True)
    assert_same(tmp_path / "hosts", tmp_path / "one")


@pytest.mark.parametrize("command", ["translation"], indirect=True)
def test_a_killed_host_ends_the_training_which_one_device_resumes(command, tmp_path):
    address, output = f"127.0.0.1:{free_port()}", tmp_path / "hosts"
    command = [*command, "--epochs", "300", "--patience", "300"]
    other, first = (start(command, output, address, host) for host in (1, 0))
    states = tmp_path / ".hosts.unfinished" / STATES
    deadline = time.monotonic() + 240
    while len([*states.glob("*.npz")]) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
    other.kill()
    error = first.communicate(timeout=150)[1]
    assert first.returncode == 2, error
    assert "another host has stopped or does not answer; --resume continues the training" in error.splitlines()[-1]
    resumed = [sys.executable, "-c", MAIN, *command, "--output", str(output), "--resume"]
    process = subprocess.Popen(
        resumed, env=environment(1), stderr=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL
    )
    lines = iter(process.stderr.readline, "")
    assert any("resuming after epoch" in line for line in lines)
    assert any("epoch" in line and "val_loss" in line for line in lines)  # the next one
    process.kill()
    process.communicate()


@pytest.mark.parametrize("command", ["translation"], indirect=True)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--devices", "3"], "--devices 3: there are 2 of the kind cpu:0"),
        (["--devices", "some"], "--devices takes a positive integer or all, not 'some'"),
        (["--devices", "2", "--batch-size", "1"], "--batch-size 1 is smaller than the 2 devices"),
        (["--hosts", "a,b"], "--hosts requires --host, the index of this host among them, from 0"),
        (["--hosts", "a,b", "--host", "2"], "--host 2: there are 2 hosts, the first one is 0"),
        (["--hosts", "127.0.0.1:{port},10.0.0.7", "--host", "0"], "no answer from 10.0.0.7"),
        (["--hosts", "127.0.0.1:{port},b", "--host", "1"], "host 0 does not answer at 127.0.0.1:"),
    ],
)
def test_mistakes_are_one_line(command, options, message, tmp_path):
    options = [option.format(port=free_port()) for option in options]
    script = f"from keras_recurrent.apps.shared.training import devices; devices.TIMEOUT = 3; {MAIN}"
    run = [sys.executable, "-c", script, *command, "--output", str(tmp_path / "model"), *options]
    result = subprocess.run(run, env=environment(2), capture_output=True, text=True)
    assert result.returncode == 2
    assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "model").exists()
