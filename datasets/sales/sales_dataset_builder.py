"""The TensorFlow Datasets builder of `sales`."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from . import demand


class Builder(tfds.core.GeneratorBasedBuilder):
    """Daily sales of shops with promotions; nothing is downloaded. A promotion is planned 28 days ahead."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "60 shops, up to four years, and a test of the last 28 days."}  # noqa: RUF012, as TFDS declares it

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {
                    "unique_id": tfds.features.Text(),
                    "start": tfds.features.Text(doc="the first day, such as 2021-01-01"),
                    "format": tfds.features.ClassLabel(names=demand.FORMATS),
                    "y": tfds.features.Tensor(shape=(None,), dtype=np.float64),
                    "promotion": tfds.features.Tensor(shape=(None,), dtype=np.float32),
                }
            ),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in demand.SPLITS}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, Any]]]:
        for index, shop in enumerate(demand.examples(split)):
            yield index, {**shop._asdict(), "start": str(shop.start)}
