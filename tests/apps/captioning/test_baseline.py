import collections
import json

import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.captioning.baseline import commonest_caption, nearest_image
from keras_recurrent.datasets.images import CaptionedImage, Image, read_captions


def test_commonest_caption():
    captions = [["a dog", "a cat"], ["a dog on a sofa"], ["a cat", "two cats"]]
    baseline = commonest_caption([CaptionedImage(Image(f"{i}.png", i), own) for i, own in enumerate(captions)])
    assert baseline([Image("new.png", 0), Image("other.png", 1)]) == ["a cat", "a cat"]


def test_nearest_image(saved, pictures):
    """A training image is the nearest one to itself; the images of the validation are between those of the training."""
    captioner = load(saved)
    train, val = (read_captions(pictures, split) for split in ("train", "val"))
    baseline = nearest_image(captioner, train)
    assert baseline([example.image for example in train]) == [example.captions[0] for example in train]
    captions = baseline([example.image for example in val])
    assert sum(caption in example.captions for caption, example in zip(captions, val, strict=True)) > 0.9 * len(val)


@pytest.mark.rest
@pytest.mark.parametrize(("baseline", "name"), [("commonest", "commonest_caption"), ("nearest", "nearest_image")])
def test_evaluate_with_a_baseline(saved, eagerly, evaluate_in_shards, capsys, baseline, name):
    options = ("--baseline", baseline)
    assert cli.main(["captioning", "evaluate", str(saved), "--split", "val", *options]) == 0
    output = capsys.readouterr()
    metrics = json.loads(output.out)
    baselines = collections.defaultdict(dict, metrics["baselines"])
    if baseline == "commonest":
        assert baselines["distinct_captions"][name] == 1
        assert baselines["bleu_4"][name] < 60 < metrics["bleu_4"]
    else:
        assert baselines["bleu_4"][name] > 95
    assert name.replace("_", " ") in output.err
    assert len(evaluate_in_shards("captioning", saved, "val", *options)) == 24
