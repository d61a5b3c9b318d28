"""A `.keras` file from a stranger runs no code, reads no other file, and does not unpack to gigabytes."""

import json
import os
import zipfile

import h5py
import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps.shared.models.keras_files import load_keras_file


@pytest.fixture
def path(tmp_path):
    """A `.keras` file with a small model."""
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(3, name="dense")]).save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def rewrite(path, compression=zipfile.ZIP_STORED, **contents):
    """Replaces files of a `.keras` file; `weights` is the path of an HDF5 file, `config` a function of the config."""
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if "weights" in contents:
        files["model.weights.h5"] = contents.pop("weights").read_bytes()
    if "layer" in contents:
        config = json.loads(files["config.json"])
        config["config"]["layers"][-1] = contents.pop("layer")
        files["config.json"] = json.dumps(config).encode()
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in {**files, **contents}.items():
            archive.writestr(name, content)


def test_a_file_of_keras(path):
    np.testing.assert_array_equal(load_keras_file(path)(np.zeros((1, 2))), np.zeros((1, 3)))


def test_a_lambda_layer(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = keras.layers.Lambda(lambda x: __import__("pathlib").Path("ran").touch() or x)
    keras.Sequential([keras.Input((2,)), evil]).save(path)
    (tmp_path / "ran").unlink()  # Keras has called it
    with pytest.raises(ValueError, match=r"Lambda|lambda"):
        load_keras_file(path)
    assert not (tmp_path / "ran").exists()


def test_a_saved_model_layer(path, tmp_path):
    module = tf.Module()
    module.f = tf.function(lambda x: x, input_signature=[tf.TensorSpec([None, 2])])
    tf.saved_model.save(module, tmp_path / "saved", signatures=module.f)
    config = {"filepath": str(tmp_path / "saved"), "call_endpoint": "serving_default", "name": "evil"}
    rewrite(
        path, layer={"module": "keras.layers", "class_name": "TFSMLayer", "config": config, "registered_name": None}
    )
    with pytest.raises(ValueError, match="TFSMLayer"):
        load_keras_file(path)


@pytest.mark.parametrize("module", ["os", "subprocess", "keras.utils", "builtins"])
def test_a_function_as_a_layer(path, module, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    name = {"os": "system", "subprocess": "run", "keras.utils": "get_file", "builtins": "exec"}[module]
    rewrite(path, layer={"module": module, "class_name": name, "config": {"command": "touch ran"}})
    with pytest.raises(ValueError):
        load_keras_file(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["external link", "soft link", "external array", "virtual array"])
def test_weights_in_another_file(path, tmp_path, kind):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["0"] = np.ones((2, 3), "float32")
    with zipfile.ZipFile(path) as archive:
        (tmp_path / "weights.h5").write_bytes(archive.read("model.weights.h5"))
    with h5py.File(tmp_path / "weights.h5", "a") as file:
        group = file["layers/dense/vars"]
        del group["0"]
        if kind == "external link":
            group["0"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "/0")
        elif kind == "soft link":
            group["0"] = h5py.SoftLink("/layers/dense/vars/1")
        elif kind == "external array":
            group.create_dataset("0", (2, 3), "float32", external=[(str(tmp_path / "secret.h5"), 0, 24)])
        else:
            layout = h5py.VirtualLayout((2, 3), "float32")
            layout[:] = h5py.VirtualSource(str(tmp_path / "secret.h5"), "0", (2, 3))
            group.create_virtual_dataset("0", layout)
    rewrite(path, weights=tmp_path / "weights.h5")
    with pytest.raises(ValueError, match=r"are in another file|are a link"):
        load_keras_file(path)


@pytest.mark.parametrize("name", ["config.json", "assets/large", "model.weights.h5"])
def test_a_file_that_unpacks_to_much_more(path, name):
    rewrite(path, zipfile.ZIP_DEFLATED, **{name: bytes(100_000_000)})
    assert path.stat().st_size < 1_000_000
    with pytest.raises(ValueError, match=r"bytes unpack to 100,\d{3},\d{3}, possibly a decompression bomb"):
        load_keras_file(path)


@pytest.mark.parametrize("options", [{}, {"compression": "gzip", "chunks": (10**4, 10**4)}], ids=["empty", "packed"])
def test_an_array_that_is_larger_than_its_file(path, tmp_path, options):
    with h5py.File(tmp_path / "weights.h5", "w") as file:
        file.create_dataset("layers/dense/vars/0", (10**5, 10**6), "float32", **options)
    rewrite(path, weights=tmp_path / "weights.h5")
    with pytest.raises(ValueError, match="bytes unpack to 400,000,000,000"):
        load_keras_file(path)


@pytest.mark.parametrize("name", ["../evil", "/evil", "assets/../../evil", "c:\\evil"])
def test_a_file_that_would_be_written_elsewhere(path, name):
    rewrite(path, **{name: b"x"})
    with pytest.raises(ValueError, match="outside of its folder"):
        load_keras_file(path)


def test_what_is_no_keras_file(path, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    for other in (tmp_path / "fifo", tmp_path, "/dev/zero"):
        with pytest.raises(ValueError, match="not a regular file"):
            load_keras_file(other)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"not a \.keras file"):
        load_keras_file(path)


def test_a_configuration_that_is_nested_deeply(path):
    rewrite(path, **{"config.json": b"[" * 200_000})
    with pytest.raises(ValueError):
        load_keras_file(path)
