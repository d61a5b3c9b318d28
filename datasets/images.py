"""Images with captions, or with questions and their answers, from a folder or from TensorFlow Datasets."""

import atexit
import importlib
import shutil
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from .sources import DataError, read_lines, resolve_split, tfds_builder, tfds_examples


@dataclass(frozen=True)
class Image:
    """An image as it is encoded, which is read when it is needed.

    Attributes:
        name: What people know it by, such as the name of its file.
        path: The file that holds it.
        start: Where in the file it begins.
        length: How many bytes it has; None is all of the file.
        mirrored: Whether its mirror image is meant.
    """

    name: str
    path: Path
    start: int = 0
    length: int | None = None
    mirrored: bool = False

    def read(self):
        """Its bytes."""
        with open(self.path, "rb") as file:
            file.seek(self.start)
            return file.read(self.length)


@dataclass(frozen=True)
class CaptionedImage:
    """An image and what people say of it.

    Attributes:
        image: The `Image`.
        captions: Strings without surrounding space, one or more; none where nobody said anything.
        scene: Where a picture was generated, what is in it, as JSON.
    """

    image: Image
    captions: list = field(default_factory=list)
    scene: str | None = None


def read_captions(data, split):
    """Reads the images of a split with their captions.

    Args:
        data: A folder with `{split}.tsv` or `{split}.tsv.gz`, whose columns `image` and `caption` have a row a caption,
            and the images in `images/`; or the name of a TFDS data set with the features `image` and `captions`, such
            as `shapes` or `coco_captions/2014`, whose images are copied into a temporary file.
        split: The name of the split. `validation` stands for `val`, `valid` and `dev` too.

    Returns:
        List of `CaptionedImage`s in the order of their first rows. An image may be missing or broken: that shows when
        it is read.

    Raises:
        DataError: If there is no such folder, data set or split, or a file is not such a table.

    Example:

    >>> read_captions("shapes", "test")[0].captions[0]  # doctest: +SKIP
    'a large red circle is to the left of a small hollow blue square'
    """
    folder = Path(data).expanduser()
    if folder.is_dir():
        images = {}
        for name, caption in read_table(folder, split, ("image", "caption")):
            found = images.setdefault(name, CaptionedImage(Image(name, folder / "images" / name)))
            if caption.strip():
                found.captions.append(caption.strip())
        return list(images.values())
    if folder.exists():
        raise DataError(f"{data} is a file; the data must be a folder with {{split}}.tsv and images/, or a name")
    builder = tfds_builder(str(data))
    features = builder.info.features
    if not {"image", "captions"} <= set(features):
        raise DataError(f"'{data}' holds no captions: TFDS gives it the features {sorted(features)}")
    return [
        CaptionedImage(image, _texts(example["captions"]), _text(example.get("scene")))
        for image, example in _tfds_images(builder, split, ("captions", "scene"))
    ]


@dataclass(frozen=True)
class Question:
    """A question about an image.

    Attributes:
        text: The question.
        answers: Strings, one an annotator; none where the answer is not known.
        kind: Its type, where the data set has types.
    """

    text: str
    answers: list = field(default_factory=list)
    kind: str | None = None


@dataclass(frozen=True)
class AskedImage:
    """An image and what is asked of it.

    Attributes:
        image: The `Image`.
        questions: `Question`s, one or more.
    """

    image: Image
    questions: list = field(default_factory=list)


def read_questions(data, split):
    """Reads the images of a split with the questions about them.

    Args:
        data: A folder with `{split}.tsv` or `{split}.tsv.gz`, whose columns `image`, `question` and `answer` have a row
            an answer, and the images in `images/`; several rows of one image and question are several annotators, a
            column `type` is the question's type, and without a column `answer` no answer is known. Or the name of a
            TFDS data set with questions, such as `shapes` or `clevr`, whose images are copied into a temporary file. Or
            `easy_vqa`, the package of that name; of its training images one in ten is for validation.
        split: The name of the split. `validation` stands for `val`, `valid` and `dev` too.

    Returns:
        List of `AskedImage`s in the order of their first rows. An image may be missing or broken: that shows when it is
        read.

    Raises:
        DataError: If there is no such folder, data set or split, or a file is not such a table.

    Example:

    >>> read_questions("shapes", "test")[0].questions[0]  # doctest: +SKIP
    Question(text='is there a red circle?', answers=['yes'], kind='existence')
    """
    folder = Path(data).expanduser()
    if folder.is_dir():
        return _grouped(
            ((name, folder / "images" / name), question, answer, kind)
            for name, question, answer, kind in read_table(folder, split, ("image", "question"), ("answer", "type"))
        )
    if folder.exists():
        raise DataError(f"{data} is a file; the data must be a folder with {{split}}.tsv and images/, or a name")
    if data == "easy_vqa":
        return _grouped(_easy_vqa(split))
    builder = tfds_builder(str(data))
    features = builder.info.features
    name = "questions" if "questions" in features else "question_answer"
    if not {"image", name} <= set(features):
        raise DataError(f"'{data}' holds no questions: TFDS gives it the features {sorted(features)}")
    asked = []
    for image, example in _tfds_images(builder, split, (name,)):
        asked.append(AskedImage(image))
        columns = example[name]
        kinds = columns.get("type", [None] * len(columns["question"]))
        for question, answer, kind in zip(columns["question"], columns["answer"], kinds, strict=True):
            answers = [text for text in (_text(answer).strip(),) if text]  # of some splits, no answer is known
            asked[-1].questions.append(Question(_text(question).strip(), answers, _text(kind)))
    return asked


def _grouped(rows):
    """Rows of `((name, path), question, answer, type)` as `AskedImage`s; an answer or type may be None."""
    images, questions = {}, {}
    for (name, path), text, answer, kind in rows:
        asked = images.setdefault(name, AskedImage(Image(name, path)))
        text = text.strip()
        if (name, text) not in questions:
            questions[name, text] = Question(text, [], kind and kind.strip())
            asked.questions.append(questions[name, text])
        if answer is not None and answer.strip():
            questions[name, text].answers.append(answer.strip())
    return list(images.values())


def _easy_vqa(split):
    """The rows of a split of the package easy-vqa."""
    try:
        package = importlib.import_module("easy_vqa")
    except ImportError as error:
        raise DataError("easy_vqa is a package that `pip install 'keras-recurrent[easy-vqa]'` brings") from error
    name = resolve_split(split, ("train", "validation", "test"), "easy_vqa")
    is_test = name == "test"
    paths = package.get_test_image_paths() if is_test else package.get_train_image_paths()
    rows = package.get_test_questions() if is_test else package.get_train_questions()
    for question, answer, number in zip(*rows, strict=True):
        if is_test or (number % 10 == 0) == (name == "validation"):
            yield (f"{number}.png", Path(paths[number])), question, answer, None


def read_table(folder, split, columns, optional=()):
    """The rows of `{split}.tsv` or `{split}.tsv.gz` as tuples of the values in the named columns.

    The first line names the columns, and there may be others. A value is taken literally: there is no quoting. Where an
    optional column is missing, its values are None.

    Raises:
        DataError: If there is no such file, or it lacks a column, or a row has too few or too many values.
    """
    files = {}
    for path in sorted(folder.iterdir()):
        name = path.name.removesuffix(".gz")
        if name.endswith(".tsv"):
            files.setdefault(name.removesuffix(".tsv"), path)
    path = files[resolve_split(split, files, folder)]
    lines = read_lines(path)
    while len(lines) > 1 and not lines[-1]:
        lines.pop()  # a table may end with empty lines
    names = lines[0].split("\t")
    missing = [column for column in columns if column not in names]
    if missing:
        raise DataError(f"{path}: no column '{missing[0]}' in the first line; the columns are {', '.join(names)}")
    places = [names.index(column) if column in names else None for column in (*columns, *optional)]
    rows = []
    for number, line in enumerate(lines[1:], 2):
        values = line.split("\t")
        if len(values) != len(names):
            raise DataError(f"{path}, line {number}: {len(values)} values instead of {len(names)} between tabs")
        rows.append(tuple(None if place is None else values[place] for place in places))
    return rows


def _tfds_images(builder, split, names):
    """The images of a split, each beside those features of its example.

    TFDS reads in sequence only, so the images move to a file.
    """
    import tensorflow_datasets as tfds

    folder = Path(tempfile.mkdtemp(prefix="keras-recurrent-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    path = folder / "images"
    file_names = ("image/filename", "file_name")
    wanted = {name: True for name in ("image", *file_names, *names) if name in builder.info.features}
    decoders = tfds.decode.PartialDecoding(wanted, decoders={"image": tfds.decode.SkipDecoding()})
    examples = tfds_examples(builder, split, decoders=decoders)
    with open(path, "wb") as file:
        for number, example in enumerate(examples):
            content = example.pop("image")
            name = next((_text(example[name]) for name in file_names if name in example), f"{split} {number}")
            yield Image(name, path, file.tell(), len(content)), example
            file.write(content)


def _texts(captions):
    """Captions as TFDS has them: texts, or texts with more about each."""
    captions = captions["text"] if isinstance(captions, dict) else captions
    return [text for text in (_text(caption).strip() for caption in captions) if text]


def _text(value):
    return None if value is None else value.decode()
