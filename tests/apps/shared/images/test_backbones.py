import keras
import numpy as np
import pytest
from keras import layers, ops
from keras_recurrent.apps.captioning.config import Config
from keras_recurrent.apps.shared.errors import TrainingError
from keras_recurrent.apps.shared.images.backbones import configured_backbone, load_backbone

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 64, 64, 3)).astype("float32")


@pytest.mark.parametrize(
    ("name", "shape"),
    [("small", (8, 8, 128)), ("MobileNet", (2, 2, 1024)), pytest.param("VGG16", (2, 2, 512), marks=pytest.mark.rest)],
)
def test_feature_maps(name, shape, tmp_path):
    network = load_backbone(name, 64)
    assert network.output_shape[1:] == shape
    network.save(tmp_path / "network.keras")
    again = load_backbone(str(tmp_path / "network.keras"), 64)
    np.testing.assert_array_equal(ops.convert_to_numpy(again(IMAGES)), ops.convert_to_numpy(network(IMAGES)))


def test_the_networks_own_scaling_is_inside(tmp_path):
    network = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3))
    network.save_weights(tmp_path / "mobile.weights.h5")
    expected = network(keras.applications.mobilenet.preprocess_input(IMAGES.copy()))
    found = load_backbone("MobileNet", 64, str(tmp_path / "mobile.weights.h5"))(IMAGES)
    np.testing.assert_allclose(ops.convert_to_numpy(found), ops.convert_to_numpy(expected), atol=1e-5)


@pytest.mark.parametrize("name", ["small", pytest.param("MobileNet", marks=pytest.mark.rest)])
def test_precision_is_that_of_the_training(name, tmp_path):
    network = configured_backbone(Config(backbone=name, image_size=32, precision="mixed_bfloat16")).model
    assert network(IMAGES[:, :32, :32]).dtype == "bfloat16"
    assert {weight.dtype for weight in network.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"
    network.save(tmp_path / "network.keras")
    kept = configured_backbone(Config(backbone=str(tmp_path / "network.keras"), image_size=32)).model
    assert kept(IMAGES[:, :32, :32]).dtype == "bfloat16"


@pytest.mark.rest
def test_a_network_for_images_of_another_size(tmp_path):
    """Its weights are those of the file, also where it holds another network, unless they belong to a size."""
    inner = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(32, 32, 3))
    images = keras.Input((32, 32, 3))
    keras.Model(images, inner(layers.Rescaling(1 / 255)(images))).save(tmp_path / "network.keras")
    wider = keras.applications.MobileNet(include_top=False, weights=None, input_shape=(64, 64, 3))
    wider.set_weights(inner.get_weights())
    found = load_backbone(str(tmp_path / "network.keras"), 64)
    assert found.output_shape == (None, 2, 2, 1024)
    np.testing.assert_allclose(
        ops.convert_to_numpy(found(IMAGES)), ops.convert_to_numpy(wider(IMAGES / 255)), atol=1e-6
    )
    keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)]).save(tmp_path / "flat.keras")
    with pytest.raises(TrainingError, match=r"images of shape \(8, 8, 3\) and cannot be rebuilt"):
        load_backbone(str(tmp_path / "flat.keras"), 16)
    keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(2, 3)]).save(tmp_path / "grey.keras")
    with pytest.raises(TrainingError, match=r"takes inputs of shape \(16, 16, 1\); images have \(16, 16, 3\)"):
        load_backbone(str(tmp_path / "grey.keras"), 16)


def test_no_feature_map(tmp_path):
    flat = keras.Sequential([keras.Input((8, 8, 3)), layers.Flatten(), layers.Dense(3)])
    flat.save(tmp_path / "flat.keras")
    with pytest.raises(TrainingError, match="not a feature map of four dimensions"):
        load_backbone(str(tmp_path / "flat.keras"), 8)
    images = keras.Input((8, 8, 3))
    keras.Model(images, {"map": layers.Conv2D(2, 3)(images)}).save(tmp_path / "named.keras")
    with pytest.raises(TrainingError, match="not a feature map of four dimensions"):
        load_backbone(str(tmp_path / "named.keras"), 8)
    keras.Sequential([layers.Conv2D(2, 3)]).save(tmp_path / "unbuilt.keras")
    with pytest.raises(TrainingError, match=r"takes inputs of shape None; images have \(8, 8, 3\)"):
        load_backbone(str(tmp_path / "unbuilt.keras"), 8)
    keras.Sequential([keras.Input((None, None, 3)), layers.Conv2D(2, 9)]).save(tmp_path / "wide.keras")
    with pytest.raises(TrainingError, match=r"cannot read images of shape \(8, 8, 3\)"):
        load_backbone(str(tmp_path / "wide.keras"), 8)
    (tmp_path / "text.keras").write_text("no model")
    with pytest.raises(TrainingError, match=r"text\.keras: not a Keras model"):
        load_backbone(str(tmp_path / "text.keras"), 8)
