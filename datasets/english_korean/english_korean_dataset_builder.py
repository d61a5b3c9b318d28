"""The TensorFlow Datasets builder of `english_korean`."""

from collections.abc import Iterator

import tensorflow_datasets as tfds

from . import grammar


class Builder(tfds.core.GeneratorBasedBuilder):
    """English-Korean sentence pairs written by a grammar; nothing is downloaded."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "20,000 training, 1,000 validation and 1,000 test pairs."}  # noqa: RUF012, as tfds has it

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.Translation(languages=("en", "ko")),
            supervised_keys=("en", "ko"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in grammar.SIZES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, str]]]:
        for index, (english, korean) in enumerate(grammar.pairs(split)):
            yield index, {"en": english, "ko": korean}
