import dataclasses
import shutil
import subprocess
import sys

import numpy as np
import pytest
from keras_recurrent.apps import load
from keras_recurrent.apps.shared import memory
from keras_recurrent.apps.shared.errors import ModelFolderError, TrainingError, UsageError
from keras_recurrent.apps.shared.models import outputs
from keras_recurrent.apps.shared.text.batches import encode_padded
from keras_recurrent.apps.shared.text.tokenizers import fit_tokenizer
from keras_recurrent.apps.shared.text.writing import Sampling
from keras_recurrent.apps.shared.training.checkpoints import States
from keras_recurrent.apps.translation import data as translation_data
from keras_recurrent.apps.translation import model
from keras_recurrent.datasets import DataError

TEXTS = ["ein Hund schläft hier.", "eine Katze isst draußen.", "ein Kind rennt dort."]


def test_translates_what_it_learned(saved, config):
    translations = load(saved).translate(TEXTS)
    expected = ["a dog sleeps here.", "a cat eats outside.", "a child runs there."]
    assert [translation.text for translation in translations] == expected
    assert all(-1 < translation.score < 0 for translation in translations)


def test_folder_holds_all_that_the_design_names(saved):
    names = {path.name for path in saved.iterdir()}
    assert names >= {"config.yaml", "model.keras", "source.vocabulary.txt", "history.csv", "figures"}
    assert (saved / "figures" / "history.png").read_bytes().startswith(b"\x89PNG")


def test_saved_weights_are_those_of_the_best_epoch(saved, config):
    translator = load(saved)
    history = np.genfromtxt(saved / "history.csv", delimiter=",", names=True)
    tokenizers = translator.source, translator.target
    pairs = translation_data.read(config, "validation")
    batches = translation_data.batches(*pairs, tokenizers, config, "validation")
    translator.model.compile(loss=model.TokenCrossentropy(config.label_smoothing))
    assert translator.model.evaluate(batches, verbose=0) == pytest.approx(history["val_loss"].min(), rel=1e-4)


@pytest.mark.parametrize(
    "options",
    [
        {"cell": "lstm", "query": "before_step", "tokenizer": "characters"},
        {"cell": "simple_rnn", "score": "multiplicative", "lowercase": True},
        {"score": "none", "num_layers": 2, "embeddings_in_memory": True},
    ],
    ids=lambda options: options.get("cell", "gru"),
)
def test_every_kind_is_read_back(config, eagerly, tmp_path, options):
    config = dataclasses.replace(config, max_length=6, **options)
    pairs = translation_data.read(config, "train")
    tokenizers = [fit_tokenizer(side, config, "a side has") for side in pairs]
    translator = model.Translator(config, model.build(config, *map(len, tokenizers)), *tokenizers)
    translator.save_assets(tmp_path)
    texts = [text.upper() for text in TEXTS] if config.lowercase else TEXTS
    expected = translator.explain(texts)
    translator.model.save(tmp_path / "model.keras")
    loaded = load(tmp_path)
    assert loaded.explain(texts) == expected
    assert loaded.config == config


@pytest.mark.rest
def test_shared_subwords_train_and_are_read_back(config, eagerly, tmp_path):
    tied = {"shared_vocabulary": True, "tie_softmax": True, "tie_embeddings": True}
    options = {"tokenizer": "subwords", "vocabulary_size": 40, "monitor": "bleu", "epochs": 1, "batch_size": 48}
    translator = model.train(dataclasses.replace(config, max_length=30, **options, **tied), tmp_path)
    assert load(tmp_path).translate(TEXTS) == translator.translate(TEXTS)


@pytest.mark.rest
def test_what_is_compiled_trains_and_is_read_back(config, tmp_path):
    options = {"precision": "mixed_bfloat16", "jit": True, "accumulate": 2, "average_last": 2}
    translator = model.train(dataclasses.replace(config, epochs=1, **options), tmp_path)
    assert load(tmp_path).translate(TEXTS) == translator.translate(TEXTS)


@pytest.mark.rest
def test_scheduled_sampling_rises_from_0_to_its_share(config, eagerly, tmp_path, monkeypatch):
    rates = []
    save = States.save

    def noting(states, *arguments):
        rates.append(float(states.model.sampling_rate.numpy()))
        save(states, *arguments)

    monkeypatch.setattr(States, "save", noting)
    options = {"epochs": 3, "input_feeding": True, "ema": 0.9, "batch_tokens": 400, "max_length": 10}
    translator = model.train(dataclasses.replace(config, scheduled_sampling=0.4, **options), tmp_path)
    assert rates == pytest.approx([0.0, 0.2, 0.4])
    assert load(tmp_path).translate(TEXTS) == translator.translate(TEXTS)


@pytest.mark.rest
def test_a_seed_makes_a_training_repeatable(config, eagerly, tmp_path):
    short = dataclasses.replace(config, epochs=1, batch_size=24)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (model.train(short, tmp_path / name).model.get_weights() for name in ("a", "b"))
    assert all((a == b).all() for a, b in zip(first, second, strict=True))


def test_batch_of_translations_is_each_alone(saved):
    translator = load(saved)
    texts = ["", "ein Hund", "völlig unbekannt", " ".join(["Hund"] * 500), *TEXTS]
    together = translator.translate(texts)
    for text, translation in zip(texts, together, strict=True):
        (alone,) = translator.translate([text])
        assert alone.text == translation.text
        assert alone.score == pytest.approx(translation.score, rel=1e-4)
    assert together[0] == ("", 0)
    assert translator.translate([]) == []
    assert dict(translator.translate_sorted(texts, batch_size=2)).keys() == set(range(len(texts)))


def test_a_search_has_as_many_sentences_as_memory_allows(saved, monkeypatch):
    writer, sizes = load(saved).writer, []
    for free in (None, 2**20, 2**40):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        sizes.append(writer.batch_size())
    assert sizes == [memory.BATCH, 16, memory.MAX_BATCH]


def test_explanations_hold_all_that_is_known(saved, eagerly):
    translator = load(saved)
    texts = ["ein Hund schläft hier.", "", "eine Katze isst draußen."]
    explanations = translator.explain(texts)
    best = translator.translate(texts)
    for text, explanation, one in zip(texts, explanations, best, strict=True):
        found = explanation["translations"]
        assert len(found) == 5
        assert found[0]["text"] == one.text
        assert found[0]["score"] == pytest.approx(one.score, rel=1e-4)
        scores = [translation["score"] for translation in found]
        assert scores == sorted(scores, reverse=True)
        assert explanation["source_tokens"] == [*text.replace(".", " ￭.").split(), "<end>"]
        for translation in found:
            alignment = np.array(translation["alignment"])
            if text:
                assert alignment.shape == (len(translation["tokens"]), len(explanation["source_tokens"]))
                np.testing.assert_allclose(alignment.sum(axis=1), 1, atol=0.01)
            else:
                assert (translation["text"], translation["tokens"], translation["alignment"]) == ("", [], [])
    # Each hypothesis has its own alignment.
    for translation in explanations[0]["translations"]:
        source, target = (
            encode_padded(side, [text])
            for side, text in ((translator.source, texts[0]), (translator.target, translation["text"]))
        )
        ((expected,),) = translator.model.align(source, target[np.newaxis]).numpy()
        np.testing.assert_allclose(translation["alignment"], expected[: len(translation["alignment"])], atol=1e-3)
    assert explanations[0]["translations"][0]["tokens"] == ["a", "dog", "sleeps", "here", "￭.", "<end>"]
    assert translator.explain([]) == []


def test_prefix(saved, eagerly):
    (explanation,) = load(saved).explain(["ein Hund schläft hier."], prefix="a cat")
    assert all(translation["text"].startswith("a cat") for translation in explanation["translations"])
    with pytest.raises(UsageError, match="cannot write: a dinosaur"):
        load(saved).explain(["ein Hund"], prefix="a dinosaur")
    # More than there may be otherwise, and twice the same.
    (explanation,) = load(saved, max_ratio=0.1, no_repeat_ngram=1).explain(["ein Hund"], prefix="a a dog")
    assert [translation["text"] for translation in explanation["translations"]] == ["a a dog"]


@pytest.mark.rest
def test_samples(saved, eagerly):
    translator = load(saved)
    text = ["völlig unbekannt"]  # where the model is unsure
    sampling = Sampling(num_samples=6, temperature=2.0, seed=(3, 1))
    (first,), (again,) = (translator.explain(text, sampling=sampling) for _ in range(2))
    assert first == again
    texts = {translation["text"] for translation in first["translations"]}
    assert len(first["translations"]) == 6
    assert len(texts) > 2
    (other,) = translator.explain(text, sampling=sampling._replace(seed=(3, 2)))
    assert other != first
    (coldest,) = translator.explain(TEXTS[:1], sampling=sampling._replace(temperature=0.0))
    (greedy,) = load(saved, beam_size=1).translate(TEXTS[:1])
    assert {translation["text"] for translation in coldest["translations"]} == {greedy.text}


@pytest.mark.rest
def test_many_samples_are_computed_in_parts(saved, eagerly, monkeypatch):
    translator = load(saved)
    sampling = Sampling(num_samples=3, temperature=2.0)
    whole = translator.explain(TEXTS, sampling=sampling)
    monkeypatch.setattr(model, "MAX_SAMPLED_ROWS", 3)
    for part, expected in zip(translator.explain(TEXTS, sampling=sampling), whole, strict=True):
        assert part["source_tokens"] == expected["source_tokens"]
        assert [each["text"] for each in part["translations"]] == [each["text"] for each in expected["translations"]]
    with pytest.raises(UsageError, match="10000 samples of 100 texts of 20 tokens exceed 16,777,216 tokens"):
        translator.explain(TEXTS[:1] * 100, sampling=Sampling(10_000))


@pytest.mark.rest
def test_search_options_of_the_configuration_are_used(saved, eagerly):
    text = ["ein Hund schläft hier."]  # six tokens with the end
    assert len(load(saved, max_ratio=0.5).explain(text)[0]["translations"][0]["tokens"]) <= 3
    assert len(load(saved, min_ratio=1.5).explain(text)[0]["translations"][0]["tokens"]) >= 9
    for translation in load(saved, min_ratio=1.5, no_repeat_ngram=1).explain(text)[0]["translations"]:
        assert len(set(translation["tokens"])) == len(translation["tokens"])
    plain, covered = (load(saved, coverage_penalty=beta).explain(text)[0]["translations"] for beta in (0.0, 0.1))
    coverage = np.minimum(np.sum(plain[0]["alignment"], axis=0), 1)
    by_text = {translation["text"]: translation["score"] for translation in covered}
    assert by_text[plain[0]["text"]] == pytest.approx(plain[0]["score"] + 0.1 * np.log(coverage).sum(), abs=0.01)
    assert by_text[plain[0]["text"]] < plain[0]["score"]


SERVE = """
model = tf.saved_model.load(export)
answers = []
for batch in batches:
    text = tf.constant(batch, tf.string, shape=(len(batch),))
    answer = model.signatures["serving_default"](text=text)
    assert set(answer) == {"text", "score", "error"}
    answers.append([[text.decode() for text in answer["text"].numpy()], answer["score"].numpy().tolist()])
    nbest = {name: value.numpy() for name, value in model.signatures["nbest"](text=text).items()}
    assert set(nbest) == {"texts", "scores", "lengths", "tokens", "source_tokens", "alignments", "error"}
    assert nbest["error"].tolist() == answer["error"].numpy().tolist()
    assert nbest["texts"][:, :1].ravel().tolist() == answer["text"].numpy().tolist()
    assert (abs(nbest["scores"][:, :1].ravel() - answer["score"].numpy()) < 1e-4).all()
    assert nbest["alignments"].shape == (*nbest["tokens"].shape, nbest["source_tokens"].shape[1])
print(json.dumps(answers))
"""


@pytest.mark.rest
def test_export_answers_in_plain_tensorflow_as_the_python_object_does(saved, exported, plain_tensorflow):
    translator = load(saved)
    batches = [TEXTS[:1], TEXTS, [], [""], ["Quastenflosser"], [" ".join(["Hund"] * 500)]]
    answers = plain_tensorflow(SERVE, export=exported, batches=batches)
    for batch, (texts, scores) in zip(batches, answers, strict=True):
        expected = translator.translate(batch)
        assert texts == [translation.text for translation in expected]
        assert scores == pytest.approx([translation.score for translation in expected], rel=1e-4)


@pytest.mark.rest
def test_unusable_texts_in_an_export(saved, exported, check_rows):
    texts = [
        "ein Hund rennt hier.",
        b"\xffein Hund",
        "",
        " \n",
        "Hund " * 30,
        "Hund " * 1200,
        "eine Katze schläft dort.",
    ]
    empty, long = "the text is empty", "the text has more than {} tokens, the maximum in training"
    long, ignored = long.format(20), "the text has more than 1,000 tokens; the rest is ignored"
    errors = ["", "the text is not UTF-8", empty, empty, long, ignored, ""]
    for signature in ("serving_default", "nbest"):
        outputs = check_rows(exported, signature, {"text": texts}, errors)
    translations = load(saved).translate([*texts[:1], "", texts[4], "Hund " * 999])
    assert outputs["texts"][[0, 2, 4, 5], 0].tolist() == [translation.text.encode() for translation in translations]


@pytest.mark.deploy
def test_export_with_subwords_needs_tensorflow_text_alone(config, tmp_path, plain_tensorflow):
    # Sentences that differ with the slightest mistake: the target's pieces must not be the source's, for one.
    options = {"tokenizer": "subwords", "vocabulary_size": 40, "epochs": 10}
    translator = model.train(dataclasses.replace(config, **options), tmp_path)
    translator.export(tmp_path / "export")
    script = "import tensorflow_text\n" + SERVE
    ((texts, _),) = plain_tensorflow(script, export=tmp_path / "export", batches=[TEXTS])
    assert len(set(texts)) == len(TEXTS)
    assert texts == [translation.text for translation in translator.translate(TEXTS)]


def test_batches(config, saved, capsys):
    translator = load(saved)
    sources = ["ein Hund.", "eine Katze schläft hier.", "", "ein Hund " * 11]
    targets = ["a dog.", "a cat sleeps here.", "nothing", "a dog " * 11]
    tokenizers = translator.source, translator.target
    batches = translation_data.batches(sources, targets, tokenizers, config, "validation")
    assert len(batches) == 1
    ((((source, read), target, weights)),) = batches
    # The empty and the overlong pair are left out; the decoder reads the target shifted by the start token.
    assert source.shape == (2, 6)
    assert (read[:, 0] == 2).all()
    assert (read[:, 1:] == target[:, :-1]).all()
    assert (target[1] == encode_padded(translator.target, ["a cat sleeps here."])[0]).all()
    assert ((target != 0) == weights).all()
    messages = capsys.readouterr().err
    assert "validation: 1 pairs without text on a side are left out" in messages
    assert "validation: 1 pairs of more than 20 tokens are left out" in messages
    with pytest.raises(DataError, match="no sentence pair has text on both sides and at most 20 tokens"):
        translation_data.batches([""], ["a"], tokenizers, config, "validation")


def test_long_pairs_are_cut_where_that_is_asked(config, saved, capsys):
    translator = load(saved)
    config = dataclasses.replace(config, max_length=4, long_pairs="cut")
    sources, targets = ["ein Hund rennt hier.", "ein Hund"], ["a dog runs here.", "a dog"]
    tokenizers = translator.source, translator.target
    batches = translation_data.batches(sources, targets, tokenizers, config, "validation")
    assert "1 pairs of more than 4 tokens are cut" in capsys.readouterr().err
    ((((source, _), target, _)),) = batches
    assert source.shape == target.shape == (2, 4)
    assert [*map(translator.target.decode, target)] == ["a dog", "a dog runs"]
    assert (target[:, 2:] == [[3, 0], [target[1, 2], 3]]).all()  # a cut sentence ends with the end token, too


def test_batches_of_like_token_counts(config, saved):
    translator = load(saved)
    config = dataclasses.replace(config, batch_tokens=30)
    pairs = translation_data.read(config, "train")
    batches = translation_data.batches(*pairs, (translator.source, translator.target), config, "train")
    rows = 0
    for (source, _), target, _ in batches:
        assert max(source.size, target.size) <= 30
        rows += len(source)
    assert rows == len(pairs[0])


@pytest.mark.rest
def test_jit_pads_to_few_shapes(config, saved):
    translator = load(saved)
    config = dataclasses.replace(config, jit=True)
    pairs = translation_data.read(config, "validation")
    count = 0
    for options in ({"batch_size": 7}, {"batch_tokens": 56}):
        config = dataclasses.replace(config, jit=True, **options)
        batches = translation_data.batches(*pairs, (translator.source, translator.target), config, "validation")
        for (source, read), target, weights in batches:
            assert {x.shape for x in (source, read, target, weights)} == {(7, 8)}
            count += np.sum(weights.any(axis=1))
    assert count == 2 * len(pairs[0])


def test_incomplete_folder(saved, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in saved.iterdir():
        if path.is_file():
            (copy / path.name).write_bytes(path.read_bytes())
    content = (copy / "model.keras").read_bytes()
    (copy / "model.keras").write_bytes(content[: len(content) // 2])
    with pytest.raises(ModelFolderError, match="cannot be read"):
        load(copy)
    (copy / "model.keras").unlink()
    with pytest.raises(ModelFolderError, match=r"missing: model\.keras"):
        load(copy)


@pytest.mark.rest
def test_model_loads_where_only_the_layers_are_imported(saved, tmp_path):
    script = (
        "import sys, keras, numpy, keras_recurrent.layers\n"
        "model = keras.models.load_model(sys.argv[1])\n"
        "print(model.search(numpy.array([[4, 5, 3]]), beam_size=2, max_length=5).tokens.shape)\n"
        "assert 'keras_recurrent.apps' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-P", "-c", script, saved / "model.keras"], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.stdout == "(1, 2, 5)\n", result.stderr


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("config.yaml", "app: translation\nbeam_size: five\n", "config.yaml: .*beam_size"),
        ("config.yaml", "app: translation\ncolour: red\n", "config.yaml: .*colour"),
        ("target.vocabulary.txt", "a\n", "target.vocabulary.txt does not fit the model: it has 5 entries, not"),
    ],
)
def test_folder_that_was_changed(saved, tmp_path, name, content, message):
    copy = shutil.copytree(saved, tmp_path / "copy")
    (copy / name).write_text(content)
    with pytest.raises(ModelFolderError, match=message):
        load(copy)


@pytest.mark.rest
def test_a_training_that_diverges_leaves_nothing(config, eagerly, tmp_path):
    with pytest.raises(TrainingError, match="not finite"), outputs.atomic_output(tmp_path / "model") as partial:
        model.train(dataclasses.replace(config, learning_rate=3e38, epochs=2, batch_size=48), partial)
    assert list(tmp_path.iterdir()) == []
