"""Generates text, character by character, with a recurrent language model."""

from collections.abc import Sequence
from json import dumps
from typing import Any, Literal

from ..shared.config import Length, NonNegativeFloat, PositiveFloat, PositiveInt, PositiveSamples, Samples, Seed, Share
from ..shared.console import Stopwatch
from ..shared.errors import UsageError
from ..shared.evaluation import EvaluationOptions, report
from ..shared.remarks import collect_remarks
from ..shared.verbs import Streaming, map_usable, stream


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    samples: Samples = 500,
    length: Length | None = None,
    adapt: PositiveFloat | None = None,
    evaluation: EvaluationOptions,
) -> None:
    """Measures how well a model predicts the characters of a split.

    Prints a table on standard error and one line of JSON on standard output: bits_per_character, perplexity (per
    character; line ends count as characters), the number of characters, and the speed. For a model of lines also
    `ended`, the fraction of generated lines that the model ends within the maximum length.

    Each line of --output is the number of bits that the model needs to encode a text, a tab and the number of its
    characters. In the mode text, the text is read once, and --output, --shard and --predictions are not supported.

    Args:
        model: Folder or name of the model.
        data: Folder or name of a TFDS data set. The default is the data set that the model was trained on.
        split: Split to read.
        samples: Number of lines to generate for `ended`.
        length: Maximum number of characters of those lines. The default is the model's max_length.
        adapt: Learning rate, such as 0.1, of a second measurement in which the model keeps learning from the text that
            it has read (bits_per_character_adapted). Only for the mode text.
        evaluation: Options of large splits.
    """
    from ..shared.text.writing import Sampling
    from ..shared.training.splits import evaluated_split
    from .data import iterate, read, split_arguments
    from .evaluation import adapted_bits, line_bits, text_bits, text_parts
    from .model import Generator

    generator = Generator.load(model)
    config = generator.config
    if generator.has_end and adapt is not None:
        raise UsageError("lines are independent texts; adaptation works only in the mode text")
    if not generator.has_end and evaluation != EvaluationOptions():
        raise UsageError(
            "the mode text does not support --output, --shard and --predictions: the text is read from its start"
        )
    texts = evaluated_split(read, config, split, data, iterate, **split_arguments(config))
    if generator.has_end:
        bits, count, rates = line_bits(generator, texts, evaluation, model)
    else:
        with Stopwatch() as watch:
            bits, count = text_bits(generator, text_parts(texts))
        rates = {"characters_per_second": round(count / watch.seconds, 1)}
    metrics: dict[str, Any] = {"bits_per_character": bits / count, "perplexity": 2 ** (bits / count)}
    metrics |= {"characters": count, **rates}
    if adapt is not None:
        metrics["bits_per_character_adapted"] = adapted_bits(generator, text_parts(texts), adapt)[0] / count
    if generator.has_end and config.feed == "previous" and samples and evaluation.predictions is None:
        lines = generator.write(length=length, sampling=Sampling(samples))
        metrics["ended"] = sum(line.ended for line in lines) / samples
    report(model, split, metrics, data, evaluation)


def generate(
    model: str,
    *,
    prompt: str = "",
    label: str | None = None,
    samples: PositiveSamples = 1,
    length: Length | None = None,
    temperature: NonNegativeFloat = 1.0,
    top_k: PositiveInt | None = None,
    top_p: Share = 1.0,
    seed: Seed = 0,
    feed: Literal["previous", "zeros"] | None = None,
    follow: str | None = None,
    json: bool = False,
    streaming: Streaming,
) -> None:
    """Generates texts and prints them.

    Args:
        model: Folder or name of the model.
        prompt: Beginning of each text. Each line of --input is such a prompt, for which texts are generated.
        label: Label of the texts, for a model that was trained with labels. The default draws a label for each text.
        samples: Number of texts.
        length: Maximum number of characters after the prompt. The default is the model's max_length.
        temperature: Temperature of the sampling. Lower values favor probable characters; 0 takes the most probable
            one.
        top_k: Number of most probable characters to sample from. The default is all.
        top_p: Sample from the smallest set of characters with this total probability, in (0, 1].
        seed: Seed of the sampling.
        feed: Input of each step: the character that the previous step generated (previous), or zeros after the first
            character or the label (zeros). The default is the value used in training.
        follow: Instead of generating, read this text and print each character, the model's prediction for it and the
            probability of the character.
        json: Print one line of JSON per text or character.
        streaming: Options of many prompts.
    """
    from ..shared.text.writing import Sampling
    from .model import Generator

    generator = Generator.load(model)
    if follow is not None:
        for target, predicted, probability in generator.follow(follow, label):
            line = {"right": target, "guess": predicted, "probability": probability}
            plain = f"{target!r} {predicted!r} {probability:.3f}"
            print(dumps(line, ensure_ascii=False) if json else plain, flush=True)
        return
    sampling = Sampling(samples, temperature, top_k, top_p, seed)

    def check(prompt: str) -> str | UsageError:
        try:
            generator.ids_of(prompt)
        except UsageError as error:
            if streaming.input is None:
                raise
            return error
        return prompt

    def lines(prompts: Sequence[str], indices: Sequence[int]) -> list[str]:
        results = generator.write_all(prompts, label, length, sampling, feed, indices)
        show = (lambda text: dumps({"text": text}, ensure_ascii=False)) if json else remarks.answer
        return ["\n".join(show(written.text) for written in result) for result in results]

    def write(prompts: list[str], index: int) -> list[str | Exception]:
        return map_usable(lines, [*map(check, prompts)], range(index, index + len(prompts)))

    options = {"label": label, "length": length, "feed": feed, "json": json, **sampling._asdict()}
    inputs = [prompt] if prompt or streaming.input is None else []
    with collect_remarks(streaming) as remarks:
        stream(write, inputs, streaming, model, options, by_length=False)


VERBS = (evaluate, generate)
