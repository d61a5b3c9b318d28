"""Times the captioner against a twin built from `keras.layers` only, in turns in one process. TensorFlow only.

    python benchmarks/captioning.py                          # random images and captions, the small backbone of the app
    python benchmarks/captioning.py --data DIR --backbone FILE.keras --image-size 224 --json table.json

The twin is what a Keras user would write. It gets our weights, and the logits of both are compared without dropout
before anything is timed. Training is `model.fit` on batches of cached features, including Adam and dropout. Captioning
starts from encoded images and includes decoding, the backbone and a beam search with 5 beams; the twin uses our
`layers.beam_search`. As neither model is trained, the bias of the end token is -1e9 in both, so that each search takes
all `--steps`.
The last line compares the images per second that the input pipeline decodes with those that training consumes with the
backbone included, which is frozen if it is read from a file.
Figures are medians of `--runs` turns; each row ends with the lowest and the highest ratio of a turn.
"""

import dataclasses
import functools
import io
import statistics
import tempfile
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
import timing
from keras import layers, ops
from keras_recurrent.apps.captioning import data
from keras_recurrent.apps.captioning.config import Config
from keras_recurrent.apps.captioning.model import Captioner, build
from keras_recurrent.apps.shared.images.backbones import configured_backbone
from keras_recurrent.apps.shared.images.pixels import pixel_reader
from keras_recurrent.apps.shared.saved_model.images import decode_in_graph
from keras_recurrent.apps.shared.saved_model.tokenizers import in_graph
from keras_recurrent.apps.shared.text.tokenizers import END, WordTokenizer
from keras_recurrent.apps.shared.training.losses import TokenCrossentropy
from keras_recurrent.datasets.images import CaptionedImage, Image
from PIL import Image as Picture
from timing import print_header, row, training_row
from twin import TwinDecoder, TwinImageEncoder, copy


class Twin:
    """The model from features to captions, built from `keras.layers`."""

    def __init__(self, config, size, shape):
        self.encoder = TwinImageEncoder(config.image_units, config.dropout)
        rnn = {"lstm": layers.LSTM, "gru": layers.GRU}[config.cell]
        self.decoder = TwinDecoder(rnn, size, config.embedding_dim, config.decoder_units, config.dropout)
        features, tokens = keras.Input(shape), keras.Input((None,), dtype="int32")
        self.model = keras.Model((features, tokens), self.decoder.logits(tokens, *self.encoder.encode(features)))

    def search(self, features, **options):
        return self.decoder.search(*self.encoder.encode(features, training=False), **options)

    def copy(self, ours):
        self.encoder.copy(ours.encoder)
        copy(ours.decoder.trainable_variables, self.decoder.layers)


def random_examples(folder, size, count=640):
    """Yields images of noise with captions of random words, with the lengths of Flickr8k."""
    random = np.random.default_rng(0)
    words = [f"w{number}" for number in range(5000)]
    for number in range(count):
        path = Path(folder) / f"{number}.jpg"
        colours = random.integers(0, 256, (8, 8, 3), "uint8")
        file = io.BytesIO()
        Picture.fromarray(colours).resize((size, size)).save(file, "JPEG", quality=90)
        path.write_bytes(file.getvalue())
        lengths = np.clip(random.normal(11.8, 3.8, 5).round().astype(int), 3, 35)
        captions = [" ".join(random.choice(words, length)) for length in lengths]
        yield CaptionedImage(Image(path.name, path), captions)


def one_caption_per_image(inputs, target, weights):
    """Converts a batch of images with several captions each into a batch of captions with one image each."""
    images, tokens = inputs
    captions = tf.shape(tokens)[1]
    tokens, target, weights = (tf.reshape(x, (-1, tf.shape(x)[2])) for x in (tokens, target, weights))
    return (tf.repeat(images, captions, axis=0), tokens), target, weights


def compare(backbone, examples, tokenizer, config, options):
    """Times training on cached features, and captioning of encoded images."""
    read_pixels = pixel_reader([example.image for example in examples], config.image_size)
    indices = np.arange(len(examples))
    features = np.concatenate([backbone.predict_on_batch(read_pixels(part)) for part in np.array_split(indices, 20)])
    features = features.astype("float16")
    batches = data.batches(examples, lambda indices: features[indices], tokenizer, config, "train", by_length=True)
    grouped = batches.get_tf_dataset().take(options.batches).cache()
    dataset = grouped.map(one_caption_per_image).cache()
    count = sum(len(target) for _, target, _ in dataset)
    ours, twin = build(config, len(tokenizer)), Twin(config, len(tokenizer), features.shape[1:])
    inputs, *_ = next(iter(dataset))
    ours(inputs)  # builds the weights
    twin.copy(ours)
    logits = [ops.convert_to_numpy(model(inputs, training=False)) for model in (ours, twin.model)]
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max())
    print(f"logits agree within {np.abs(logits[0] - logits[1]).max():.0e}")
    print_header()
    sides = Captioner(config, ours, tokenizer), twin
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    losses = {sides[0]: TokenCrossentropy(), twin: sparse}
    rows = [training_row("training, captions per second", sides, losses.get, dataset, options.runs, count)]
    datasets = {sides[0]: grouped, twin: dataset}
    ours.compile(timing.ADAM(), losses[sides[0]])  # the compiled graph does not accept inputs of another rank
    what = "the same, each image encoded once for all its captions, as in the app"
    rows.append(
        row(what, lambda side: side.model.fit(datasets[side], shuffle=False, verbose=0), sides, options.runs, count)
    )

    bias = ours.decoder.output_projection.bias
    bias.assign(np.where(np.arange(bias.shape[0]) <= END, -1e9, bias))  # padding, unknown and start are excluded, too
    twin.copy(ours)
    search = {"beam_size": 5, "max_length": options.steps, "alpha": 1.0}

    graph = in_graph(tokenizer)

    def captions(side, contents):
        pixels, _ = decode_in_graph(contents, config.image_size)
        maps = backbone(tf.cast(pixels, tf.float32), training=False)
        hypotheses = (side.model if side is not twin else twin).search(maps, **search)
        return graph.decode(hypotheses.tokens[:, 0])

    graphs = {
        side: tf.function(functools.partial(captions, side), [tf.TensorSpec([None], tf.string)], autograph=False)
        for side in sides
    }
    contents = [example.image.read() for example in examples[:64]]
    for size, times in ((64, 1), (1, 8)):
        batches = [tf.constant(contents[first * size : (first + 1) * size]) for first in range(times)]
        what = f"beam 5, {options.steps} steps, batch {size}, captions per second from encoded images"
        rows.append(row(what, lambda side, of=batches: [*map(graphs[side], of)], sides, options.runs, size * times))
    return rows


def pipeline(backbone, examples, tokenizer, config, options):
    """Compares the speed of the input pipeline alone with that of training."""
    config = dataclasses.replace(config, captions_per_image=1)
    reader = pixel_reader([example.image for example in examples], config.image_size)
    batches = data.batches(examples, reader, tokenizer, config, "train", by_length=not backbone.trainable)
    count = sum(len(target) for _, target, _ in batches)
    model = build(config, len(tokenizer), backbone)
    model.compile(timing.ADAM(), TokenCrossentropy())
    calls = [lambda: [*batches], lambda: model.fit(batches, shuffle=False, verbose=0)]
    decoded, trained = (count / statistics.median(of) for of in timing.interleaved(calls, options.runs))
    ratio = decoded / trained
    print(f"\nimages per second: decoded {decoded:,.0f}, trained with the backbone {trained:,.0f}, ratio {ratio:.1f}")
    return {"decoded": decoded, "trained": trained}


def main():
    parser = timing.parser(__doc__)
    parser.add_argument("--data", metavar="DIR", help="a folder with train.tsv and images/")
    parser.add_argument("--backbone", default="small", help="as in `captioning train`")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=14, help="steps of each search")
    parser.add_argument("--batches", type=int, default=16, help="batches of a training run")
    options = parser.parse_args()
    timing.setup()
    sizes = {"image_size": options.image_size, "embedding_dim": 256, "image_units": 256, "decoder_units": 512}
    parts = {"backbone": options.backbone, "score": "additive", "input_feeding": False}
    config = Config(**sizes, **parts, batch_size=64, dropout=0.4, cell="lstm")
    keras.utils.set_random_seed(config.seed)
    backbone = configured_backbone(config).model
    with tempfile.TemporaryDirectory() as folder:
        if options.data:
            examples = data.read(dataclasses.replace(config, data=options.data), "train")[:640]
        else:
            examples = list(random_examples(folder, config.image_size))
        captions = [caption for example in examples for caption in example.captions]
        tokenizer = WordTokenizer.fit(captions, config.vocabulary_size, config.lowercase)
        rows = compare(backbone, examples, tokenizer, config, options)
        timing.write_json(options, {"rows": rows, "pipeline": pipeline(backbone, examples, tokenizer, config, options)})


if __name__ == "__main__":
    main()
