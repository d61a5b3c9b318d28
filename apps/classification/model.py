"""The classifiers, and that of texts: a tokenizer, an encoder, and a pooling of its outputs."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import keras
import numpy as np
from keras import layers, ops, tree

from ...datasets.files import nfc
from ...layers import Memory, TextEncoder, gate_activations, gradient_flow, state_norms
from ...layers.dropout import Dropout
from ...layers.pooling import AttentionPooling, last_pooling, max_pooling, mean_pooling
from ...layers.types import Tensor
from ..shared.console import note
from ..shared.models.compiled import compiled
from ..shared.models.folders import read_config
from ..shared.models.trained_model import IDS, TrainedModel
from ..shared.text.batches import encode_padded
from ..shared.text.tokenizers import END, SPECIAL, Tokenizer, fit_tokenizer, prepare
from ..shared.training.batches import EpochBatches
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import checksum
from . import data, series_data
from .config import Config

SOURCES = {"text": data, "series": series_data}  # which read the examples, by the option `inputs`
POOLINGS = {"last": last_pooling, "mean": mean_pooling, "max": max_pooling}


class Classification(NamedTuple):
    """The predicted label of a text or time series.

    Attributes:
        label: The most probable label.
        probability: Its probability, in [0, 1].
    """

    label: str
    probability: float


def build(config: Config, vocabulary_size: int, num_labels: int) -> keras.Model:
    """Builds the Keras model of a configuration, from token ids `(batch, steps)` to logits; see `build_members`.

    Args:
        config: The `Config`.
        vocabulary_size: Positive integer.
        num_labels: Positive integer.
    """
    policy: dict[str, Any] = {"dtype": config.precision}
    tokens = keras.Input((None,), dtype="int32", name="tokens")

    def logits_of(suffix: str) -> Tensor:
        memory = TextEncoder(
            vocabulary_size,
            config.embedding_dim,
            config.units,
            bidirectional=config.bidirectional,
            right_padded=True,
            name=f"encoder{suffix}",
            **config.recurrent_arguments,
            **policy,
        )(tokens)
        return label_logits(memory, config, num_labels, suffix)

    return build_members(tokens, logits_of, config)


def build_members(inputs: Tensor, logits_of: Callable[[str], Tensor], config: Config) -> keras.Model:
    """Builds a Keras model from inputs to logits `(batch, labels)`, or `(batch, members, labels)` of several members.

    Args:
        inputs: The `keras.Input`.
        logits_of: Function that returns the logits `(batch, labels)` of a member, given a suffix for the names of its
            layers.
        config: The `Config`.
    """
    logits = [logits_of(suffix) for suffix in _suffixes(config)]
    return keras.Model(inputs, ops.stack(logits, axis=1) if config.members > 1 else logits[0])


def _suffixes(config: Config) -> list[str]:
    return ["", *(f"_{member}" for member in range(1, config.members))]


def label_logits(
    memory: Memory, config: Config, num_labels: int, suffix: str, features: Sequence[Tensor] = ()
) -> Tensor:
    """Computes the logits `(batch, num_labels)` of a memory with the pooling of a configuration.

    Args:
        memory: A `Memory`.
        config: The `Config`.
        num_labels: Positive integer.
        suffix: Suffix of the layers' names.
        features: Further features of the examples, tensors `(batch, ...)`, which are concatenated to the pooled memory.
    """
    policy: dict[str, Any] = {"dtype": config.precision}
    if config.pooling == "attention":
        pooled, _ = AttentionPooling(config.units, name=f"pooling{suffix}", **policy)(memory)
    else:
        pooled = POOLINGS[config.pooling](memory)
    if features:
        pooled = ops.concatenate([pooled, *features], axis=-1)
    return layers.Dense(num_labels, name=f"labels{suffix}", **policy)(Dropout(config.dropout, **policy)(pooled))


def _by_member(logits: Tensor) -> Tensor:
    """Returns the logits of `build_members` as `(batch, members, labels)`."""
    return ops.expand_dims(logits, 1) if len(logits.shape) == 2 else logits


def label_probabilities(logits: Tensor) -> Tensor:
    """Computes the mean of the members' probabilities `(batch, labels)` from the logits of `build_members`."""
    return ops.mean(ops.softmax(ops.cast(_by_member(logits), "float32")), axis=1)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LabelCrossentropy(TokenCrossentropy):
    """The cross-entropy of the labels, averaged over the members.

    Call arguments:
        y_true: Integer tensor `(batch,)`.
        y_pred: The logits of `build_members`.
    """

    def call(self, y_true, y_pred):
        logits = _by_member(y_pred)
        y_true = ops.broadcast_to(ops.expand_dims(y_true, 1), ops.shape(logits)[:2])
        return ops.mean(super().call(y_true, logits), axis=1)


@keras.saving.register_keras_serializable(package="keras_recurrent")
class LabelAccuracy(keras.metrics.SparseCategoricalAccuracy):
    """The accuracy of the mean of the members' probabilities, from the logits of `build_members`."""

    def update_state(self, y_true, y_pred, sample_weight=None):
        return super().update_state(y_true, label_probabilities(y_pred), sample_weight)


class Classifier(TrainedModel):
    """Base of the classifiers, and the class that loads both.

    Args:
        config: The `Config`.
        model: The Keras model.
        labels: List of strings.
        **assets: As for `TrainedModel`.
    """

    config_class = Config
    lists: ClassVar[tuple[str, ...]] = ("labels",)

    def __init__(self, config: Config, model: keras.Model, labels: list[str], **assets: Any) -> None:
        labels = [nfc(label) for label in labels]  # as in the data; folders written before may have other forms
        super().__init__(config, model, **assets, labels=labels)
        self.labels = labels
        outputs = [model.output]
        if config.pooling == "attention":
            outputs += [model.get_layer(f"pooling{suffix}").output[1] for suffix in _suffixes(config)]
        self._with_weights = keras.Model(model.input, outputs)
        self._compiled_core = compiled(self.core, model, self.core_inputs)

    @classmethod
    def load(cls, folder: str | Path, **options: Any) -> Any:
        """Loads a trained classifier of texts or of time series; see `TrainedModel.load`."""
        if cls is Classifier:
            return class_of(read_config(folder).get("inputs")).load(folder, **options)
        return super().load(folder, **options)

    @classmethod
    def of_examples(
        cls, config: Config, examples: dict[str, Any], labels: list[str]
    ) -> tuple[Self, dict[str, EpochBatches]]:
        """Returns an untrained classifier and the batches of both splits.

        Args:
            config: The `Config`.
            examples: Columns of the splits `train` and `validation`, which are removed when they are not needed.
            labels: The labels.
        """
        raise NotImplementedError

    def core(self, inputs: Tensor) -> dict[str, Tensor]:
        """Computes probabilities and attention weights.

        Args:
            inputs: A batch of inputs as `core_inputs` specifies.

        Returns:
            Dictionary of `probabilities` `(batch, labels)` and `weights` `(batch, positions)`, the attention weights,
            with 0 positions if the model has another pooling. Both are means of the members.
        """
        logits, *weights = tree.flatten(self._with_weights(inputs))
        return {
            "probabilities": label_probabilities(logits),
            "weights": ops.cast(sum(weights) / len(weights), "float32")
            if weights
            else ops.zeros((ops.shape(inputs)[0], 0)),
        }

    def _arrays(self, inputs: Sequence[Any]) -> np.ndarray:
        """Returns the argument of `core` for a list of inputs that is not empty."""
        raise NotImplementedError

    def _describe(self, inputs: Sequence[Any]) -> dict[str, np.ndarray]:
        """Returns the outputs of `core` for a list of inputs that is not empty."""
        return self._compiled_core(self._arrays(inputs))

    def classify(self, inputs: Sequence[Any]) -> list[Classification]:
        """Classifies a list of texts, or of series."""
        if not inputs:
            return []
        return [
            Classification(self.labels[probabilities.argmax()], float(probabilities.max()))
            for probabilities in self._describe(inputs)["probabilities"]
        ]

    def _judgment(self, probabilities: np.ndarray) -> dict[str, Any]:
        """Returns the most probable `label` and the `probabilities` by label."""
        return {
            "label": self.labels[probabilities.argmax()],
            "probabilities": dict(zip(self.labels, probabilities.astype(float).tolist(), strict=True)),
        }


class TextClassifier(Classifier):
    """Assigns labels to texts.

    Args:
        config: The `Config`.
        model: The Keras model that `build` returns.
        tokenizer: The tokenizer.
        labels: List of strings.
    """

    tokenizers = ("text",)
    core_inputs = (IDS,)

    def __init__(self, config: Config, model: keras.Model, tokenizer: Tokenizer, labels: list[str]) -> None:
        super().__init__(config, model, labels, text=tokenizer)
        self.tokenizer = tokenizer

    @staticmethod
    def sizes(model: keras.Model, assets: dict[str, Any]) -> dict[str, int]:
        return {"text": model.get_layer("encoder").vocabulary_size, "labels": model.output_shape[-1]}

    @classmethod
    def of_examples(
        cls, config: Config, examples: dict[str, Any], labels: list[str]
    ) -> tuple[Self, dict[str, EpochBatches]]:
        texts, targets = examples.pop("train").columns  # its strings need not stay in memory
        texts = prepare(texts, config)
        tokenizer = fit_tokenizer(texts, config, "the texts have")
        model = build(config, len(tokenizer), len(labels))
        batches = {"train": data.batches(texts, targets, tokenizer, labels, config, "train")}
        texts, targets = examples.pop("validation").columns
        batches["validation"] = data.batches(texts, targets, tokenizer, labels, config, "validation")
        return cls(config, model, tokenizer, labels), batches

    def runner_options(self) -> dict[str, Any]:
        return {"longest": self.config.max_length, "labels": self.labels}

    def _arrays(self, inputs: Sequence[str]) -> np.ndarray:
        return encode_padded(self.tokenizer, inputs, self.config.max_length)

    def explain(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """Classifies a list of texts and returns probabilities and attention weights.

        Args:
            texts: List of strings.

        Returns:
            For each text a dictionary of the most probable `label`; `probabilities`, a dictionary with the probability
            of each label; `tokens`, as they are in the text, and the end token; and `weights`, the attention weight of
            each token, which sum to 1, or an empty list.
        """
        if not texts:
            return []
        description = self._describe(texts)
        explanations = []
        for text, probabilities, weights in zip(
            texts, description["probabilities"], description["weights"], strict=True
        ):
            tokens = [*self.tokenizer.split(text)[: self.config.max_length - 1], SPECIAL[END]]
            explanations.append(
                {
                    **self._judgment(probabilities),
                    "tokens": tokens,
                    "weights": weights[: len(tokens)].astype(float).round(4).tolist(),
                }
            )
        return explanations

    def inspect(self, text: str) -> dict[str, Any]:
        """Returns what the first recurrent layer computes while it reads a text; of two directions, the forward one.

        Of several members, this is the first one.

        Returns:
            Dictionary of `label`, the most probable one; `tokens`, with the end token; `gates`, a dictionary from the
            names of the gates to lists `(steps, units)`; `norms`, a dictionary from the names of the states to the
            norms of the states, lists `(steps,)`; and `gradient`, the norm of the derivative of the label's loss with
            respect to the states after each step, a list `(steps,)`. See `keras_recurrent.layers.gate_activations`,
            `state_norms` and `gradient_flow`.
        """
        (explanation,) = self.explain([text])
        encoder = self.model.get_layer("encoder")
        layer = getattr(encoder.layers[0], "forward_layer", encoder.layers[0])
        ids = encode_padded(self.tokenizer, [text], self.config.max_length)[:, : len(explanation["tokens"])]
        embedded = encoder.embedding(ids)
        target = np.array([self.labels.index(explanation["label"])])
        flow = next(iter(gradient_flow(self.model, ids, target, LabelCrossentropy()).values()))

        def listed(values: np.ndarray) -> list[float]:
            return [float(f"{value:.4g}") for value in values]  # gradients may be tiny

        return {
            "label": explanation["label"],
            "tokens": explanation["tokens"],
            "gates": {name: [*map(listed, values[0])] for name, values in gate_activations(layer, embedded).items()},
            "norms": {name: listed(values[0]) for name, values in state_norms(layer, embedded).items()},
            "gradient": listed(flow.reshape(-1, ids.shape[1])[0]),  # of two directions, the forward one is first
        }


def class_of(inputs: str | None) -> type[Classifier]:
    """Returns the class of a configuration's option `inputs`; None, as in models written before, is `"text"`."""
    if inputs == "series":
        from .series import SeriesClassifier  # which imports this module

        return SeriesClassifier
    return TextClassifier


def train(config: Config, folder: str | Path) -> Classifier:
    """Trains a classifier and writes it to a folder, or resumes an interrupted training there.

    Args:
        config: The `Config`.
        folder: The model's folder.

    Raises:
        DataError: If the data cannot be read, or has too few labels, or a label is missing in one of the splits.
        TrainingError: If options do not fit together, or the loss is not a number.
    """
    keras.utils.set_random_seed(config.seed)
    build_optimizer(config, steps=1)  # wrong options fail before the data is read
    examples = data.training_examples(SOURCES[config.inputs].read, config)
    labels = data.labels_of(examples, config.inputs)
    if config.train_on_validation:
        note("training on the validation data, too; its accuracy is not that of unseen data")
    checksum_of_data = checksum(*examples.values())
    classifier, batches = class_of(config.inputs).of_examples(config, examples, labels)
    classifier.save_assets(folder)
    fit(
        classifier.model,
        # The mean over the rows, not over their weights: a batch without rare labels would get a larger step.
        LabelCrossentropy(config.label_smoothing, reduction="sum_over_batch_size"),
        batches["train"],
        batches["validation"],
        config,
        folder,
        metrics=[LabelAccuracy(name="accuracy")],
        monitor="epoch" if config.monitor == "none" else f"val_{config.monitor}",
        data=checksum_of_data,
    )
    return classifier
