"""Times the translator against its twin from `keras.layers` alone, interleaved in one process. TensorFlow only.

    python benchmarks/translation.py                                    # lengths drawn to be like Multi30k's
    python benchmarks/translation.py --data DIR --json table.json       # real sentences, in subwords
    python benchmarks/translation.py --tables --profile                 # only where a training step's time goes
    python benchmarks/translation.py --tables --data DIR --export saved_models/de-en/export

The twin is what a Keras user would write; to search, its cell is called step by step, and the memory is repeated for
the beam. It gets our weights, and logits and losses of the two are compared first, without dropout.
Training is `model.fit` on the app's own batches, Adam and dropout included; the target's tokens count, with the end,
without padding. Keras's sparse loss has no label smoothing, so with it the twin's loss is `CategoricalCrossentropy`
over one-hot targets, and `SparseCategoricalCrossentropy` without it: each is a row. Translation is from ids to ids, the
twin's driven by our `layers.beam_search`, so that only the models differ; `--data` or not, they are untrained and would
end anywhere, so the end token's bias is -1e9 in both, and each search takes all `--steps`. `--profile` times the parts
of a training step each alone, forward and backward; `--export` an exported model, one sentence a call, text to text.
A figure is the median of `--runs`, the sides taking turns; a row ends with the lowest and the highest ratio of a turn.
"""

import functools
import statistics
import types

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
from timing import ADAM, head, interleaved, row, training_row
from twin import TwinDecoder, copy

SMOOTHINGS = 0.1, 0.0


class Twin:
    """The model from `keras.layers`, and the parts of its training step; `training` is None where the model decides."""

    def __init__(self, config):
        size, embedding_dim = config.vocabulary_size, config.embedding_dim
        self.embedding = layers.Embedding(size, embedding_dim)
        self.encoder = layers.Bidirectional(layers.GRU(config.encoder_units, return_sequences=True, return_state=True))
        self.dropouts = [layers.Dropout(config.dropout) for _ in range(2)]
        self.decoder = TwinDecoder(layers.GRU, size, embedding_dim, config.decoder_units, config.dropout)
        self.recur, self.attend, self.answer = self.decoder.recur, self.decoder.attend, self.decoder.answer
        source, read = (keras.Input((None,), dtype="int32") for _ in range(2))
        values, summary = self.encode(source, training=None)
        self.model = keras.Model((source, read), self.decoder.logits(read, values, ops.not_equal(source, 0), summary))

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
        """Takes our weights."""
        copy(ours.model.trainable_variables, [self.embedding, self.encoder, *self.decoder.layers])


class Ours:
    """The app's model, with the twin's names for its parts."""

    def __init__(self, config):
        self.model = build(config, config.vocabulary_size, config.vocabulary_size)
        self.loss, self.search, self.decoder = TokenCrossentropy, self.model.search, self.model.decoder

    def encode(self, source):
        memory = self.model.encoder(source, training=True)
        return memory.values, memory.summary

    def recur(self, read, summary):
        decoder = self.decoder
        embedded = decoder.dropouts[0](decoder.embedding(read), training=True)
        outputs = decoder.layers[0](embedded, initial_state=[decoder.bridges[0](summary)], training=True)
        return decoder.dropouts[1](outputs, training=True)

    def attend(self, queries, values, mask):
        memory = Memory(values, mask, values[:, 0])
        return self.decoder.attention(queries, memory, self.decoder.attention.keys(memory))[0]

    def answer(self, queries, context):
        readout = self.decoder.readout(ops.concatenate([queries, context], axis=-1))
        return self.decoder.output_projection(self.decoder.dropouts[-1](readout, training=True))


class OneHotCrossentropy(keras.losses.CategoricalCrossentropy):
    def call(self, y_true, y_pred):
        return super().call(ops.one_hot(y_true, y_pred.shape[-1]), y_pred)


def draw(count, vocabulary_size):
    """Pairs of random ids, as long as Multi30k's sentences are in German and English, in 8,000 subwords each."""
    random = np.random.default_rng(0)
    both = 0.85 * 0.32 * 0.28  # of the logarithms, the end counted: correlation 0.85, standard deviations 0.32 and 0.28
    logs = random.multivariate_normal([2.64, 2.63], [[0.32**2, both], [both, 0.28**2]], count)
    lengths = np.maximum(np.exp(logs).round().astype(int), 2)
    return [[[*random.integers(END + 1, vocabulary_size, n - 1), END] for n in side] for side in lengths.T]


def training(sides, dataset, options):
    dataset = dataset.take(options.batches).cache()
    tokens = sum(float(tf.reduce_sum(weights)) for *_, weights in dataset)
    for smoothing in SMOOTHINGS:
        what = f"training, label smoothing {smoothing:g}, target tokens a second"
        yield training_row(what, sides, lambda side, s=smoothing: side.loss(s), dataset, options.runs, tokens)


def translation(sides, sources, options):
    ours, twin = sides
    bias = ours.decoder.output_projection.bias
    bias.assign(np.where(np.arange(bias.shape[0]) <= END, -1e9, bias))  # padding, unknown and start are no answers, too
    twin.copy(ours)
    search = {"beam_size": 5, "max_length": options.steps, "alpha": 1.0}
    ids = tf.TensorSpec([None, None], tf.int32)
    graphs = {side: tf.function(functools.partial(side.search, **search), [ids], autograph=False) for side in sides}
    sources = sorted(sources, key=len)  # `translate_sorted` makes batches of like length, too
    for size, count in ((64, max(1, options.batches // 4)), (1, options.batches)):
        firsts = np.linspace(0, len(sources) - size, count + 2).astype(int)[1:-1]  # spread over all lengths
        batches = [tf.constant(pad(sources[first : first + size])) for first in firsts]
        if not all(graphs[side](batch).tokens.numpy().all() for side in sides for batch in batches):
            raise ValueError("a search has ended early")
        what = f"beam 5, {options.steps} steps, {size} at once, sentences a second"
        yield row(what, lambda side, of=batches: [*map(graphs[side], of)], sides, options.runs, size * count)


def differentiated(function, *inputs):
    """A call of `function` forward and backward, to its weights and inputs, with sizes unknown as they are in `fit`."""
    sizes = [[None] * (x.shape.rank - 1) + [x.shape[-1] if x.dtype.is_floating else None] for x in inputs]
    specs = [tf.TensorSpec(size, x.dtype) for size, x in zip(sizes, inputs, strict=True)]

    @tf.function(input_signature=specs, autograph=False)
    def both_ways(*inputs):
        inner = [x for x in inputs if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(inner)
            outputs = function(*inputs)
        return tape.gradient(outputs, [*tape.watched_variables(), *inner])

    return lambda: both_ways(*inputs)


def parts(side, batch):
    """What a training step consists of."""
    (source, read), target, weights = tf.nest.map_structure(tf.constant, batch)
    values, summary = side.encode(source)
    queries = side.recur(read, summary)
    context = side.attend(queries, values, source != 0)

    loss = functools.partial(side.loss(SMOOTHINGS[0]), target, sample_weight=weights)
    # The embeddings' gradients are sparse, as they are in `fit`.
    variables = side.model.trainable_variables
    with tf.GradientTape() as tape:
        error = loss(side.model((source, read), training=True))
    gradients = tape.gradient(error, [variable.value for variable in variables])
    optimizer = ADAM()
    optimizer.build(variables)
    return {
        "encoder": differentiated(side.encode, source),
        "decoder's recurrence": differentiated(side.recur, read, summary),
        "attention": differentiated(lambda *inputs: side.attend(*inputs, source != 0), queries, values),
        "readout and logits": differentiated(side.answer, queries, context),
        "softmax and loss": differentiated(loss, side.answer(queries, context)),
        "all of these": differentiated(lambda *inputs: loss(side.model(inputs, training=True)), source, read),
        "optimizer": tf.function(lambda: optimizer.apply(gradients, variables), autograph=False),
    }


def compare(dataset, config, options):
    """All tables in which the two sides stand beside each other."""
    epoch, results = list(dataset.as_numpy_iterator()), {}
    for side, ids in (("source", [batch[0][0] for batch in epoch]), ("target", [batch[1] for batch in epoch])):
        tokens = sum(map(np.count_nonzero, ids))
        results[f"{side}_padding"] = padding = 1 - tokens / sum(x.size for x in ids)
        print(f"{side}: {tokens / sum(map(len, ids)):.1f} tokens a sentence, {padding:.1%} of a batch is padding")
    sides = ours, twin = Ours(config), Twin(config)
    inputs, target, weights = epoch[0]
    ours.model(inputs)  # makes its weights
    twin.copy(ours)
    logits = [ops.convert_to_numpy(side.model(inputs, training=False)) for side in sides]
    np.testing.assert_allclose(*logits, atol=1e-5 * np.abs(logits[0]).max())
    for smoothing in SMOOTHINGS:
        np.testing.assert_allclose(*(side.loss(smoothing)(target, logits[0], weights) for side in sides), rtol=1e-5)
    print(f"the two agree: logits to {np.abs(logits[0] - logits[1]).max():.0e}, and losses")
    head()
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
    parser.add_argument("--profile", action="store_true", help="time the parts of a training step, too")
    parser.add_argument("--export", metavar="DIR", help="a SavedModel to time, too, on sentences of --data")
    parser.add_argument("--data", metavar="DIR", help="a folder with train.de(.gz) and train.en(.gz)")
    parser.add_argument("--sizes", default="8000x256x256x512x80", help="vocabulary, embedding, encoder, decoder, batch")
    parser.add_argument("--steps", type=int, default=14, help="of a search")
    parser.add_argument("--batches", type=int, default=16, help="of a run of training; of translation, a quarter")
    options = parser.parse_args()
    if options.export and not options.data:
        parser.error("--export needs --data")
    timing.begin()
    names = ("vocabulary_size", "embedding_dim", "encoder_units", "decoder_units", "batch_size")
    sizes = dict(zip(names, map(int, options.sizes.split("x")), strict=True))
    config = Config(data=options.data or "", source="de", target="en", lowercase=True, dropout=0.4, **sizes)
    keras.utils.set_random_seed(config.seed)
    results = {}
    texts = data.read(config, "train") if options.data else draw(29_000, config.vocabulary_size)
    if options.tables or options.profile:
        tokenizers = [types.SimpleNamespace(encode=tf.ragged.constant)] * 2  # what is drawn are ids already
        if options.data:
            tokenizers = [SubwordTokenizer.fit(side, config.vocabulary_size, config.lowercase) for side in texts]
        results = compare(data.batches(*texts, tokenizers, config, "train").dataset, config, options)
    if options.export:
        import tensorflow_text  # noqa: F401, whose operations an export with subwords needs

        loaded = tf.saved_model.load(options.export)
        answer = loaded.signatures["serving_default"]
        sentences = [tf.constant([text]) for text in texts[0][:: len(texts[0]) // 20][:20]]
        seconds = interleaved([functools.partial(answer, text=text) for text in sentences], options.runs)
        results["export_ms"] = medians = [1000 * statistics.median(of) for of in seconds]
        print(f"\n{options.export}: {statistics.median(medians):.1f} ms a sentence, at most {max(medians):.1f}")
    timing.write(options, results)


if __name__ == "__main__":
    main()
