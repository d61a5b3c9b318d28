"""Times the captioner against its twin from `keras.layers` alone, interleaved in one process. TensorFlow only.

    python benchmarks/captioning.py                          # random features and captions, the app's small backbone
    python benchmarks/captioning.py --data DIR --backbone FILE.keras --image-size 224 --json table.json

The twin is what a Keras user would write; it gets our weights, and the logits of the two are compared first, without
dropout. Training is `model.fit` on batches of cached features, Adam and dropout included. Captions are those of encoded
pictures, decoding, backbone and beam search of 5 included; the twin's search is our `layers.beam_search`. Both are
untrained and would end anywhere, so the end token's bias is -1e9 in both, and each search takes all `--steps`.
The last line is of the input pipeline: how many pictures a second it decodes, and how many training takes where the
backbone is part of it, one from a file frozen, as in the app.
A figure is the median of `--runs`, the sides taking turns; a row ends with the lowest and the highest ratio of a turn.
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
from keras_recurrent.apps.shared.images.backbones import configured
from keras_recurrent.apps.shared.images.graph import decode_in_graph
from keras_recurrent.apps.shared.images.pixels import pixel_reader
from keras_recurrent.apps.shared.text.tokenizers import END, WordTokenizer
from keras_recurrent.apps.shared.training.losses import TokenCrossentropy
from keras_recurrent.datasets.images import CaptionedImage, Image
from PIL import Image as Picture
from timing import head, row, training_row
from twin import TwinDecoder, TwinImageEncoder, copy


class Twin:
    """The model from features to captions, from `keras.layers`."""

    def __init__(self, config, size, shape):
        self.encoder = TwinImageEncoder(config.image_units, config.dropout)
        rnn = {"lstm": layers.LSTM, "gru": layers.GRU}[config.cell]
        self.decoder = TwinDecoder(rnn, size, config.embedding_dim, config.decoder_units, config.dropout)
        features, read = keras.Input(shape), keras.Input((None,), dtype="int32")
        self.model = keras.Model((features, read), self.decoder.logits(read, *self.encoder.encode(features)))

    def search(self, features, **options):
        return self.decoder.search(*self.encoder.encode(features, training=False), **options)

    def copy(self, ours):
        self.encoder.copy(ours.encoder)
        copy(ours.decoder.trainable_variables, self.decoder.layers)


def drawn(folder, size, count=640):
    """Pictures of noise and captions of random words, as long as Flickr8k's."""
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


def apart(inputs, target, weights):
    """A batch of images with several captions each, as one of captions with an image each."""
    images, read = inputs
    captions = tf.shape(read)[1]
    read, target, weights = (tf.reshape(x, (-1, tf.shape(x)[2])) for x in (read, target, weights))
    return (tf.repeat(images, captions, axis=0), read), target, weights


def compare(eyes, examples, tokenizer, config, options):
    """Training on cached features, and captions from encoded pictures."""
    read_pixels = pixel_reader([example.image for example in examples], config.image_size)
    places = np.arange(len(examples))
    features = np.concatenate([eyes.predict_on_batch(read_pixels(part)) for part in np.array_split(places, 20)])
    features = features.astype("float16")
    batches = data.batches(examples, lambda places: features[places], tokenizer, config, "train", by_length=True)
    together = batches.dataset.take(options.batches).cache()
    dataset = together.map(apart).cache()
    count = sum(len(target) for _, target, _ in dataset)
    ours, twin = build(config, len(tokenizer)), Twin(config, len(tokenizer), features.shape[1:])
    inputs, *_ = next(iter(dataset))
    ours(inputs)  # makes its weights
    twin.copy(ours)
    logits = [ops.convert_to_numpy(model(inputs, training=False)) for model in (ours, twin.model)]
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max())
    print(f"the two agree: logits to {np.abs(logits[0] - logits[1]).max():.0e}")
    head()
    sides = Captioner(config, ours, tokenizer), twin
    sparse = keras.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="mean_with_sample_weight")
    losses = {sides[0]: TokenCrossentropy(), twin: sparse}
    rows = [training_row("training, captions a second", sides, losses.get, dataset, options.runs, count)]
    datasets = {sides[0]: together, twin: dataset}
    ours.compile(timing.ADAM(), losses[sides[0]])  # a graph of one rank does not take the other
    what = "the same, each image encoded once for its captions, as the app does"
    rows.append(
        row(what, lambda side: side.model.fit(datasets[side], shuffle=False, verbose=0), sides, options.runs, count)
    )

    bias = ours.decoder.output_projection.bias
    bias.assign(np.where(np.arange(bias.shape[0]) <= END, -1e9, bias))  # padding, unknown and start are no answers, too
    twin.copy(ours)
    search = {"beam_size": 5, "max_length": options.steps, "alpha": 1.0}

    def captions(side, contents):
        maps = eyes(tf.cast(decode_in_graph(contents, config.image_size), tf.float32), training=False)
        found = (side.model if side is not twin else twin).search(maps, **search)
        return tokenizer.decode(found.tokens[:, 0])

    graphs = {
        side: tf.function(functools.partial(captions, side), [tf.TensorSpec([None], tf.string)], autograph=False)
        for side in sides
    }
    contents = [example.image.read() for example in examples[:64]]
    for size, times in ((64, 1), (1, 8)):
        batches = [tf.constant(contents[first * size : (first + 1) * size]) for first in range(times)]
        what = f"beam 5, {options.steps} steps, {size} at once, captions a second from encoded pictures"
        rows.append(row(what, lambda side, of=batches: [*map(graphs[side], of)], sides, options.runs, size * times))
    return rows


def pipeline(eyes, examples, tokenizer, config, options):
    """What the input pipeline delivers alone, and what training takes of it."""
    config = dataclasses.replace(config, captions_per_image=1)
    reader = pixel_reader([example.image for example in examples], config.image_size)
    batches = data.batches(examples, reader, tokenizer, config, "train", by_length=not eyes.trainable)
    count = sum(len(target) for _, target, _ in batches.dataset)
    model = build(config, len(tokenizer), eyes)
    model.compile(timing.ADAM(), TokenCrossentropy())
    calls = [lambda: [*batches.dataset], lambda: model.fit(batches.dataset, shuffle=False, verbose=0)]
    alone, taken = (count / statistics.median(of) for of in timing.interleaved(calls, options.runs))
    print(
        f"\npictures a second: decoded {alone:,.0f}, trained on {taken:,.0f} (backbone included), {alone / taken:.1f}"
    )
    return {"decoded": alone, "trained": taken}


def main():
    parser = timing.parser(__doc__)
    parser.add_argument("--data", metavar="DIR", help="a folder with train.tsv and images/")
    parser.add_argument("--backbone", default="small", help="as in `captioning train`")
    parser.add_argument("--image-size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=14, help="of a search")
    parser.add_argument("--batches", type=int, default=16, help="of a run of training")
    options = parser.parse_args()
    timing.begin()
    sizes = {"image_size": options.image_size, "embedding_dim": 256, "image_units": 256, "decoder_units": 512}
    parts = {"backbone": options.backbone, "score": "additive", "input_feeding": False}
    config = Config(**sizes, **parts, batch_size=64, dropout=0.4, cell="lstm")
    keras.utils.set_random_seed(config.seed)
    eyes, _ = configured(config)
    with tempfile.TemporaryDirectory() as folder:
        if options.data:
            examples = data.read(dataclasses.replace(config, data=options.data), "train")[:640]
        else:
            examples = list(drawn(folder, config.image_size))
        captions = [caption for example in examples for caption in example.captions]
        tokenizer = WordTokenizer.fit(captions, config.vocabulary_size, config.lowercase)
        rows = compare(eyes, examples, tokenizer, config, options)
        timing.write(options, {"rows": rows, "pipeline": pipeline(eyes, examples, tokenizer, config, options)})


if __name__ == "__main__":
    main()
