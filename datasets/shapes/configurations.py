"""The configurations of `shapes`, and their examples."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from PIL import Image

from ..errors import DataError
from . import captions, questions, relational, simple, splits
from .drawing import draw
from .scene import Scene

VERSION = "1.4.0"  # another version for each change of the examples


class Configuration(NamedTuple):
    """A configuration of the data set.

    Attributes:
        name: Its name.
        description: Its description.
        side: Width and height of the images in pixels, a multiple of 64.
        sizes: The number of scenes of each split.
        scenes: Function from a split to its scenes.
        questions: Function from scenes to the questions about each.
        captions: Function from a scene to its captions.
    """

    name: str
    description: str
    side: int
    sizes: Mapping[str, int]
    scenes: Callable[[str], Sequence[Scene]]
    questions: Callable[[Iterable[Scene]], list[tuple[questions.Question, ...]]]
    captions: Callable[[Scene], Sequence[str]] = captions.captions


class Example(NamedTuple):
    """An image with texts.

    Attributes:
        image: What shows the image: of the generator, its pixels.
        captions: Its captions.
        scene: JSON description of the image, which `Scene.from_json` reads.
        questions: Tuples `(question, answer, type)`.
    """

    image: Any
    captions: Sequence[str]
    scene: str
    questions: Sequence[tuple[str, str, str]]


CONFIGURATIONS = (
    *(
        Configuration(
            str(side),
            f"Images of {side} by {side} pixels.",
            side,
            splits.SIZES,
            lambda split: splits.scenes(split),
            questions.questions,
        )
        for side in (64, 128)
    ),
    Configuration(
        "relational",
        "Six circles and squares, with questions similar to Sort-of-CLEVR.",
        64,
        relational.SIZES,
        lambda split: relational.scenes(split),
        relational.questions,
    ),
    Configuration(
        "simple",
        "Two or three solid objects, which a small model learns in minutes.",
        64,
        simple.SIZES,
        lambda split: simple.scenes(split),
        simple.questions,
        simple.captions,
    ),
)


def configuration(name: str) -> Configuration:
    """Returns a configuration; the empty name is the first one.

    Raises:
        DataError: If there is no such configuration.
    """
    for config in CONFIGURATIONS:
        if name in ("", config.name):
            return config
    names = ", ".join(config.name for config in CONFIGURATIONS)
    raise DataError(f"'shapes' has no configuration '{name}'; its configurations are {names}")


def examples(config: Configuration, split: str) -> Iterator[Example]:
    """Generates the examples of a split, whose images are `PIL.Image.Image`s."""
    scenes = config.scenes(split)
    for scene, about in zip(scenes, config.questions(scenes), strict=True):
        image: Image.Image = draw(scene, config.side)
        texts = [(question.text, question.answer, str(question.type)) for question in about]
        yield Example(image, config.captions(scene), scene.to_json(), texts)


def image_name(split: str, index: int) -> str:
    """The file name of an image."""
    return f"{split}-{index:05}.png"
