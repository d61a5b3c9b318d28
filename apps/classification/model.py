"""The classifier: a tokenizer, an encoder, and one vector of all that it read."""

from typing import NamedTuple

import keras
import tensorflow as tf
from keras import layers

from ...layers import TextEncoder
from ...layers.dropout import Dropout
from ...layers.pooling import AttentionPooling, last_pooling, max_pooling, mean_pooling
from ..shared.models.trained_model import TrainedModel
from ..shared.text.batches import sorted_batches
from ..shared.text.tokenizers import END, SPECIAL, fit_tokenizer, strings
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import training_splits
from . import data
from .config import Config

TEXTS = [tf.TensorSpec([None], tf.string, name="text")]
POOLINGS = {"last": last_pooling, "mean": mean_pooling, "max": max_pooling}


class Classification(NamedTuple):
    """What a text is.

    Attributes:
        label: The likeliest label.
        probability: What the model gives it, in [0, 1].
    """

    label: str
    probability: float


def build(config, size, labels):
    """The model that a `Config` describes, from token ids to logits.

    Args:
        config: The `Config`.
        size: Positive integer, the size of the vocabulary.
        labels: Positive integer, how many labels there are.
    """
    policy = {"dtype": config.precision}
    tokens = keras.Input((None,), dtype="int32", name="tokens")
    memory = TextEncoder(
        size,
        config.embedding_dim,
        config.units,
        cell=config.cell,
        num_layers=config.num_layers,
        bidirectional=config.bidirectional,
        dropout=config.dropout,
        recurrent_dropout=config.recurrent_dropout,
        name="encoder",
        **policy,
    )(tokens)
    if config.pooling == "attention":
        pooled, _ = AttentionPooling(config.units, name="pooling", **policy)(memory)
    else:
        pooled = POOLINGS[config.pooling](memory)
    logits = layers.Dense(labels, name="labels", **policy)(Dropout(config.dropout, **policy)(pooled))
    return keras.Model(tokens, logits)


class Classifier(TrainedModel):
    """Assigns labels to texts.

    Args:
        config: The `Config`.
        model: The Keras model that `build` returns.
        text: The tokenizer.
        labels: List of strings.
    """

    config_class = Config
    tokenizers = ("text",)
    lists = ("labels",)

    def __init__(self, config, model, text, labels):
        super().__init__(config, model, text=text, labels=labels)
        self.tokenizer = text
        self.labels = labels
        outputs = [model.output]
        if config.pooling == "attention":
            outputs.append(model.get_layer("pooling").output[1])
        self._inside = keras.Model(model.input, outputs)
        self._told = tf.function(self.told, input_signature=TEXTS)
        self._answer = tf.function(self.answer, input_signature=TEXTS)

    @staticmethod
    def sizes(model, assets):
        return {"text": model.get_layer("encoder").vocabulary_size, "labels": model.output_shape[-1]}

    def signatures(self):
        """One signature from `text` `(batch,)` to the outputs of `answer`."""
        return {"serving_default": (self.answer, TEXTS)}

    def told(self, text):
        """All that is known of strings `(batch,)`, in the graph.

        Returns:
            Dictionary of `probabilities` `(batch, labels)`, and where the model looked, `weights` `(batch, positions)`,
            of no positions unless it pools with attention.
        """
        ids = self.tokenizer.encode_padded(text, self.config.max_length)
        logits, *weights = tf.nest.flatten(self._inside(ids))
        return {
            "probabilities": tf.nn.softmax(tf.cast(logits, tf.float32)),
            "weights": tf.cast(weights[0], tf.float32) if weights else tf.zeros((tf.shape(ids)[0], 0)),
        }

    def answer(self, text):
        """The labels of strings `(batch,)`, in the graph: `label` and `probability` `(batch,)`.

        And of all labels their names, `labels` `(labels,)`, and `probabilities` `(batch, labels)`.
        """
        probabilities = self.told(text)["probabilities"]
        labels = tf.constant(self.labels)
        return {
            "label": tf.gather(labels, tf.argmax(probabilities, axis=1)),
            "probability": tf.reduce_max(probabilities, axis=1),
            "labels": labels,
            "probabilities": probabilities,
        }

    def classify(self, texts):
        """Says which label each of a list of texts has, as a list of `Classification`s."""
        found = self._answer(strings(texts))
        labels = (label.decode() for label in found["label"].numpy())
        return [Classification(*one) for one in zip(labels, found["probability"].numpy().tolist(), strict=True)]

    def classify_sorted(self, texts, batch_size=64):
        """Classifies many texts in batches of like length, and yields each as `(index, Classification)`."""
        for indices in sorted_batches(texts, batch_size):
            yield from zip(indices, self.classify([texts[index] for index in indices]), strict=True)

    def explain(self, texts):
        """Labels with all that is known of them.

        Args:
            texts: List of strings.

        Returns:
            List of dictionaries, one a text: its likeliest `label`; `probabilities`, from each label to its own;
            `tokens`, as they stand in the text, and the end; and `weights`, where the model looked: a float for each
            token, which sum to 1, or none.
        """
        texts = strings(texts)
        told = {name: value.numpy() for name, value in self._told(texts).items()}
        pieces = self.tokenizer.pieces(texts).to_list()
        explained = []
        for probabilities, read, weights in zip(told["probabilities"], pieces, told["weights"], strict=True):
            tokens = [*(piece.decode() for piece in read[: self.config.max_length - 1]), SPECIAL[END]]
            explained.append(
                {
                    "label": self.labels[probabilities.argmax()],
                    "probabilities": dict(zip(self.labels, probabilities.astype(float).tolist(), strict=True)),
                    "tokens": tokens,
                    "weights": weights[: len(tokens)].astype(float).round(4).tolist(),
                }
            )
        return explained


def train(config, folder):
    """Trains a classifier and writes it into `folder`, or goes on with a training that was interrupted there.

    Raises:
        DataError: If the data cannot be read, or labels are too few or not in both splits.
        TrainingError: If options do not go together, or the loss is not a number.
    """
    keras.utils.set_random_seed(config.seed)
    build_optimizer(config, steps=1)
    examples = training_splits(data.read, config, kind=data.label_of)
    labels = data.labels_of(examples)
    texts = [text for text, _ in examples["train"]]
    tokenizer = fit_tokenizer(texts, config, "the texts have")
    model = build(config, len(tokenizer), len(labels))
    batches = {split: data.batches(examples[split], tokenizer, labels, config, split) for split in examples}
    Classifier(config, model, tokenizer, labels).save_assets(folder)
    fit(
        model,
        # By the number of texts, not by their weights: those of a batch without rare labels would count the more.
        TokenCrossentropy(config.label_smoothing, reduction="sum_over_batch_size"),
        batches["train"],
        batches["validation"].dataset,
        config,
        folder,
        metrics=[keras.metrics.SparseCategoricalAccuracy(name="accuracy")],
        monitor=f"val_{config.monitor}",
        data=examples,
    )
    return Classifier(config, model, tokenizer, labels)
