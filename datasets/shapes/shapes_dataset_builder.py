"""The TensorFlow Datasets builder of `shapes`."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from .configurations import CONFIGURATIONS, VERSION, Configuration, configuration, examples, image_name


@dataclasses.dataclass
class Config(tfds.core.BuilderConfig):
    """A configuration of the data set, by its name in `configurations`."""

    @property
    def configuration(self) -> Configuration:
        return configuration(self.name)


class Builder(tfds.core.GeneratorBasedBuilder):
    """Generated images of two to five shapes with captions and questions; nothing is downloaded.

    Each image has five captions and usually ten or eleven questions. The feature `scene` describes the image in JSON,
    which `Scene.from_json` reads. The configuration `relational` has images of six shapes with twenty questions similar
    to Sort-of-CLEVR, and `simple` images of two or three solid shapes with about seven questions.
    """

    VERSION = tfds.core.Version(VERSION)
    RELEASE_NOTES = {  # noqa: RUF012, as TFDS declares it
        "1.0.0": "10,000 training, 1,000 validation and 1,000 test scenes, and 1,000 scenes with unseen pairs.",
        "1.1.0": "40,000 training scenes; `relational` keeps its 10,000.",
        "1.2.0": "Captions only mention relations that are clearer than required for being true.",
        "1.3.0": "120,000 training scenes; `relational` is unchanged.",
        "1.4.0": "Questions about the fill of an object; `relational` is unchanged.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012
        Config(name=config.name, description=config.description) for config in CONFIGURATIONS
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        text, side = tfds.features.Text(), self.builder_config.configuration.side
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "image": tfds.features.Image(shape=(side, side, 3), encoding_format="png"),
                    "image/filename": text,
                    "captions": tfds.features.Sequence(text),
                    "scene": text,
                    "questions": tfds.features.Sequence({"question": text, "answer": text, "type": text}),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in self.builder_config.configuration.sizes}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, example in enumerate(examples(self.builder_config.configuration, split)):
            yield (
                index,
                {
                    "image": np.asarray(example.image),
                    "image/filename": image_name(split, index),
                    "captions": example.captions,
                    "scene": example.scene,
                    "questions": [
                        dict(zip(("question", "answer", "type"), row, strict=True)) for row in example.questions
                    ],
                },
            )
