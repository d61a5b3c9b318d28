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
    """The pictures' width and height in pixels, a multiple of 64, and the modules with the scenes and the questions."""

    side: int = 64
    drawn: ModuleType = splits
    asked: ModuleType = questions


class Builder(tfds.core.GeneratorBasedBuilder):
    """Drawn scenes of two to five shapes with captions and questions; nothing is downloaded.

    Each scene has five captions and ten or eleven questions. `scene` is what the picture shows, for `Scene.from_json`.
    The configuration `relational` has scenes of six shapes with twenty questions in the manner of Sort-of-CLEVR.
    """

    VERSION = tfds.core.Version("1.4.0")
    RELEASE_NOTES = {  # noqa: RUF012, as tfds has it
        "1.0.0": "10,000 training, 1,000 validation and 1,000 test scenes, and 1,000 with unseen pairs.",
        "1.1.0": "40,000 training scenes; `relational` has 10,000, as before.",
        "1.2.0": "Captions tell relations only where they are clearer than they must be to be true.",
        "1.3.0": "120,000 training scenes; `relational` as before.",
        "1.4.0": "A scene is asked about an object's fill, too; `relational` as before.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012
        *(Config(name=str(side), description=f"Pictures of {side} by {side} pixels.", side=side) for side in (64, 128)),
        Config(
            name="relational",
            description="Six circles and squares, with questions like Sort-of-CLEVR's.",
            drawn=relational,
            asked=relational,
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
        return {split: self._generate_examples(split) for split in self.builder_config.drawn.SIZES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        config = self.builder_config
        scenes = config.drawn.scenes(split)
        for index, (scene, asked) in enumerate(zip(scenes, config.asked.questions(scenes), strict=True)):
            yield (
                index,
                {
                    "image": np.asarray(draw(scene, config.side)),
                    "image/filename": f"{split}-{index:05}.png",
                    "captions": captions(scene),
                    "scene": scene.to_json(),
                    "questions": [
                        {"question": question.text, "answer": question.answer, "type": question.type}
                        for question in asked
                    ],
                },
            )
