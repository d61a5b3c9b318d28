"""How well a generator predicts the characters of a text."""

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from ...layers import LanguageModel
from ..shared.console import progress_bar
from ..shared.errors import UsageError
from ..shared.evaluation import EvaluationOptions, Predict, evaluate_examples
from ..shared.text.batches import length_batches
from ..shared.training.losses import TokenCrossentropy
from ..shared.verbs import WINDOW
from . import data
from .data import Line

if TYPE_CHECKING:
    from .model import Generator

CHUNK = 1000  # characters of a long text that are measured at once


class Bits:
    """Sums how many bits a model needs to encode lines, and their characters.

    Attributes:
        total: The bits.
        characters: The number of characters, ends included.
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.characters = 0

    def update(self, lines: Sequence[Line], predictions: Sequence[str]) -> None:
        """Adds lines with what `line_predictor` yields for them.

        Raises:
            UsageError: If that is not two numbers.
        """
        for prediction in predictions:
            try:
                bits, characters = prediction.split("\t")
                self.total += float(bits)
                self.characters += int(characters)
            except ValueError as error:
                raise UsageError(f"expected the bits and characters of a line, got {prediction!r}") from error


def line_predictor(generator: "Generator") -> Predict:
    """Returns the argument `predict` of `evaluate_examples` for lines.

    Instead of a prediction it yields how many bits the model needs to encode a line, and the number of its characters,
    the end included, separated by a tab. The first character of a line is given to a model that is fed zeros and has no
    labels. Characters outside of the vocabulary count as the unknown token.
    """
    config = generator.config

    def predict(lines: Iterator[Line], advance: Callable[[int], None]) -> Iterator[tuple[list[Line], list[str]]]:
        while window := [*itertools.islice(lines, WINDOW)]:
            rows = data.sequences(window, generator.tokenizer, generator.labels)
            results = [""] * len(window)
            for indices in length_batches(rows.lengths[:, np.newaxis], config.batch_size):
                padded = np.pad(indices, (0, config.batch_size - len(indices)), constant_values=-1)  # one shape
                inputs, targets, weights = data.inputs_and_targets(rows.padded(padded, config.jit), config.feed)
                logits, _ = generator.read(inputs, generator.model.initial_state(len(inputs)))
                weights = weights * (targets < len(generator.tokenizer))  # without the labels
                sums = np.sum(_losses(targets, logits) * weights, axis=1) / math.log(2), weights.sum(axis=1)
                for index, total, count in zip(indices, *sums, strict=False):
                    results[index] = f"{float(total)!r}\t{int(count)}"
                advance(len(indices))
            yield window, results

    return predict


def line_bits(
    generator: "Generator", lines: Iterable[Line], evaluation: EvaluationOptions, model: str
) -> tuple[float, int, dict[str, float]]:
    """Computes how many bits a model needs to encode lines; see `line_predictor`.

    Args:
        generator: The `Generator`.
        lines: Pairs `(text, label)`, which are iterated over several times.
        evaluation, model: See `evaluate_examples`.

    Returns:
        `(bits, characters, rates)`.

    Raises:
        DataError: If the labels are not those of the model.
    """
    data.check_labels(lines, generator.labels)
    bits, computed = Bits(), Bits()

    def predict(lines: Iterator[Line], advance: Callable[[int], None]) -> Iterator[tuple[list[Line], Sequence[str]]]:
        for part, predictions in line_predictor(generator)(lines, advance):
            computed.update(part, predictions)
            yield part, predictions

    evaluated = evaluate_examples(predict, lines, repr, bits.update, evaluation, model, {}, "reading lines")
    return bits.total, bits.characters, evaluated.rates(characters_per_second=computed.characters)


def text_parts(text: Any) -> Iterator[str]:
    """Yields a long text, one string or the parts that `data.iterate` yields, in parts and shows the progress."""
    parts = data.chunks_of(text) if isinstance(text, str) else text
    with progress_bar("reading characters", sum(map(len, parts))) as advance:
        for part in parts:
            yield part
            advance(len(part))


def text_bits(generator: "Generator", parts: Iterable[str]) -> tuple[float, int]:
    """Computes how many bits a model needs to encode a long text, and the number of characters.

    The first character is given. Characters outside of the vocabulary count as the unknown token.

    Args:
        generator: The `Generator`.
        parts: The text, in parts.

    Returns:
        `(bits, characters)`.
    """
    total, count = 0.0, 0
    state = generator.model.initial_state(1)
    for ids in _windows(generator, parts, CHUNK):
        logits, state = generator.read(ids[:, :-1], state)
        total += float(np.sum(_losses(ids[:, 1:], logits))) / math.log(2)
        count += ids.shape[1] - 1
    return total, count


def adapted_bits(generator: "Generator", parts: Iterable[str], rate: float) -> tuple[float, int]:
    """Computes `text_bits` for a model that learns from the text: one step of gradient descent after each window.

    A window has `config.window` characters, as in training, and is measured before the model learns from it. The
    weights of the generator do not change.

    Args:
        generator: The `Generator`.
        parts: The text, in parts.
        rate: The learning rate. The gradient is clipped to a global norm of 1.

    Reference:
        Mikolov et al. 2010, Recurrent neural network based language model, section 2, for dynamic models; Krause et
        al. 2018, Dynamic evaluation of neural sequence models.
    """
    # A copy for one text, whose weights the steps change.
    options = {"batch_size": 1, "dropout": 0.0, "recurrent_dropout": 0.0}
    model = LanguageModel.from_config({**generator.model.get_config(), **options})
    model.build(None)
    for variable, value in zip(model.trainable_variables, generator.model.trainable_variables, strict=True):
        variable.assign(value)
    model.compile(keras.optimizers.SGD(rate, global_clipnorm=1.0), TokenCrossentropy())
    total, count = 0.0, 0
    for window in _windows(generator, parts, generator.config.window):
        is_continuation = np.array([count > 0], "float32")
        loss = model.train_on_batch((window[:, :-1], is_continuation), window[:, 1:])
        total += float(loss) * (window.shape[1] - 1) / math.log(2)
        count += window.shape[1] - 1
    return total, count


def _losses(targets: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """The cross-entropy of each target `(batch, steps)`."""
    return ops.convert_to_numpy(TokenCrossentropy(reduction="none")(targets, ops.convert_to_tensor(logits)))


def _windows(generator: "Generator", parts: Iterable[str], size: int) -> Iterator[np.ndarray]:
    """Yields the ids of a long text `(1, size + 1)`. Each window begins with the last character of the one before."""
    ids = np.zeros(0, "int32")
    for part in parts:
        ids = np.concatenate([ids, data.text_ids(part, generator.tokenizer).astype("int32")])
        firsts = range(0, len(ids) - size, size)
        for first in firsts:
            yield ids[np.newaxis, first : first + size + 1]
        ids = ids[len(firsts) * size :]
    if len(ids) > 1:
        yield ids[np.newaxis]
