"""The examples of `shapes` in files: generating the training images takes minutes."""

import gzip
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ...files import flush
from ..encoded import Image
from ..errors import DataError
from .configurations import VERSION, Configuration, Example, examples, image_name

_IMAGES, _TEXTS = "images", "texts.jsonl.gz"
_LONG = 10_000  # splits of at least this many examples are announced, because they take minutes


def cache_folder() -> Path:
    """The folder of the files: `keras-recurrent` in XDG_CACHE_HOME or in `~/.cache`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "keras-recurrent"


def read_examples(config: Configuration, split: str) -> Iterator[Example]:
    """Reads the examples of a split, which are generated and written to files the first time.

    Yields:
        `Example`s whose images are `Image`s.

    Raises:
        DataError: If the files cannot be written.
    """
    folder = cache_folder() / "shapes" / VERSION / config.name / split
    if not (folder / _TEXTS).exists():
        try:
            _write(config, split, folder)
        except OSError as error:
            raise DataError(f"'shapes/{config.name}' cannot be written to {folder}: {error.strerror}") from error
    start = 0
    with gzip.open(folder / _TEXTS, "rt", encoding="utf-8") as file:
        for index, line in enumerate(file):
            length, captions, scene, questions = json.loads(line)
            image = Image(image_name(split, index), folder / _IMAGES, start, length)
            yield Example(image, captions, scene, questions)
            start += length


def _write(config: Configuration, split: str, folder: Path) -> None:
    """Generates the examples of a split. If several processes do so at once, the last one replaces equal files."""
    if config.sizes[split] >= _LONG:
        print(f"generating {config.sizes[split]:,} images of shapes/{config.name} in {folder}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".", dir=folder) as temporary:
        images, texts = (Path(temporary) / name for name in (_IMAGES, _TEXTS))
        with open(images, "wb") as image_file, gzip.open(texts, "wt", encoding="utf-8") as text_file:
            for example in examples(config, split):
                content = io.BytesIO()
                example.image.save(content, "png")
                image_file.write(content.getvalue())
                line = [len(content.getvalue()), *example[1:]]
                text_file.write(f"{json.dumps(line, separators=(',', ':'))}\n")
        for path in (images, texts):  # the texts last: a folder with them is complete
            flush(path)
            os.replace(path, folder / path.name)
        flush(folder)
