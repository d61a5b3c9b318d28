"""Writes text, character by character, in the manner of a text that it has read."""

from json import dumps
from typing import Literal

from jsonargparse.typing import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from ..shared.config import Seed, Share
from ..shared.console import Stopwatch
from ..shared.verbs import report


def evaluate(
    model: str,
    *,
    data: str | None = None,
    split: str = "test",
    samples: NonNegativeInt = 500,
    length: PositiveInt | None = None,
    adapt: PositiveFloat | None = None,
):
    """Measures how well a model foresees the characters of a split.

    Ends with one line of JSON: bits_per_character and perplexity (of a character; the ends of lines are characters,
    too), characters, and the speed; and of lines, of so many samples the share that the model ends in time.

    Args:
        model: The model's folder.
        data: A folder or a TFDS name; the default is what the model was trained on.
        split: The split to read.
        samples: How many lines to draw.
        length: The most characters of those lines; the default is the model's max_length.
        adapt: In the mode text, a learning rate such as 0.1: measure, too, how well a model foresees that goes on
            learning from the text as it reads it (bits_per_character_adapted).
    """
    from ..shared.text.writing import Sampling
    from ..shared.training.splits import evaluated_split
    from . import evaluation
    from .data import holding_out, read
    from .model import Generator

    generator = Generator.load(model)
    config = generator.config
    texts = evaluated_split(read, config, split, data, **holding_out(config))
    with Stopwatch() as watch:
        bits, count = evaluation.bits(generator, texts)
    metrics = {"bits_per_character": bits / count, "perplexity": 2 ** (bits / count), "characters": count}
    metrics["characters_per_second"] = round(count / watch.seconds, 1)
    if adapt is not None:
        metrics["bits_per_character_adapted"] = evaluation.adapted_bits(generator, texts, adapt)[0] / count
    if generator.ends and config.feed == "previous" and samples:
        lines = generator.write(length=length, sampling=Sampling(samples))
        metrics["ended"] = sum(written.ended for written in lines) / samples
    report(model, split, metrics, data)


def generate(
    model: str,
    *,
    prompt: str = "",
    label: str | None = None,
    samples: PositiveInt = 1,
    length: PositiveInt | None = None,
    temperature: NonNegativeFloat = 1.0,
    top_k: PositiveInt | None = None,
    top_p: Share = 1.0,
    seed: Seed = 0,
    feed: Literal["previous", "zeros"] | None = None,
    follow: str | None = None,
    json: bool = False,
):
    """Writes texts.

    Args:
        model: The model's folder.
        prompt: What each text begins with.
        label: The label of the texts, of a model that learned labels; the default draws one for each text.
        samples: How many texts to write.
        length: The most characters to write after the prompt; the default is the model's max_length.
        temperature: Below 1 the likelier characters are drawn more often than the model says; 0 draws the likeliest.
        top_k: Draw from so many likeliest characters; the default is all.
        top_p: Draw from the fewest likeliest characters that have this probability together.
        seed: Seed of what is random.
        feed: What each step reads: the character that the one before wrote (previous), or nothing after the prompt's
            first character or the label (zeros); the default is as the model was trained.
        follow: Instead of writing, read this text and print for each character what the model takes for it, having
            read all before.
        json: Print a line of JSON for a text, or a character.
    """
    from ..shared.text.writing import Sampling
    from .model import Generator

    generator = Generator.load(model)
    if follow is not None:
        for guess in generator.follow(follow, label):
            print(dumps(guess._asdict(), ensure_ascii=False) if json else "{!r} {!r} {:.3f}".format(*guess), flush=True)
        return
    sampling = Sampling(samples, temperature, top_k, top_p, seed)
    for text in generator.generate(prompt, label, length, sampling, feed):
        print(dumps({"text": text}, ensure_ascii=False) if json else text, flush=True)


VERBS = (evaluate, generate)
