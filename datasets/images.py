"""Images with captions, or with questions and answers, from a folder or from TensorFlow Datasets."""

import atexit
import importlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .encoded import Image
from .errors import DataError
from .files import find_folder, nfc
from .generated import generated_set
from .splits import resolve_split
from .tables import read_table
from .tfds import tfds_builder, tfds_examples

if TYPE_CHECKING:
    import tensorflow_datasets as tfds

_FOLDER = "{split}.tsv and images/"


@dataclass(frozen=True)
class CaptionedImage:
    """An image with its captions.

    Args:
        image: The `Image`.
        captions: Captions in Unicode's normalization form C, without surrounding whitespace; empty if there are none.
        scene: JSON description of what a generated image shows, None for other images.
    """

    image: Image
    captions: list[str] = field(default_factory=list)
    scene: str | None = None


def read_captions(data: str | Path, split: str) -> list[CaptionedImage]:
    r"""Reads the images of a split with their captions.

    Args:
        data: A folder with `{split}.tsv` or `{split}.tsv.gz`, whose columns `image` and `caption` hold one caption per
            row, and the images in `images/`. Or `shapes`, which is generated once. Or the name of a TFDS data set with
            the features `image` and `captions`, such as `coco_captions/2014`, whose images are copied to a temporary
            file.
        split: Name of the split. `validation` also matches `val`, `valid` and `dev`.

    Returns:
        List of `CaptionedImage`s in the order of their first rows. Images are not checked: a missing or broken one
        fails when it is read.

    Raises:
        DataError: If the folder or data set, or the split does not exist, or the table is malformed.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_recurrent.datasets.images import read_captions
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "train.tsv").write_text("image\tcaption\n1.jpg\ta dog\n1.jpg\ta hound\n")
    >>> read_captions(folder, "train")[0].captions
    ['a dog', 'a hound']
    """
    folder = find_folder(data, _FOLDER)
    if folder:
        images: dict[str, CaptionedImage] = {}
        for name, caption in read_table(folder, split, ("image", "caption")):
            example = images.setdefault(name, CaptionedImage(Image(name, folder / "images" / name)))
            if caption.strip():
                example.captions.append(_tidy(caption))
        return list(images.values())
    if generated := generated_set(str(data)):
        if "captions" not in generated.features:
            raise DataError(f"'{data}' has no captions; its features are {', '.join(sorted(generated.features))}")
        return [CaptionedImage(example.image, example.captions, example.scene) for example in generated.examples(split)]
    builder = tfds_builder(str(data))
    features = builder.info.features
    if not {"image", "captions"} <= set(features):
        raise DataError(f"'{data}' has no captions; its features are {', '.join(sorted(features))}")
    return [
        CaptionedImage(image, _caption_texts(example["captions"]), _decode(example.get("scene")))
        for image, example in _tfds_images(builder, split, ("captions", "scene"))
    ]


@dataclass(frozen=True)
class Question:
    """A question about an image.

    Args:
        text: The question.
        answers: One answer per annotator; empty if the answer is unknown.
        kind: The type of the question, None if the data set has no types.
    """

    text: str
    answers: list[str] = field(default_factory=list)
    kind: str | None = None


@dataclass(frozen=True)
class ImageWithQuestions:
    """An image with the questions about it.

    Args:
        image: The `Image`.
        questions: One or more `Question`s.
    """

    image: Image
    questions: list[Question] = field(default_factory=list)


def read_questions(data: str | Path, split: str) -> list[ImageWithQuestions]:
    r"""Reads the images of a split with the questions about them.

    Args:
        data: A folder with `{split}.tsv` or `{split}.tsv.gz` and the images in `images/`. The columns `image`,
            `question` and `answer` hold one answer per row: several rows with the same image and question are several
            annotators. The column `answer` may be missing if no answer is known; an optional column `type` holds the
            type of the question. Or `shapes`, which is generated once. Or `easy_vqa`, read from the package
            easy-vqa; one in ten of its training images is used for validation. Or the name of a TFDS data set with
            questions, such as `clevr`, whose images are copied to a temporary file.
        split: Name of the split. `validation` also matches `val`, `valid` and `dev`.

    Returns:
        List of `ImageWithQuestions` in the order of their first rows. Images are not checked: a missing or broken one
        fails when it is read.

    Raises:
        DataError: If the folder or data set, or the split does not exist, or the table is malformed.

    Example:

    >>> import pathlib, tempfile
    >>> from keras_recurrent.datasets.images import read_questions
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> _ = (folder / "train.tsv").write_text("image\tquestion\tanswer\n1.jpg\tis it red?\tyes\n")
    >>> read_questions(folder, "train")[0].questions
    [Question(text='is it red?', answers=['yes'], kind=None)]
    """
    folder = find_folder(data, _FOLDER)
    if folder:
        return _group_by_image(
            ((name, folder / "images" / name), question, answer, kind)
            for name, question, answer, kind in read_table(folder, split, ("image", "question"), ("answer", "type"))
        )
    if data == "easy_vqa":
        return _group_by_image(_easy_vqa_rows(split))
    if generated := generated_set(str(data)):
        if "questions" not in generated.features:
            raise DataError(f"'{data}' has no questions; its features are {', '.join(sorted(generated.features))}")
        return [
            ImageWithQuestions(
                example.image, [Question(text, [answer], kind) for text, answer, kind in example.questions]
            )
            for example in generated.examples(split)
        ]
    builder = tfds_builder(str(data))
    features = builder.info.features
    feature = "questions" if "questions" in features else "question_answer"
    if not {"image", feature} <= set(features):
        raise DataError(f"'{data}' has no questions; its features are {', '.join(sorted(features))}")
    return [
        ImageWithQuestions(image, _tfds_questions(example[feature]))
        for image, example in _tfds_images(builder, split, (feature,))
    ]


def _group_by_image(
    rows: Iterable[tuple[tuple[str, Path], str, str | None, str | None]],
) -> list[ImageWithQuestions]:
    """Collects rows of `((name, path), question, answer, type)`, in which an answer or a type may be None."""
    images: dict[str, ImageWithQuestions] = {}
    questions: dict[tuple[str, str], Question] = {}
    for (name, path), text, answer, kind in rows:
        example = images.setdefault(name, ImageWithQuestions(Image(name, path)))
        text = _tidy(text)
        if (name, text) not in questions:
            questions[name, text] = Question(text, [], kind and _tidy(kind))
            example.questions.append(questions[name, text])
        if answer is not None and answer.strip():
            questions[name, text].answers.append(_tidy(answer))
    return list(images.values())


def _easy_vqa_rows(split: str) -> Iterator[tuple[tuple[str, Path], str, str, None]]:
    """Yields the rows of a split of the package easy-vqa."""
    try:
        package = importlib.import_module("easy_vqa")
    except ImportError as error:
        raise DataError("easy_vqa requires the package easy-vqa: pip install 'keras-recurrent[easy-vqa]'") from error
    name = resolve_split(split, ("train", "validation", "test"), "easy_vqa")
    is_test = name == "test"
    paths = package.get_test_image_paths() if is_test else package.get_train_image_paths()
    rows = package.get_test_questions() if is_test else package.get_train_questions()
    for question, answer, number in zip(*rows, strict=True):
        if is_test or (number % 10 == 0) == (name == "validation"):
            yield (f"{number}.png", Path(paths[number])), question, answer, None


def _tfds_images(
    builder: "tfds.core.DatasetBuilder", split: str, features: Iterable[str]
) -> Iterator[tuple[Image, dict[str, Any]]]:
    """Yields the images of a split, each with the named features of its example.

    TFDS only reads sequentially, so the encoded images are copied to a file for random access.
    """
    import tensorflow_datasets as tfds

    folder = Path(tempfile.mkdtemp(prefix="keras-recurrent-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "images"
    name_features = ("image/filename", "file_name")
    read = {feature: True for feature in ("image", *name_features, *features) if feature in builder.info.features}
    decoders = tfds.decode.PartialDecoding(read, decoders={"image": tfds.decode.SkipDecoding()})
    examples = tfds_examples(builder, split, decoders=decoders)
    with open(path, "wb") as file:
        for number, example in enumerate(examples):
            content = example.pop("image")
            name = next((example[feature].decode() for feature in name_features if feature in example), None)
            yield Image(name or f"{split} {number}", path, file.tell(), len(content)), example
            file.write(content)


def _tfds_questions(columns: dict[str, Any]) -> list[Question]:
    """Converts the questions of an example, as TFDS returns them, column by column."""
    texts, answers = columns["question"], columns["answer"]
    kinds = columns.get("type", [None] * len(texts))
    return [
        Question(_tidy(_decode(text)), _tidy_all([answer]), _decode(kind))
        for text, answer, kind in zip(texts, answers, kinds, strict=True)
    ]


def _caption_texts(captions: Any) -> list[str]:
    """Converts the captions of an example: bytes, or columns of which `text` holds the bytes."""
    return _tidy_all(captions["text"] if isinstance(captions, dict) else captions)


def _tidy_all(values: Iterable[bytes]) -> list[str]:
    """Decodes and tidies texts and drops the empty ones, which mean that none is known."""
    return [text for text in (_tidy(_decode(value)) for value in values) if text]


def _tidy(text: str) -> str:
    """Returns a text in NFC, without surrounding whitespace."""
    return nfc(text).strip()


def _decode(value: bytes | None) -> Any:
    return None if value is None else value.decode()
