"""The TensorFlow Datasets builder of `shapes`."""

import dataclasses
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from . import questions, relational, splits
from .captions import captions
from .drawing import draw


@dataclasses.dataclass
class Config(tfds.core.BuilderConfig):
    """A configuration of the data set.

    Args:
        side: Width and height of the images in pixels, a multiple of 64.
        scene_module: Module with the sizes of the splits and their scenes.
        question_module: Module with the questions.
    """

    side: int = 64
    scene_module: ModuleType = splits
    question_module: ModuleType = questions


class Builder(tfds.core.GeneratorBasedBuilder):
    """Generated images of two to five shapes with captions and questions; nothing is downloaded.

    Each image has five captions and usually ten or eleven questions. The feature `scene` describes the image in JSON,
    which `Scene.from_json` reads. The configuration `relational` has images of six shapes with twenty questions similar
    to Sort-of-CLEVR.
    """

    VERSION = tfds.core.Version("1.4.0")
    RELEASE_NOTES = {  # noqa: RUF012, as TFDS declares it
        "1.0.0": "10,000 training, 1,000 validation and 1,000 test scenes, and 1,000 scenes with unseen pairs.",
        "1.1.0": "40,000 training scenes; `relational` keeps its 10,000.",
        "1.2.0": "Captions only mention relations that are clearer than required for being true.",
        "1.3.0": "120,000 training scenes; `relational` is unchanged.",
        "1.4.0": "Questions about the fill of an object; `relational` is unchanged.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012
        *(Config(name=str(side), description=f"Images of {side} by {side} pixels.", side=side) for side in (64, 128)),
        Config(
            name="relational",
            description="Six circles and squares, with questions similar to Sort-of-CLEVR.",
            scene_module=relational,
            question_module=relational,
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        text, side = tfds.features.Text(), self.builder_config.side
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
        return {split: self._generate_examples(split) for split in self.builder_config.scene_module.SIZES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.builder_config
        scenes = config.scene_module.scenes(split)
        for index, (scene, scene_questions) in enumerate(
            zip(scenes, config.question_module.questions(scenes), strict=True)
        ):
            yield (
                index,
                {
                    "image": np.asarray(draw(scene, config.side)),
                    "image/filename": f"{split}-{index:05}.png",
                    "captions": captions(scene),
                    "scene": scene.to_json(),
                    "questions": [
                        {"question": question.text, "answer": question.answer, "type": question.type}
                        for question in scene_questions
                    ],
                },
            )
