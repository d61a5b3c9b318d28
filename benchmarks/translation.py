"""Times the translator against a twin built from `keras.layers` only, in turns in one process. TensorFlow only.

    python benchmarks/translation.py                                    # random sentences with the lengths of Multi30k
    python benchmarks/translation.py --data DIR --json table.json       # real sentences, in subwords
    python benchmarks/translation.py --tables --profile                 # only the time of each part of a training step
    python benchmarks/translation.py --tables --data DIR --export saved_models/de-en/export

The twin is what a Keras user would write; its search calls the cell step by step and repeats the memory for each beam.
It gets our weights, and logits and losses of both are compared without dropout before anything is timed. Training is
`model.fit` on the batches of the app, including Adam and dropout; target tokens are counted with the end token and
without padding. The sparse loss of Keras has no label smoothing, so there is one row with label smoothing, in which the
twin uses `CategoricalCrossentropy` on one-hot targets, and one row without, in which it uses
`SparseCategoricalCrossentropy`. Translation is from ids to ids, and the twin uses our `layers.beam_search`, so that
only the models differ. As neither model is trained, the bias of the end token is -1e9 in both, so that each search
takes all `--steps`. `--profile` times each part of a training step, forward and backward. `--export` times an exported
model from text to text, one sentence per call. Figures are medians of `--runs` turns; each row ends with the lowest and
the highest ratio of a turn.
"""

import functools
import statistics

import keras
import numpy as np
import tensorflow as tf
import timing
from keras import layers, ops
from keras_recurrent.apps.shared.text.batches import pad
from keras_recurrent.apps.shared.text.tokenizers import END, SubwordTokenizer
from keras_recurrent.apps.shared.training.losses import TokenCrossentropy
from keras_recurrent.apps.translation import data
from keras_recurrent.apps.translation.config import Config
from keras_recurrent.apps.translation.model import build
from keras_recurrent.layers import Memory
from timing import ADAM, interleaved, print_header, row, training_row
from twin import TwinDecoder, copy

SMOOTHINGS = 0.1, 0.0


class Twin:
    """The model built from `keras.layers`, and the parts of its training step."""

    def __init__(self, config):
        size, embedding_dim = config.vocabulary_size, config.embedding_dim
        self.embedding = layers.Embedding(size, embedding_dim)
        self.encoder = layers.Bidirectional(layers.GRU(config.encoder_units, return_sequences=True, return_state=True))
        self.dropouts = [layers.Dropout(config.dropout) for _ in range(2)]
        self.decoder = TwinDecoder(layers.GRU, size, embedding_dim, config.decoder_units, config.dropout)
        self.run_rnn, self.attend, self.project = self.decoder.run_rnn, self.decoder.attend, self.decoder.project
        source, tokens = (keras.Input((None,), dtype="int32") for _ in range(2))
        values, summary = self.encode(source, training=None)
        self.model = keras.Model(
            (source, tokens), self.decoder.logits(tokens, values, ops.not_equal(source, 0), summary)
        )

    def loss(self, label_smoothing):
        options = {"from_logits": True, "reduction": "mean_with_sample_weight"}
        if label_smoothing:
            return OneHotCrossentropy(label_smoothing=label_smoothing, **options)
        return keras.losses.SparseCategoricalCrossentropy(**options)

    def encode(self, source, training=True):
        embedded = self.dropouts[0](self.embedding(source), training=training)
        values, *states = self.encoder(embedded, mask=ops.not_equal(source, 0), training=training)
        return self.dropouts[1](values, training=training), ops.concatenate(states, axis=-1)

    def search(self, source, **options):
        values, summary = self.encode(source, training=False)
        return self.decoder.search(values, ops.not_equal(source, 0), summary, **options)

    def copy(self, ours):
        """Copies the weights of our model."""
        copy(ours.model.trainable_variables, [self.embedding, self.encoder, *self.decoder.layers])


class Ours:
    """The model of the app, with the method names of the twin."""

    def __init__(self, config):
        self.model = build(config, config.vocabulary_size, config.vocabulary_size)
        self.loss, self.search, self.decoder = TokenCrossentropy, self.model.search, self.model.decoder

    def encode(self, source):
        memory = self.model.encoder(source, training=True)
        return memory.values, memory.summary

    def run_rnn(self, tokens, summary):
        decoder = self.decoder
        embedded = decoder.dropouts[0](decoder.embedding(tokens), training=True)
        outputs = decoder.layers[0](embedded, initial_state=[decoder.bridges[0](summary)], training=True)
        return decoder.dropouts[1](outputs, training=True)

    def attend(self, queries, values, mask):
        memory = Memory(values, mask, values[:, 0])
        return self.decoder.attention(queries, memory, self.decoder.attention.keys(memory))[0]

    def project(self, queries, context):
        readout = self.decoder.readout(ops.concatenate([queries, context], axis=-1))
        return self.decoder.output_projection(self.decoder.dropouts[-1](readout, training=True))


class OneHotCrossentropy(keras.losses.CategoricalCrossentropy):
    """Crossentropy of integer targets, with label smoothing."""

    def call(self, y_true, y_pred):
        return super().call(ops.one_hot(y_true, y_pred.shape[-1]), y_pred)


class Ids(list):
    """A vocabulary whose texts are lists of ids."""

    def encode_all(self, texts):
        return texts


def random_pairs(count, vocabulary_size):
    """Returns random sentence pairs with the lengths of Multi30k in German and English, in 8,000 subwords each."""
    random = np.random.default_rng(0)
    covariance = 0.85 * 0.32 * 0.28  # of log lengths: correlation 0.85, deviations .32 and .28
    logs = random.multivariate_normal([2.64, 2.63], [[0.32**2, covariance], [covariance, 0.28**2]], count)
    lengths = np.maximum(np.exp(logs).round().astype(int), 2)
    return [[random.integers(END + 1, vocabulary_size, n - 1).tolist() for n in side] for side in lengths.T]


def training(sides, dataset, options):
    dataset = dataset.take(options.batches).cache()
    tokens = sum(float(tf.reduce_sum(weights)) for *_, weights in dataset)
    for smoothing in SMOOTHINGS:
        what = f"training, label smoothing {smoothing:g}, target tokens per second"
        yield training_row(what, sides, lambda side, s=smoothing: side.loss(s), dataset, options.runs, tokens)


def translation(sides, sources, options):
    ours, twin = sides
    bias = ours.decoder.output_projection.bias
    bias.assign(np.where(np.arange(bias.shape[0]) <= END, -1e9, bias))  # padding, unknown and start are excluded, too
    twin.copy(ours)
    search = {"beam_size": 5, "max_length": options.steps, "alpha": 1.0}
    ids = tf.TensorSpec([None, None], tf.int32)
    graphs = {side: tf.function(functools.partial(side.search, **search), [ids], autograph=False) for side in sides}
    sources = sorted(sources, key=len)  # batches of similar length, as in `translate_sorted`
    for size, count in ((64, max(1, options.batches // 4)), (1, options.batches)):
        firsts = np.linspace(0, len(sources) - size, count + 2).astype(int)[1:-1]  # of all lengths
        batches = [tf.constant(pad(sources[first : first + size])) for first in firsts]
        if not all(graphs[side](batch).tokens.numpy().all() for side in sides for batch in batches):
            raise ValueError("a search ended early")
        what = f"beam 5, {options.steps} steps, batch {size}, sentences per second"
        yield row(what, lambda side, of=batches: [*map(graphs[side], of)], sides, options.runs, size * count)


def forward_and_backward(function, *inputs):
    """Returns a graph of `function` and its gradients of weights and inputs, with unknown sizes as in `fit`."""
    sizes = [[None] * (x.shape.rank - 1) + [x.shape[-1] if x.dtype.is_floating else None] for x in inputs]
    specs = [tf.TensorSpec(size, x.dtype) for size, x in zip(sizes, inputs, strict=True)]

    @tf.function(input_signature=specs, autograph=False)
    def step(*inputs):
        inner = [x for x in inputs if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(inner)
            outputs = function(*inputs)
        return tape.gradient(outputs, [*tape.watched_variables(), *inner])

    return lambda: step(*inputs)


def parts(side, batch):
    """Returns the parts of a training step."""
    (source, tokens), target, weights = tf.nest.map_structure(tf.constant, batch)
    values, summary = side.encode(source)
    queries = side.run_rnn(tokens, summary)
    context = side.attend(queries, values, source != 0)

    loss = functools.partial(side.loss(SMOOTHINGS[0]), target, sample_weight=weights)
    # Computed by the model, so that gradients of embeddings are sparse, as in `fit`.
    variables = side.model.trainable_variables
    with tf.GradientTape() as tape:
        error = loss(side.model((source, tokens), training=True))
    gradients = tape.gradient(error, [variable.value for variable in variables])
    optimizer = ADAM()
    optimizer.build(variables)
    return {
        "encoder": forward_and_backward(side.encode, source),
        "recurrence of the decoder": forward_and_backward(side.run_rnn, tokens, summary),
        "attention": forward_and_backward(lambda *inputs: side.attend(*inputs, source != 0), queries, values),
        "readout and logits": forward_and_backward(side.project, queries, context),
        "softmax and loss": forward_and_backward(loss, side.project(queries, context)),
        "all of these": forward_and_backward(lambda *inputs: loss(side.model(inputs, training=True)), source, tokens),
        "optimizer": tf.function(lambda: optimizer.apply(gradients, variables), autograph=False),
    }


def compare(dataset, config, options):
    """Prints and returns all tables that compare the two sides."""
    epoch, results = list(dataset.as_numpy_iterator()), {}
    for side, ids in (("source", [batch[0][0] for batch in epoch]), ("target", [batch[1] for batch in epoch])):
        tokens = sum(map(np.count_nonzero, ids))
        results[f"{side}_padding"] = padding = 1 - tokens / sum(x.size for x in ids)
        print(f"{side}: {tokens / sum(map(len, ids)):.1f} tokens per sentence, {padding:.1%} padding")
    sides = ours, twin = Ours(config), Twin(config)
    inputs, target, weights = epoch[0]
    ours.model(inputs)  # builds the weights
    twin.copy(ours)
    logits = [ops.convert_to_numpy(side.model(inputs, training=False)) for side in sides]
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max())
    for smoothing in SMOOTHINGS:
        np.testing.assert_allclose(*(side.loss(smoothing)(target, logits[0], weights) for side in sides), rtol=1e-5)
    print(f"logits agree within {np.abs(logits[0] - logits[1]).max():.0e}, and losses")
    print_header()
    results["rows"] = rows = []
    if "training" in options.tables:
        rows += training(sides, dataset, options)
    if options.profile:
        batch = sorted(epoch, key=lambda batch: batch[1].size)[len(epoch) // 2]
        of = {side: parts(side, batch) for side in sides}
        for part in of[ours]:
            rows.append(row(f"{part}, ms", lambda side, part=part: of[side][part](), sides, options.runs))
    if "translation" in options.tables:
        rows += translation(sides, [ids[ids > 0] for batch in epoch for ids in batch[0][0]], options)
    return results


def main():
    parser = timing.parser(__doc__)
    parser.add_argument("--tables", nargs="*", default=["training", "translation"], choices=["training", "translation"])
    parser.add_argument("--profile", action="store_true", help="also time the parts of a training step")
    parser.add_argument("--export", metavar="DIR", help="also time this SavedModel on sentences of --data")
    parser.add_argument("--data", metavar="DIR", help="a folder with train.de(.gz) and train.en(.gz)")
    parser.add_argument("--sizes", default="8000x256x256x512x80", help="vocabulary, embedding, encoder, decoder, batch")
    parser.add_argument("--steps", type=int, default=14, help="steps of each search")
    parser.add_argument("--batches", type=int, default=16, help="batches of a training run; translation uses a quarter")
    options = parser.parse_args()
    if options.export and not options.data:
        parser.error("--export requires --data")
    timing.setup()
    names = ("vocabulary_size", "embedding_dim", "encoder_units", "decoder_units", "batch_size")
    sizes = dict(zip(names, map(int, options.sizes.split("x")), strict=True))
    config = Config(data=options.data or "", source="de", target="en", lowercase=True, dropout=0.4, **sizes)
    keras.utils.set_random_seed(config.seed)
    results = {}
    texts = data.read(config, "train") if options.data else random_pairs(29_000, config.vocabulary_size)
    if options.tables or options.profile:
        tokenizers = [Ids(range(config.vocabulary_size))] * 2  # random pairs are ids already, without the end
        if options.data:
            tokenizers = [SubwordTokenizer.fit(side, config.vocabulary_size, config.lowercase) for side in texts]
        results = compare(data.batches(*texts, tokenizers, config, "train").get_tf_dataset(), config, options)
    if options.export:
        import tensorflow_text  # noqa: F401, registers the operations of subword tokenizers

        loaded = tf.saved_model.load(options.export)
        translate = loaded.signatures["serving_default"]
        sentences = [tf.constant([text]) for text in texts[0][:: len(texts[0]) // 20][:20]]
        seconds = interleaved([functools.partial(translate, text=text) for text in sentences], options.runs)
        results["export_ms"] = medians = [1000 * statistics.median(of) for of in seconds]
        print(f"\n{options.export}: {statistics.median(medians):.1f} ms per sentence, at most {max(medians):.1f}")
    timing.write_json(options, results)


if __name__ == "__main__":
    main()
