"""Folders of models that older versions trained load."""

import dataclasses

import pytest
import yaml
from keras_recurrent.apps.captioning.config import Config as CaptioningConfig
from keras_recurrent.apps.shared.models.loading import parse_config
from keras_recurrent.apps.translation.config import Config as TranslationConfig


@pytest.mark.parametrize(
    ("config_class", "attention", "score", "query"),
    [
        (TranslationConfig, "luong", "multiplicative", "after_step"),
        (TranslationConfig, "bahdanau", "multiplicative", "before_step"),
        (TranslationConfig, "none", "none", "after_step"),
        (CaptioningConfig, "luong", "multiplicative", "after_step"),
        (CaptioningConfig, "bahdanau", "multiplicative", "before_step"),
    ],
)
def test_attention_was_one_option(config_class, attention, score, query, tmp_path):
    saved = {**dataclasses.asdict(config_class()), "score": "multiplicative", "attention": attention}
    del saved["query"]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(saved))
    config = parse_config(tmp_path, config_class, {})
    assert (config.score, config.query) == (score, query)
