"""Times the question answerer against a twin built from `keras.layers` only, in turns in one process. TensorFlow only.

    python benchmarks/vqa.py                                    # generated images, the small backbone of the app
    python benchmarks/vqa.py --data DIR --backbone FILE.keras --image-size 224 --json table.json

The twin is what a Keras user would write. It gets our weights, and the logits of both are compared without dropout
before anything is timed. The twin repeats each image for its questions before the first FiLM block; our model computes
everything before the first question once per image. Training is `model.fit` with Adam and dropout, from pixels in
memory if the backbone is trained and otherwise from cached features. Answers are computed by the exports of both,
loaded with plain TensorFlow, from encoded images and questions as strings, including decoding and the backbone. Figures
are medians of `--runs` turns; each row ends with the lowest and the highest ratio of a turn.
"""

import math
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import timing
from keras import layers, ops
from keras_recurrent.apps import recipes
from keras_recurrent.apps.shared.images.backbones import load_backbone
from keras_recurrent.apps.shared.images.pixels import pixel_reader
from keras_recurrent.apps.shared.options import read_yaml
from keras_recurrent.apps.shared.saved_model.images import decode_in_graph
from keras_recurrent.apps.shared.saved_model.tokenizers import in_graph
from keras_recurrent.apps.shared.text.tokenizers import WordTokenizer
from keras_recurrent.apps.vqa import data
from keras_recurrent.apps.vqa.answers import AnswerCrossentropy
from keras_recurrent.apps.vqa.config import Config
from keras_recurrent.apps.vqa.model import TOP, Answerer, build
from keras_recurrent.apps.vqa.signatures import QUESTIONS
from keras_recurrent.export.formats import write_saved_model
from timing import print_header, row, training_row
from twin import TwinImageEncoder, copy


class Twin:
    """The model with FiLM, built from `keras.layers`."""

    def __init__(self, config, size, answers, shape, backbone_model):
        images, owners, questions = (
            keras.Input(shape),
            keras.Input((), dtype="int32"),
            keras.Input((None,), dtype="int32"),
        )
        self.backbone = backbone_model and keras.models.clone_model(backbone_model)
        self.encoder = TwinImageEncoder(config.image_units, config.dropout)
        cells, *_ = self.encoder.encode(self.backbone(images) if self.backbone else images)
        cells = ops.take(cells, owners, axis=0)

        drop = layers.Dropout(config.dropout)
        self.embedding = layers.Embedding(size, config.embedding_dim)
        self.reader = layers.Bidirectional(layers.GRU(config.question_units))
        question = self.reader(drop(self.embedding(questions)), mask=ops.not_equal(questions, 0))

        units, blocks, side = config.fusion_units, range(config.blocks), math.isqrt(cells.shape[1])
        self.modulation = layers.Dense(2 * config.blocks * units)
        self.narrow = [layers.Dense(units, activation="relu") for _ in blocks]
        self.wide = [layers.Conv2D(units, 3, padding="same", use_bias=False) for _ in blocks]
        self.normalizations = [layers.BatchNormalization(momentum=0.9, center=False, scale=False) for _ in blocks]
        self.closing = layers.Dense(units, activation="relu")
        modulations = ops.reshape(self.modulation(question), (-1, config.blocks, 2, 1, 1, units))
        cells = ops.reshape(cells, (-1, side, side, config.image_units))
        for block in blocks:
            cells = self.narrow[block](cells)
            features = self.normalizations[block](self.wide[block](cells))
            cells += ops.relu((1 + modulations[:, block, 0]) * features + modulations[:, block, 1])
        fused = drop(ops.max(self.closing(cells), axis=(1, 2)))

        self.classifier = layers.Dense(config.classifier_units, activation="relu")
        self.answers = layers.Dense(answers)
        self.model = keras.Model([images, owners, questions], self.answers(drop(self.classifier(fused))))

    def copy(self, ours):
        """Copies the weights of our model."""
        fusion = ours.get_layer("fusion")
        if self.backbone:
            self.backbone.set_weights(ours.get_layer("image_encoder").backbone.get_weights())
        self.encoder.copy(ours.get_layer("image_encoder"))
        copy(ours.get_layer("question_encoder").trainable_variables, [self.embedding, self.reader])
        pairs = [(fusion.modulation, self.modulation), (fusion.closing, self.closing)]
        for part in ("narrow", "wide", "normalizations"):
            pairs += zip(getattr(fusion, part), getattr(self, part), strict=True)
        pairs += [(ours.get_layer(name), getattr(self, name)) for name in ("classifier", "answers")]
        for layer, target_layer in pairs:
            target_layer.set_weights(layer.get_weights())

    def export(self, folder, config, tokenizer, answers):
        """Writes a SavedModel with the signature of an `Answerer`."""

        graph = in_graph(tokenizer)

        def best(image_bytes, question):
            pixels, _ = decode_in_graph(image_bytes, config.image_size)
            ids = graph.padded(graph.encode(question, config.max_length))
            logits = self.model([tf.cast(pixels, tf.float32), tf.range(tf.shape(question)[0]), ids])
            probabilities, indices = tf.math.top_k(tf.nn.softmax(logits), min(TOP, len(answers)))
            return {"answers": tf.gather(tf.constant(answers), indices), "probabilities": probabilities}

        image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")
        write_saved_model(folder, {"serving_default": (best, [image_bytes, QUESTIONS])}, [graph.tracked])


def training(sides, examples, tokenizer, answers, config, options, backbone_model):
    """Times training from pixels or from features."""
    read_pixels = pixel_reader([example.image for example in examples], config.image_size)
    indices = np.arange(len(examples))
    images = np.concatenate(
        [
            read_pixels(part) if backbone_model.trainable else backbone_model.predict_on_batch(read_pixels(part))
            for part in np.array_split(indices, 20)
        ]
    )
    batches = data.batches(examples, lambda indices: images[indices], tokenizer, answers, config, "train")
    dataset = batches.get_tf_dataset().take(options.batches).cache()
    count = sum(len(batch_answers) for _, batch_answers in dataset)
    inputs, _ = next(iter(dataset))
    logits = [ops.convert_to_numpy(side.model(list(inputs), training=False)) for side in sides]
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max())
    print(f"logits agree within {np.abs(logits[0] - logits[1]).max():.0e}")
    print_header()
    what = f"training from {'pixels' if backbone_model.trainable else 'features'}, questions per second"
    return training_row(what, sides, lambda side: AnswerCrossentropy(), dataset, options.runs, count)


def answering(answerer, twin, examples, options):
    """Times the exports of both."""
    sides = answerer, twin
    with tempfile.TemporaryDirectory() as folder:
        paths = {side: str(Path(folder) / type(side).__name__) for side in sides}
        answerer.export(paths[answerer])
        twin.export(paths[twin], answerer.config, answerer.tokenizer, answerer.answers)
        loaded = {side: tf.saved_model.load(paths[side]) for side in sides}
    pairs = [(example.image.read(), question.text) for example in examples for question in example.questions]
    for size, times in ((64, 4), (1, 16)):
        contents, questions = zip(*pairs[:: max(1, len(pairs) // (size * times))][: size * times], strict=True)
        firsts = range(0, size * times, size)
        batches = [[tf.constant(side[first : first + size]) for side in (contents, questions)] for first in firsts]

        def answer(side, batches=batches):
            serve = loaded[side].signatures["serving_default"]
            return [serve(image_bytes=image_bytes, question=question)["answers"] for image_bytes, question in batches]

        for ours, theirs in zip(*map(answer, sides), strict=True):
            np.testing.assert_array_equal(ours[:, 0], theirs[:, 0])
        yield row(f"export, batch {size}, answers per second", answer, sides, options.runs, len(contents))


def main():
    parser = timing.parser(__doc__)
    parser.add_argument("--data", default="shapes", help="as in `vqa train`")
    parser.add_argument("--backbone", default="small", help="as in `vqa train`")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--batches", type=int, default=24, help="batches of a training run")
    options = parser.parse_args()
    timing.setup()
    recipe = read_yaml(recipes.find("vqa", "train", "shapes-full"))
    given = {"data": options.data, "backbone": options.backbone, "image_size": options.image_size, "dropout": 0.1}
    config = Config(**{**recipe, **given})
    keras.utils.set_random_seed(config.seed)
    examples = data.read(config, "train")[:640]
    texts = [question.text for example in examples for question in example.questions]
    tokenizer = WordTokenizer.fit(texts, config.vocabulary_size, config.lowercase)
    answers = data.answer_vocabulary(examples, config)
    backbone_model = load_backbone(options.backbone, config.image_size)
    backbone_model.trainable = options.backbone == "small"

    sizes = config, len(tokenizer), len(answers)
    pixels = (config.image_size, config.image_size, 3)
    reads = (pixels, backbone_model) if backbone_model.trainable else (backbone_model.output_shape[1:], None)
    answerer = Answerer(config, build(*sizes, *reads), tokenizer, answers)
    twin = Twin(*sizes, *reads)
    twin.copy(answerer.model)
    rows = [training((answerer, twin), examples, tokenizer, answers, config, options, backbone_model)]
    if not backbone_model.trainable:  # exports start from pixels
        answerer, twin = (
            Answerer(config, build(*sizes, pixels, backbone_model), tokenizer, answers),
            Twin(*sizes, pixels, backbone_model),
        )
    twin.copy(answerer.model)  # training with dropout made the weights differ
    rows += answering(answerer, twin, examples, options)
    timing.write_json(options, {"rows": rows})


if __name__ == "__main__":
    main()
