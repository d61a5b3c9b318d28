"""The TensorFlow Datasets builder of `negation`."""

from collections.abc import Iterator

import tensorflow_datasets as tfds

from . import grammar


class Builder(tfds.core.GeneratorBasedBuilder):
    """Opinions about films, whose labels depend on a distant negation; nothing is downloaded."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "10,000 training, 1,000 validation and 1,000 test sentences."}  # noqa: RUF012, as TFDS declares it

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict(
                {"text": tfds.features.Text(), "label": tfds.features.ClassLabel(names=grammar.LABELS)}
            ),
            supervised_keys=("text", "label"),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in grammar.SIZES}

    def _generate_examples(self, split: str) -> Iterator[tuple[int, dict[str, str]]]:
        for index, (text, label) in enumerate(grammar.examples(split)):
            yield index, {"text": text, "label": label}
