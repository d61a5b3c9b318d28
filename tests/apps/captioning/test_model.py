import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.captioning import data, model
from keras_recurrent.apps.captioning.metrics import caption_metrics
from keras_recurrent.apps.shared.errors import TrainingError
from keras_recurrent.apps.shared.images.backbones import configured_backbone
from keras_recurrent.apps.shared.images.pixels import ImageError
from keras_recurrent.apps.shared.text.tokenizers import fit_tokenizer
from keras_recurrent.apps.shared.training.checkpoints import States
from keras_recurrent.datasets import images as encoded
from keras_recurrent.datasets.shapes import splits
from keras_recurrent.datasets.shapes.captions import captions
from PIL import Image

PLAIN = """
loaded = tf.saved_model.load(export)
contents = [open(path, "rb").read() for path in paths]
encoded, pixels = loaded.signatures["serving_default"], loaded.signatures["pixels"]
def values(answer):
    return [[text.decode() for text in answer["text"].numpy()], answer["score"].numpy().tolist()]
results = [values(encoded(image_bytes=tf.constant(contents[:n], tf.string, shape=(n,)))) for n in (len(contents), 1, 0)]
images = [tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE") for content in contents]  # PNG, too
results.append([sum(parts, []) for parts in zip(*(values(pixels(pixels=image[tf.newaxis])) for image in images))])
results.append(values(pixels(pixels=tf.stack(images[:2])[:0])))
print(json.dumps(results))
"""


def expected(name):
    _, colour, side, _ = name.split("-")
    return {f"a {colour} square on the {side}.", f"on the {side} a {colour} square."}


@pytest.mark.rest
def test_captions_pictures_it_never_saw(saved, contents):
    captions = load(saved).caption(list(contents.values()))
    assert all(caption.text in expected(name) for name, caption in zip(contents, captions, strict=True))
    assert all(-1 < caption.score < 0 for caption in captions)


@pytest.mark.rest
def test_folder_holds_all_that_the_design_names(saved):
    names = {path.name for path in saved.iterdir()}
    assert names >= {"config.yaml", "model.keras", "captions.vocabulary.txt", "history.csv", "figures"}


CONDITIONINGS = ["init", "pre", "par", "merge", "attention"]
CELLS = ["simple_rnn", "lstm", "gru"]  # the layers' tests have each with each
KINDS = [
    *(
        {"conditioning": conditioning, "cell": cell}
        for conditioning, cell in zip(CONDITIONINGS, [*CELLS, *CELLS[:2]], strict=True)
    ),
    {"query": "before_step", "tokenizer": "characters", "num_layers": 2},
]


@pytest.mark.parametrize("options", KINDS, ids=lambda options: options.get("conditioning", "before_step"))
def test_every_kind_is_read_back(config, eagerly, tmp_path, contents, options):
    config = dataclasses.replace(config, max_length=5, **options)
    texts = [caption for example in data.read(config, "validation") for caption in example.captions]
    tokenizer = fit_tokenizer(texts, config, "the captions have")
    backbone = configured_backbone(config).model
    captioner = model.Captioner(config, model.build(config, len(tokenizer), backbone), tokenizer)
    captioner.save_assets(tmp_path)
    some = list(contents.values())[:2]
    expected = captioner.explain(some)
    captioner.model.save(tmp_path / "model.keras")
    loaded = load(tmp_path)
    assert loaded.explain(some) == expected
    assert loaded.config == config
    assert loaded.model.decoder.conditioning == config.conditioning.replace("attention", "init")


@pytest.mark.rest
def test_every_kind_trains_and_is_read_back(config, eagerly, tmp_path, contents):
    options = {"monitor": "cider", "tokenizer": "subwords", "vocabulary_size": 30, "input_feeding": True}
    tied = {"tie_softmax": True, "attention_penalty": 0.5, "captions_per_image": 1, "batch_size": 60, "epochs": 1}
    captioner = model.train(dataclasses.replace(config, max_length=30, **options, **tied), tmp_path)
    assert_alike(load(tmp_path), captioner, list(contents.values())[:3])


@pytest.mark.rest
def test_a_pretrained_architecture_trains_and_is_read_back(config, eagerly, tmp_path, contents):
    options = {"backbone": "MobileNet", "backbone_epoch": 2, "backbone_rate": 1e-4, "epochs": 2, "image_size": 32}
    captioner = model.train(dataclasses.replace(config, **options), tmp_path)
    assert_alike(load(tmp_path), captioner, list(contents.values())[:3])


def assert_alike(loaded, captioner, contents):
    for actual, expected in zip(loaded.caption(contents), captioner.caption(contents), strict=True):
        assert actual.text == expected.text
        assert actual.score == pytest.approx(expected.score, rel=1e-5)


@pytest.mark.rest
def test_frozen_backbone_stays_as_it_is_and_trains_from_its_epoch_on(
    config, eagerly, tmp_path, backbone_file, monkeypatch
):
    original = keras.models.load_model(backbone_file).get_weights()
    seen = []
    measure = States.save

    def save(states, *arguments):
        seen.append(states.model.encoder.backbone.get_weights())
        measure(states, *arguments)

    monkeypatch.setattr(States, "save", save)
    options = {"backbone": str(backbone_file), "epochs": 3, "captions_per_image": 1, "batch_size": 30}
    with pytest.raises(TrainingError, match="backbone_rate needs a backbone that is trained"):
        model.train(dataclasses.replace(config, backbone_rate=1e-4, **options), tmp_path)
    for epoch, rate, name in ((0, None, "never"), (2, 1e-4, "second")):
        seen.clear()
        (tmp_path / name).mkdir()
        options |= {"backbone_epoch": epoch, "backbone_rate": rate}
        model.train(dataclasses.replace(config, **options), tmp_path / name)
        moved = [max(np.abs(x - y).max() for x, y in zip(w, original, strict=True)) for w in seen]
        assert [x > 0 for x in moved] == ([False] * 3 if epoch == 0 else [False, True, True])
    # At its own rate: with Adam, a kernel's number moves by some 1e-4 a step at most.
    kernels = [np.abs(w[0] - original[0]).max() for w in seen]
    assert 0 < kernels[1] < 1e-4 * 20


@pytest.mark.rest
def test_features_are_computed_once_and_train_as_pixels_do(config, eagerly, tmp_path, backbone_file, contents, capsys):
    options = {"backbone": str(backbone_file), "epochs": 1, "dropout": 0.0, "batch_size": 120}
    texts, losses = [], []
    for name, cache in (("pixels", None), ("cached", "cache"), ("again", "cache")):
        (tmp_path / name).mkdir()
        cache = cache and str(tmp_path / cache)
        captioner = model.train(dataclasses.replace(config, cache=cache, **options), tmp_path / name)
        texts.append([caption.text for caption in load(tmp_path / name).caption(list(contents.values()))])
        assert texts[-1] == [caption.text for caption in captioner.caption(list(contents.values()))]
        losses.append(np.genfromtxt(tmp_path / name / "history.csv", delimiter=",", names=True)["val_loss"])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)  # float16
    np.testing.assert_array_equal(losses[2], losses[1])
    assert texts[1] == texts[2]
    assert capsys.readouterr().err.count("images read from") == 2  # training and validation, the last time


@pytest.mark.rest
def test_an_interrupted_training_goes_on(config, eagerly, killed_after, tmp_path):
    short = dataclasses.replace(config, epochs=3, backbone_epoch=2, captions_per_image=1)
    (tmp_path / "whole").mkdir()
    whole = model.train(short, tmp_path / "whole").model.get_weights()
    (tmp_path / "broken").mkdir()
    with killed_after(2):
        model.train(short, tmp_path / "broken")
    resumed = model.train(short, tmp_path / "broken").model.get_weights()
    assert all(np.array_equal(x, y) for x, y in zip(resumed, whole, strict=True))


@pytest.mark.rest
def test_explanations_hold_all_that_is_known(saved, eagerly, contents):
    captioner = load(saved)
    content = next(iter(contents.values()))
    (captions,) = captioner.explain([content])
    (best,) = captioner.caption([content])
    assert captions[0]["text"] == best.text
    assert captions[0]["score"] == pytest.approx(best.score, rel=1e-4)
    assert len({caption["text"] for caption in captions}) == 5
    rows, columns = captioner.grid
    for caption in captions:
        alignment = np.array(caption["alignment"])
        assert alignment.shape == (len(caption["tokens"]), rows * columns)
        np.testing.assert_allclose(alignment.sum(axis=1), 1, atol=0.01)


@pytest.mark.rest
def test_many_images_are_captioned_as_each_alone(saved):
    captioner = load(saved)
    images = [example.image for example in data.read(captioner.config, "validation")]
    together = list(captioner.caption_many(images, batch_size=5))
    for image, caption in zip(images, together, strict=True):
        (alone,) = captioner.caption([image.read()])
        assert alone.text == caption.text
        assert alone.score == pytest.approx(caption.score, rel=1e-4)


@pytest.mark.deploy
def test_export_answers_in_plain_tensorflow_as_the_python_object_does(
    saved, exported, plain_tensorflow, pictures, tmp_path
):
    captioner = load(saved)
    paths = sorted((pictures / "images").glob("val-*"))[:4]
    for kind, size in (("png", (70, 41)), ("jpg", (51, 90))):  # other sizes than the model's
        paths.append(tmp_path / f"large.{kind}")
        Image.open(paths[0]).resize(size).save(paths[-1])
    encoded, single, none, pixels, no_pixels = plain_tensorflow(PLAIN, export=exported, paths=paths)
    captions = captioner.caption([path.read_bytes() for path in paths])
    for texts, scores in (encoded, pixels):
        assert texts == [caption.text for caption in captions]
        np.testing.assert_allclose(scores, [caption.score for caption in captions], rtol=1e-4)
    assert single[0] == encoded[0][:1]
    assert none == no_pixels == [[], []]


@pytest.mark.rest
def test_unusable_images_in_an_export(exported, check_rows, contents):
    first, second, *_ = contents.values()
    images = [first, b"no image", first[:-30], b"", second]
    errors = ["", "neither a JPEG nor a PNG image", "a broken or truncated image", "the image is empty", ""]
    outputs = check_rows(exported, "serving_default", {"image_bytes": images}, errors)
    assert outputs["text"][[0, 4]].all()


@pytest.mark.rest
def test_images_of_any_size_and_kind(saved, eagerly):
    large = Image.new("RGB", (320, 320), (220, 220, 220))
    large.paste((30, 30, 230), (40, 100, 140, 200))
    captioner, texts = load(saved), set()
    for kind in ("PNG", "BMP", "TIFF", "GIF"):
        file = io.BytesIO()
        large.save(file, kind)
        texts |= {caption.text for caption in captioner.caption([file.getvalue()])}
    assert texts <= {"a blue square on the left.", "on the left a blue square."}
    with pytest.raises(ImageError, match="not an image"):
        captioner.caption([b"no image"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "ResNet1"}, "no backbone 'ResNet1'"),
        ({"backbone": "no.keras"}, "no such backbone file"),
        ({"backbone": "small", "backbone_weights": "imagenet"}, "not for 'small'"),
        ({"backbone": "MobileNet", "backbone_weights": "no.h5"}, "cannot be built"),
        ({"cache": "x"}, "never trained"),
        ({"epochs": 3, "backbone_epoch": 4}, "backbone_epoch is 4, but training has only 3 epochs"),
        ({"conditioning": "attention", "query": "before_step", "input_feeding": True}, "query='after_step'"),
    ],
)
def test_options_that_do_not_go_together(config, tmp_path, options, message):
    with pytest.raises(TrainingError, match=message):
        model.train(dataclasses.replace(config, **options), tmp_path)


@pytest.mark.rest
def test_evaluate_and_predict_on_the_command_line(saved, eagerly, pictures, evaluate_in_shards, tmp_path, capsys):
    assert cli.main(["captioning", "evaluate", str(saved), "--split", "val"]) == 0
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert metrics["bleu_4"] > 95
    assert metrics["images"] == 24
    assert 6 <= metrics["distinct_captions"] <= 12
    assert "true" not in metrics
    lines = evaluate_in_shards("captioning", saved)
    assert len(lines) == 24
    for line in lines:
        name, caption = line.split("\t")
        assert caption in expected(name)

    broken = tmp_path / "some"
    broken.mkdir()
    names = sorted(path.name for path in (pictures / "images").glob("val-*"))[:2]
    for name in names:
        (broken / name).write_bytes((pictures / "images" / name).read_bytes())
    (broken / "empty.jpg").write_bytes(b"")
    figure = tmp_path / "caption.png"
    assert cli.main(["captioning", "predict", str(saved), str(broken), "no.png", "--figure", str(figure)]) == 2
    captured = capsys.readouterr()
    lines = captured.out.splitlines()
    for line, name in zip(lines, names, strict=True):
        file, caption = line.split("\t")
        assert file == str(broken / name)
        assert caption in expected(name)
    assert "empty.jpg: the file is empty" in captured.err
    assert "no.png: No such file" in captured.err
    assert "2 of 4 inputs could not be processed" in captured.err
    assert figure.read_bytes().startswith(b"\x89PNG")

    file = tmp_path / "files.txt"
    file.write_text("".join(f"{broken / name}\n" for name in names))
    outputs = [str(tmp_path / f"{shard}.tsv") for shard in (1, 2)]
    for shard, output in enumerate(outputs, 1):
        options = ["--input", str(file), "--shard", f"{shard}/2", "--output", output]
        assert cli.main(["captioning", "predict", str(saved), *options]) == 0
    assert [line for output in outputs for line in Path(output).read_text().splitlines()] == lines
    assert cli.main(["captioning", "predict", str(saved), str(file), "--figure", str(figure), *options[-2:]]) == 2
    assert "a resumed --output has already written" in capsys.readouterr().err

    assert cli.main(["captioning", "predict", str(saved), str(broken / names[0]), "--json", "--beam-size", "2"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["image"].endswith(names[0])
    assert len(told["captions"]) == 2
    assert told["captions"][0]["text"] in expected(names[0])
    assert cli.main(["captioning", "predict", str(saved), str(broken / names[0])]) == 0
    assert capsys.readouterr().out.strip() in expected(names[0])  # of one file the caption alone


@pytest.mark.rest
def test_evaluate_with_another_data_set_or_with_images_that_are_missing(saved, eagerly, pictures, tmp_path, capsys):
    folder, other = tmp_path / "model", tmp_path / "other"
    shutil.copytree(saved, folder)
    other.mkdir()
    (other / "images").symlink_to(pictures / "images")
    header, *rows = (pictures / "val.tsv").read_text().splitlines()
    (other / "val.tsv").write_text("\n".join([header, *rows[:4], "no.png\tnothing", "\tno name", "", ""]))
    for data_set in ([], ["--data", str(other)]):
        assert cli.main(["captioning", "evaluate", str(folder), "--split", "val", *data_set]) == 0
    assert "2 of 4 images left out: no such file: no.png, (no name)" in capsys.readouterr().err
    known = json.loads((folder / "metrics.json").read_text())
    assert {name: metrics["images"] for name, metrics in known.items()} == {"val": 24, f"val of {other}": 2}
    command = ["captioning", "evaluate", str(folder), "--split", "val", "--data", str(other), "--strict"]
    assert cli.main(command) == 2
    assert "val: no.png: no such file" in capsys.readouterr().err


@pytest.mark.rest
def test_true_captions_are_counted(saved, pictures, monkeypatch, capsys):
    scenes = splits.scenes("test")[:4]
    images = [encoded.Image(path.name, path) for path in sorted((pictures / "images").iterdir())[:4]]
    examples = [
        encoded.CaptionedImage(image, list(captions(scene)), scene.to_json())
        for image, scene in zip(images, scenes, strict=True)
    ]
    texts = [captions(scenes[0])[0], "a dog", captions(scenes[2])[3], captions(scenes[2])[0]]
    monkeypatch.setattr("keras_recurrent.apps.captioning.data.read", lambda config, split: examples)
    monkeypatch.setattr(
        model.Captioner, "caption_many", lambda self, images: [model.Caption(text, 0.0) for text in texts]
    )
    assert cli.main(["captioning", "evaluate", str(saved), "--split", "test"]) == 0
    assert json.loads(capsys.readouterr().out)["true"] == 0.5


RISK = {"epochs": 4, "risk_epochs": 3, "risk_rate": 0.001, "risk_captions": 4, "dropout": 0.2}


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"monitor": "cider"}, marks=pytest.mark.faults),
        pytest.param({"cache": "features", "ema": 0.9, "epochs": 6}, marks=pytest.mark.rest),
    ],
    ids=["small", "cached"],
)
def test_epochs_that_lower_the_risk_raise_the_reward(config, tmp_path, backbone_file, options):
    if "cache" in options:
        options = {**options, "cache": str(tmp_path / "features"), "backbone": str(backbone_file)}
    folder = tmp_path / "model"
    folder.mkdir()
    captioner = model.train(dataclasses.replace(config, **{**RISK, **options}), folder)
    with open(folder / "risk" / "history.csv", newline="") as file:
        within = [float(row["val_cider_d"]) for row in csv.DictReader(file)]
    assert len(within) == 3
    assert sorted(path.name for path in (folder / "risk").iterdir()) == ["figures", "history.csv"]

    def cider_d(captioner):
        examples = data.read(config, "validation")
        told = captioner.caption_many([example.image for example in examples])
        return caption_metrics([caption.text for caption in told], [e.captions for e in examples])["cider_d"]

    # What was measured is what the search of the configuration finds, and what is kept is better than before.
    assert cider_d(captioner) == pytest.approx(max(within), abs=0)
    before = model.train(dataclasses.replace(config, **{**RISK, **options, "risk_epochs": 0}), folder)
    assert max(within) > cider_d(before)


@pytest.mark.parametrize(
    ("rate", "message"),
    [
        (10.0, "the risk epochs did not raise val_cider_d"),
        (1e38, "the loss is not finite in epoch 1"),
    ],
    ids=["ruined", "exploded"],
)
@pytest.mark.rest
def test_epochs_that_raise_nothing_are_left_out(config, eagerly, tmp_path, capsys, rate, message):
    short = dataclasses.replace(config, epochs=1, batch_size=120, risk_rate=rate, risk_captions=3)
    weights = []
    for name, epochs in (("without", 0), ("with", 1)):
        (tmp_path / name).mkdir()
        model.train(dataclasses.replace(short, risk_epochs=epochs), tmp_path / name)
        weights.append(load(tmp_path / name).model.get_weights())
    assert message in capsys.readouterr().err
    for without, with_risk in zip(*weights, strict=True):
        np.testing.assert_array_equal(with_risk, without)
    assert {path.name for path in (tmp_path / "with" / "risk").iterdir()} <= {"figures", "history.csv"}


@pytest.mark.faults
def test_epochs_that_lower_the_risk_go_on_after_an_interruption(config, eagerly, tmp_path, monkeypatch):
    few = {"epochs": 1, "risk_epochs": 2, "risk_captions": 2, "batch_size": 60}
    config = dataclasses.replace(config, mirror=True, **{**RISK, **few})
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    whole.mkdir()
    cut.mkdir()
    captioner = model.train(config, whole)
    save = States.save

    def interrupted(states, rows, *arguments):
        save(states, rows, *arguments)
        states.wait()
        if states.folder.parent.name == "risk" and len(rows) == 1:
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(States, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            model.train(config, cut)
    resumed = model.train(config, cut)
    for found, wanted in zip(resumed.model.get_weights(), captioner.model.get_weights(), strict=True):
        np.testing.assert_array_equal(found, wanted)
    assert load(cut).model.count_params() == captioner.model.count_params()
