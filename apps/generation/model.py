"""The generator: characters and a language model."""

import functools
import itertools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import tree

from ...layers import LanguageModel
from ...layers.types import Tensor
from ..shared.backends import uses_xla
from ..shared.console import note
from ..shared.errors import TrainingError, UsageError
from ..shared.models.compiled import compiled
from ..shared.models.trained_model import IDS, TrainedModel
from ..shared.text.ragged import Ragged, bucketed
from ..shared.text.tokenizers import END, START, LiteralCharacterTokenizer, Tokenizer
from ..shared.text.writing import Sampling
from ..shared.training.batches import EpochBatches, slices
from ..shared.training.fit import fit
from ..shared.training.losses import TokenCrossentropy
from ..shared.training.optimizers import build_optimizer
from ..shared.training.splits import checksum, training_splits
from . import data
from .config import Config

DRAWS = keras.InputSpec(dtype="float32", shape=(None, 1, None), name="draws")
MAX_SAMPLED_ROWS = 1024  # texts that are generated together
SAMPLING = [keras.InputSpec(dtype="float32", shape=(), name=name) for name in ("temperature", "top_p")]


class Prediction(NamedTuple):
    """The prediction of a character of a given text.

    Attributes:
        target: The character in the text, `"<end>"` for the end.
        predicted: The character that the model finds most probable.
        probability: The probability of the target, in [0, 1].
    """

    target: str
    predicted: str
    probability: float


class GeneratedText(NamedTuple):
    """A generated text.

    Attributes:
        text: The text.
        ended: Whether the model ended it before the maximum length.
    """

    text: str
    ended: bool


def build(config: Config, vocabulary_size: int) -> LanguageModel:
    """Builds the Keras model of a configuration.

    Args:
        config: The `Config`.
        vocabulary_size: Positive integer, the number of characters and labels.
    """
    return LanguageModel(
        vocabulary_size,
        config.units,
        embedding_dim=config.embedding_dim,
        batch_size=config.batch_size if config.mode == "text" else None,
        dtype=config.precision,
        **config.recurrent_arguments,
    )


class _Prompt(NamedTuple):
    """A prompt for several samples.

    Attributes:
        start: The id of the first input.
        beginning: The beginning of the texts that `ids` do not contain.
        ids: int32 array `(samples, positions)`, the labels and prompts.
        draws: float32 array `(samples, steps)`, uniform in [0, 1).
    """

    start: int
    beginning: str
    ids: np.ndarray
    draws: np.ndarray


class Generator(TrainedModel):
    """Generates text.

    Args:
        config: The `Config`.
        model: The `LanguageModel`.
        tokenizer: The tokenizer of the characters.
        labels: List of strings, the labels that a line may have. Empty if lines have none.
    """

    config_class = Config
    tokenizers = ("text",)
    lists = ("labels",)

    def __init__(self, config: Config, model: LanguageModel, tokenizer: Any, labels: list[str]) -> None:
        super().__init__(config, model, text=tokenizer, labels=labels)
        self.tokenizer = tokenizer
        self.labels = labels
        # A long text starts after a line break.
        self.start = START if self.has_end else tokenizer.encode("\n")[0]
        state = tree.map_structure(
            lambda x: keras.InputSpec(shape=(None, *x.shape[1:]), dtype=x.dtype), model.initial_state(1)
        )
        self.read = compiled(model.read, model, [IDS, state])
        self._sampler = functools.cache(self._compiled_sampler)

    @classmethod
    def tokenizer_class(cls, config: Config) -> type[LiteralCharacterTokenizer]:
        return LiteralCharacterTokenizer

    @staticmethod
    def sizes(model: LanguageModel, assets: dict[str, Any]) -> dict[str, int]:
        return {"text": model.vocabulary_size - len(assets["labels"])}

    def signatures(self) -> tuple[dict[str, Any], list[Any]]:
        """Returns the functions of the SavedModel; see `signatures.py`.

        Raises:
            UsageError: If the model was trained with the feed zeros, and so has no prompt to continue.
        """
        self._require_prompts()
        return super().signatures()

    def _require_prompts(self) -> None:
        if self.config.feed == "zeros":
            raise UsageError("a model that is fed zeros writes one text per first character and cannot be exported")

    def runner_options(self) -> dict[str, Any]:
        self._require_prompts()
        probabilities = self._label_probabilities().tolist() if self.labels else []
        return {
            "max_length": self.config.max_length,
            "has_end": self.has_end,
            "labels": self.labels,
            "label_probabilities": probabilities,
        }

    @property
    def has_end(self) -> bool:
        """Whether texts have an end."""
        return self.config.mode == "lines"

    def sample(
        self, prompt: Tensor, draws: Tensor, start: Any, reads: int | None = None, **token_arguments: Any
    ) -> Tensor:
        """Samples continuations of prompts.

        Args:
            prompt: int32 tensor `(batch, positions)`, padded with 0.
            draws: Float tensor `(batch, samples, steps)`, uniform in [0, 1).
            start: The id of the first input.
            reads: Number of steps whose input is the previous output; the inputs of later steps are zeros. None is all.
            **token_arguments: `temperature`, `top_k` and `top_p` of `layers.sample`.

        Returns:
            int32 tensor `(batch, samples, steps)`, the prompts included, 0 after an end token.
        """
        arguments = {"start": start, "ends": self.has_end, "reads": reads, "tokens": len(self.tokenizer)}
        return self.model.sample(prompt, draws, **arguments, **token_arguments).tokens

    core_inputs = (IDS, DRAWS, *SAMPLING)

    def core(self, ids: Tensor, draws: Tensor, temperature: Tensor, top_p: Tensor) -> dict[str, Tensor]:
        """Samples continuations of prompts.

        Args:
            ids: int32 tensor `(batch, positions)`, the labels and prompts, padded with 0.
            draws: Float tensor `(batch, 1, steps)`, uniform in [0, 1).
            temperature, top_p: As in `layers.sample`.

        Returns:
            Dictionary of `tokens` `(batch, steps)`, the ids of the texts, with 0 after an end token.
        """
        return {"tokens": self.sample(ids, draws, self.start, temperature=temperature, top_p=top_p)[:, 0]}

    def write(
        self,
        prompt: str = "",
        label: str | None = None,
        length: int | None = None,
        sampling: Sampling | None = None,
        feed: str | None = None,
    ) -> list[GeneratedText]:
        """Generates texts that begin with a prompt.

        Args:
            prompt: String of characters of the vocabulary.
            label: The label of the texts, for a model with labels. None draws a label for each text from the model.
            length: Maximum number of characters after the prompt. None is `config.max_length`.
            sampling: The options of the sampling. None samples one text.
            feed: Input of each step: `"previous"`, the previous output, or `"zeros"`, zeros after the first character
                or the label. None is `config.feed`.

        Raises:
            UsageError: If the prompt contains unknown characters, the label is unknown, or there is neither a prompt
                nor a label for a model that is fed zeros.
        """
        return self.write_all([prompt], label, length, sampling, feed)[0]

    def write_all(
        self,
        prompts: Sequence[str],
        label: str | None = None,
        length: int | None = None,
        sampling: Sampling | None = None,
        feed: str | None = None,
        indices: Sequence[int] = (0,),
    ) -> list[list[GeneratedText]]:
        """Generates texts for each of several prompts.

        Args:
            prompts: List of strings.
            label, length, sampling, feed: See `write`.
            indices: A non-negative integer per prompt, which the samples of the prompt depend on. Those with the index
                0 are the ones of `write`.

        Raises:
            UsageError: As `write` does.
        """
        sampling, feed = sampling or Sampling(), feed or self.config.feed
        reads_start = self.config.feed == "previous"
        reads = 1 + reads_start if feed == "zeros" else None
        texts: list[list[GeneratedText]] = []
        count = max(1, MAX_SAMPLED_ROWS // sampling.num_samples)
        seed = np.atleast_1d(sampling.seed).tolist()
        for part in slices(list(zip(prompts, indices, strict=True)), count):
            encoded = [
                self._encode(prompt, label, length, sampling._replace(seed=(*seed, index)), feed)
                for prompt, index in part
            ]
            texts += self._sample_prompts(encoded, reads, sampling)
        return texts

    def _encode(self, prompt: str, label: str | None, length: int | None, sampling: Sampling, feed: str) -> _Prompt:
        """Returns what the samples of a prompt are computed from."""
        label_ids = self._label_ids(label, sampling)
        ids = np.concatenate([label_ids, np.tile(self.ids_of(prompt), (sampling.num_samples, 1))], axis=1)
        start, beginning = self.start, ""
        if "zeros" in (feed, self.config.feed) and not ids.shape[1]:
            raise UsageError("a model that is fed zeros needs a prompt or a label to begin with")
        if self.config.feed != "previous":
            self._require_label(label)
            start, ids = int(ids[0, 0]), ids[:, 1:]
            beginning = "" if self.labels else self.tokenizer.clean(prompt)[:1]
        steps = ids.shape[1] + (length or self.config.max_length)
        return _Prompt(start, beginning, ids, sampling.draws(1, steps + self.has_end)[0])

    def _sample_prompts(
        self, prompts: Sequence[_Prompt], reads: int | None, sampling: Sampling
    ) -> list[list[GeneratedText]]:
        """Samples continuations of prompts, those with the same start together."""
        texts: list[list[GeneratedText]] = [[] for _ in prompts]
        for start in {prompt.start for prompt in prompts}:
            indices = [index for index, prompt in enumerate(prompts) if prompt.start == start]
            group = [prompts[index] for index in indices]
            ids = Ragged.of(row for prompt in group for row in prompt.ids)
            steps = max(prompt.draws.shape[1] for prompt in group)
            steps = int(bucketed(steps)) if uses_xla(self.config.jit) else steps
            draws = np.concatenate([np.pad(own.draws, ((0, 0), (0, steps - own.draws.shape[1]))) for own in group])
            sample = self._sampler(start, reads, **sampling.token_arguments)
            tokens = sample(ids.padded(np.arange(len(ids)), self.config.jit), draws[:, np.newaxis])[:, 0]
            rows = iter(tokens)
            for index in indices:
                beginning, steps = prompts[index].beginning, prompts[index].draws.shape[1]
                for row in itertools.islice(rows, sampling.num_samples):
                    text = self.text_of(row[: steps - self.has_end])
                    texts[index].append(GeneratedText(beginning + text, bool(np.any(row[:steps] == END))))
        return texts

    def _compiled_sampler(self, start: int, reads: int | None, **token_arguments: Any) -> Callable:
        """Returns `sample` as a compiled function of the prompts and the draws."""
        sample = functools.partial(self.sample, start=start, reads=reads, **token_arguments)
        return compiled(sample, self.model, [IDS, DRAWS])

    def text_of(self, tokens: np.ndarray) -> str:
        """Converts ids `(steps,)` to a text without labels."""
        return self.tokenizer.decode(tokens[tokens < len(self.tokenizer)])

    def generate(self, *arguments: Any, **options: Any) -> list[str]:
        """Returns the texts of `write` as strings."""
        return [generated.text for generated in self.write(*arguments, **options)]

    def ids_of(self, text: str) -> np.ndarray:
        """Returns the ids of a text's characters, or raises a `UsageError` if one is unknown."""
        unknown = "".join(sorted(set(self.tokenizer.unknown(text))))
        if unknown:
            raise UsageError(f"the model has never seen the characters {unknown!r}")
        return np.array(self.tokenizer.encode(text), "int32")

    def _label_ids(self, label: str | None, sampling: Sampling) -> np.ndarray:
        """Returns the id of the label of each sample `(samples, 1)`, or `(samples, 0)` for a model without labels.

        If `label` is None, the labels are sampled from the model's prediction at the start.
        """
        if label is not None and label not in self.labels:
            known = f"its labels are {', '.join(self.labels)}" if self.labels else "it was trained without labels"
            raise UsageError(f"the model has no label '{label}'; {known}")
        if not self.labels:
            return np.zeros((sampling.num_samples, 0), int)
        if label is not None:
            indices = np.full(sampling.num_samples, self.labels.index(label))
        else:
            probabilities = self._label_probabilities()
            generator = np.random.default_rng([1, *np.atleast_1d(sampling.seed)])
            indices = generator.choice(len(probabilities), sampling.num_samples, p=probabilities)
        return len(self.tokenizer) + indices[:, np.newaxis]

    def _label_probabilities(self) -> np.ndarray:
        """The probability of each label at the start of a text, float64."""
        logits, _ = self.read(np.array([[START]], "int32"), self.model.initial_state(1))
        return softmax(logits[0, 0, len(self.tokenizer) :].astype("float64"))

    def _require_label(self, label: str | None) -> None:
        if self.labels and label is None:
            raise UsageError(f"name the label of the text, one of {', '.join(self.labels)}")

    def follow(self, text: str, label: str | None = None) -> list[Prediction]:
        """Predicts each character of a given text from the characters before it.

        Args:
            text: String of characters of the vocabulary.
            label: The label of the text, for a model with labels.

        Raises:
            UsageError: If the text is empty or contains unknown characters, or a model with labels gets none.
        """
        if not text:
            raise UsageError("there is no text to follow")
        self._require_label(label)
        (label_ids,) = self._label_ids(label, Sampling())
        sequence = np.array([*label_ids, *self.ids_of(text), *([END] if self.has_end else [])])
        inputs, targets, _ = data.inputs_and_targets(sequence[np.newaxis], self.config.feed)
        if self.config.feed == "previous":
            inputs[:, 0] = self.start
        logits, _ = self.read(inputs, self.model.initial_state(1))
        probabilities = softmax(logits[0].astype("float32"))
        names = [*self.tokenizer.tokens, *self.labels]
        names[END] = "<end>"
        return [
            Prediction(names[target], names[int(row.argmax())], float(row[target]))
            for target, row in zip(targets[0], probabilities, strict=True)
            if target < len(self.tokenizer)
        ]


def softmax(logits: np.ndarray) -> np.ndarray:
    """Returns the probabilities of logits `(..., tokens)`."""
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return exponentials / exponentials.sum(axis=-1, keepdims=True)


def train(config: Config, folder: str | Path) -> Generator:
    """Trains a generator and writes it to a folder, or resumes an interrupted training there.

    Args:
        config: The `Config`.
        folder: The model's folder.

    Raises:
        DataError: If the data cannot be read, or is shorter than a batch.
        TrainingError: If options do not fit together, or the loss is not a number.
    """
    if config.feed == "zeros" and config.mode == "text":
        raise TrainingError("the feed zeros requires the mode lines, because the mode text has no first character")
    keras.utils.set_random_seed(config.seed)
    build_optimizer(config, steps=1)  # wrong options fail before the data is read
    texts: Any = training_splits(data.read, config, **data.split_arguments(config))
    is_text = config.mode == "text"
    labels = [] if is_text else data.labels_of(texts["train"])
    parts = data.chunks_of(texts["train"]) if is_text else (text for text, _ in texts["train"])
    tokenizer = LiteralCharacterTokenizer.fit(parts, config.vocabulary_size, config.lowercase)
    model = build(config, len(tokenizer) + len(labels))
    batches = {split: _batches(texts[split], tokenizer, labels, config, split) for split in texts}
    generator = Generator(config, model, tokenizer, labels)
    generator.save_assets(folder)
    checksum_of_data = checksum(*texts.values())
    del texts, parts
    fit(
        model,
        TokenCrossentropy(config.label_smoothing),
        batches["train"],
        batches["validation"],
        config,
        folder,
        data=checksum_of_data,
    )
    return generator


def _batches(texts: Any, tokenizer: Tokenizer, labels: Sequence[str], config: Config, split: str) -> EpochBatches:
    """Returns the batches of what `data.read` returned."""
    if config.mode == "text":
        return data.text_batches(data.text_ids(texts, tokenizer), config, split)
    rows = data.sequences(texts, tokenizer, labels, config.max_length)
    if split == "train" and (count := np.sum(rows.values[rows.offsets[1:] - 1] != END)):
        note(f"train: {count} lines of more than {config.max_length} characters are cut")
    return data.line_batches(rows, config, split)
