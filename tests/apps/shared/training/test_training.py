import dataclasses
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras_recurrent.apps.shared.config import TrainingConfig
from keras_recurrent.apps.shared.errors import TrainingError, UsageError
from keras_recurrent.apps.shared.keras_internals import moving_averages
from keras_recurrent.apps.shared.models.outputs import STATES
from keras_recurrent.apps.shared.training.batches import EpochBatches
from keras_recurrent.apps.shared.training.checkpoints import History, States
from keras_recurrent.apps.shared.training.devices import use_devices
from keras_recurrent.apps.shared.training.fit import fit
from keras_recurrent.apps.shared.training.losses import TokenCrossentropy
from keras_recurrent.apps.shared.training.optimizers import AdamWithRates, InverseSquareRoot, build_optimizer
from keras_recurrent.layers.dropout import Dropout


@pytest.mark.parametrize("label_smoothing", [0.0, 0.1])
def test_loss_is_the_mean_over_tokens_of_the_smoothed_cross_entropy(label_smoothing):
    random = np.random.default_rng(0)
    logits = random.normal(size=(2, 3, 5)).astype("float32")
    tokens = np.array([[4, 1, 2], [3, 0, 0]])
    weights = np.array([[1, 1, 1], [1, 0, 0]], "float32")

    log_probs = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    targets = (1 - label_smoothing) * np.eye(5)[tokens] + label_smoothing / 5
    expected = (-(targets * log_probs).sum(-1) * weights).sum() / 4
    loss = TokenCrossentropy(label_smoothing)
    assert float(loss(tokens, logits, sample_weight=weights)) == pytest.approx(expected, rel=1e-6)

    variable = tf.Variable(logits)
    with tf.GradientTape() as tape:
        value = loss(tokens, variable, sample_weight=weights)
    gradient = (np.exp(log_probs) - targets) * weights[..., None] / 4
    np.testing.assert_allclose(tape.gradient(value, variable), gradient, atol=1e-7)


def test_loss_configuration():
    loss = keras.losses.deserialize(keras.losses.serialize(TokenCrossentropy(0.2)))
    assert loss.label_smoothing == 0.2


def test_inverse_square_root():
    schedule = keras.optimizers.schedules.deserialize(
        keras.optimizers.schedules.serialize(InverseSquareRoot(0.1, warmup_steps=10))
    )
    steps = np.array([0, 1, 5, 10, 40, 1000])
    expected = 0.1 * np.minimum(steps / 10, np.sqrt(10 / np.maximum(steps, 1)))
    np.testing.assert_allclose([float(schedule(step)) for step in steps], expected, rtol=1e-5)


INPUTS = np.random.default_rng(0).normal(size=(40, 4)).astype("float32")
TARGETS = INPUTS @ np.array([[1.0], [-2.0], [3.0], [0.5]], "float32")


@pytest.fixture(autouse=True)
def kept_epochs(request, monkeypatch):
    """The epochs that are marked in the history, which is not drawn because drawing takes longer than training."""
    kept = []
    if request.function is not test_leaves_the_best_epoch:
        name = "keras_recurrent.apps.shared.training.fit.draw_history"
        monkeypatch.setattr(name, lambda history, path, epochs: kept.append(epochs))
    return kept


SIGNATURE = (keras.InputSpec(shape=(None, 4), dtype="float32"), keras.InputSpec(shape=(None, 1), dtype="float32"))


def model_of(seed=0):
    keras.utils.set_random_seed(seed)
    return keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, "tanh"), Dropout(0.2), keras.layers.Dense(1)])


def batches(seed=0):
    def of_epoch(epoch):
        order = np.random.default_rng([seed, epoch]).permutation(40)
        for rows in np.split(order, 5):
            yield INPUTS[rows], TARGETS[rows]

    return EpochBatches(of_epoch, SIGNATURE, lambda epoch: 5)


VALIDATION = EpochBatches(lambda epoch: [(INPUTS, TARGETS)], SIGNATURE, lambda epoch: 1)
CONFIG = TrainingConfig(epochs=6, patience=6, learning_rate=0.02, schedule="constant")


def train(folder, config=CONFIG, model=None, **options):
    model = model or model_of()
    fit(model, keras.losses.MeanSquaredError(), batches(), VALIDATION, config, folder, **options)
    return model


def history_of(folder):
    return np.genfromtxt(folder / "history.csv", delimiter=",", names=True)


def test_order_depends_on_the_epoch_alone():
    data = batches()
    epochs = []
    for data.epoch in (0, 1, 0):
        epochs.append(np.concatenate([inputs for inputs, _ in data]))
    assert (epochs[0] == epochs[2]).all()
    assert (epochs[0] != epochs[1]).any()
    assert len(data) == 5


@pytest.mark.rest
def test_leaves_the_best_epoch(tmp_path):
    model = train(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"model.keras", "history.csv", "figures", STATES}
    history = history_of(tmp_path)
    assert history["epoch"].tolist() == [1, 2, 3, 4, 5, 6]
    assert model.evaluate(VALIDATION, verbose=0) == pytest.approx(history["val_loss"].min(), rel=1e-5)
    saved = keras.models.load_model(tmp_path / "model.keras")
    assert getattr(saved, "optimizer", None) is None
    np.testing.assert_array_equal(saved.predict(INPUTS, verbose=0), model.predict(INPUTS, verbose=0))


def test_best_is_what_the_score_says(kept_epochs, tmp_path):
    scores = iter([0.1, 0.5, 0.3, 0.4, 0.2, 0.1])
    weights = []

    def accuracy():
        weights.append(model.get_weights())
        return next(scores)

    model = train(tmp_path, model=(model := model_of()), score=accuracy)
    assert history_of(tmp_path)["accuracy"].tolist() == [0.1, 0.5, 0.3, 0.4, 0.2, 0.1]
    assert all((a == b).all() for a, b in zip(model.get_weights(), weights[1], strict=True))
    assert kept_epochs == [[2]]


def test_patience(tmp_path, capsys):
    scores = iter([0.1, 0.5, 0.3, 0.4, 0.6, 0.1])
    train(tmp_path, dataclasses.replace(CONFIG, patience=2), score=lambda: next(scores))
    assert len(history_of(tmp_path)) == 4
    *_, stopped, kept = capsys.readouterr().err.splitlines()
    assert stopped == "keras-recurrent: stopped, because the last 2 epochs were not better"
    assert kept.startswith("keras-recurrent: kept epoch 2 of 4: ")


class Interrupted(Exception):
    pass


def interrupted_at(epoch):
    def begin_epoch(now):
        if now == epoch:
            raise Interrupted

    return begin_epoch


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({}, marks=pytest.mark.rest),
        {"ema": 0.9, "schedule": "cosine", "warmup_steps": 7},
        pytest.param({"accumulate": 3, "schedule": "plateau", "learning_rate": 0.5}, marks=pytest.mark.rest),
        pytest.param({"average_last": 3, "schedule": "inverse_sqrt", "warmup_steps": 7}, marks=pytest.mark.rest),
        pytest.param({"average_last": 3, "jit": True}, marks=pytest.mark.rest),
    ],
    ids=lambda options: "-".join(map(str, options)) or "plain",
)
def test_a_resumed_training_ends_with_the_weights_of_an_unbroken_one(options, tmp_path):
    config = dataclasses.replace(CONFIG, **options)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    whole.mkdir()
    broken.mkdir()
    expected = train(whole, config).get_weights()
    for epoch, seed in ((2, 0), (5, 8)):  # what is resumed does not depend on how it was begun again
        with pytest.raises(Interrupted):
            train(broken, config, model_of(seed), begin_epoch=interrupted_at(epoch))
    found = train(broken, config, model_of(seed=9)).get_weights()
    assert all((a == b).all() for a, b in zip(expected, found, strict=True))
    assert (whole / "history.csv").read_text() == (broken / "history.csv").read_text()


@pytest.mark.rest
def test_a_state_that_was_cut_short_is_passed_over(tmp_path, capsys):
    (tmp_path / "whole").mkdir()
    expected = train(tmp_path / "whole").get_weights()
    with pytest.raises(Interrupted):
        train(tmp_path, begin_epoch=interrupted_at(4))
    newest = tmp_path / STATES / "epoch-0004.npz"
    newest.write_bytes(newest.read_bytes()[:-100])
    capsys.readouterr()
    found = train(tmp_path).get_weights()
    messages = capsys.readouterr().err
    assert "the checkpoint of epoch 4 cannot be read" in messages
    assert "resuming after epoch 3" in messages
    assert all((a == b).all() for a, b in zip(expected, found, strict=True))


@pytest.mark.rest
@pytest.mark.parametrize("content", [None, "", "epoch,loss\n1,0.", "\0" * 50])
def test_a_damaged_history_is_restored_from_the_state(tmp_path, content):
    """A process may have been killed between the state and the history."""
    (tmp_path / "whole").mkdir()
    expected = train(tmp_path / "whole").get_weights()
    with pytest.raises(Interrupted):
        train(tmp_path, begin_epoch=interrupted_at(4))
    if content is None:
        (tmp_path / "history.csv").unlink()
    else:
        (tmp_path / "history.csv").write_text(content)
    assert all((a == b).all() for a, b in zip(expected, train(tmp_path).get_weights(), strict=True))
    assert (tmp_path / "history.csv").read_text() == (tmp_path / "whole" / "history.csv").read_text()


def other_shapes(path):
    with np.load(path) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(path, **{name: value[:1] if value.ndim == 2 else value for name, value in arrays.items()})


def fewer_arrays(path):
    with np.load(path) as content:
        arrays = {name: content[name] for name in content.files}
    np.savez(path, **{name: arrays[name] for name in list(arrays)[:2]})


def without_history(path):
    with np.load(path) as content:
        np.savez(path, *(content[name] for name in content.files if name != "rows"))


DAMAGES = {
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-100]),
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(bytes(range(256)) * 8),
    "other shapes": other_shapes,
    "fewer arrays": fewer_arrays,
    "no history": without_history,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_state_is_not_restored(tmp_path, damage, capsys):
    model = model_of()
    model.compile("adam", "mse")
    model.optimizer.build(model.trainable_variables)
    states = States(tmp_path, model, keep=2)
    rows = [{"epoch": 1, "val_loss": 0.5}, {"epoch": 2, "val_loss": 0.25}]
    for epoch in (1, 2):
        states.save(rows[:epoch], model.get_weights())
        states.wait()
    damage(tmp_path / "epoch-0002.npz")
    assert states.restore()[0] == rows[:1]
    assert "the checkpoint of epoch 2 cannot be read" in capsys.readouterr().err
    damage(tmp_path / "epoch-0001.npz")
    with pytest.raises(TrainingError, match=r"no checkpoint in .* can be read; --overwrite starts over"):
        states.restore()


@pytest.mark.parametrize(("of_average", "is_better"), [(7.0, True), (5.5, False)])
def test_average_of_the_last_epochs(of_average, is_better, kept_epochs, tmp_path, capsys):
    config = dataclasses.replace(CONFIG, average_last=3)
    weights = []
    model = model_of()

    def val_score():
        weights.append(model.get_weights())
        return len(weights) if len(weights) < 7 else of_average

    train(tmp_path, config, model, score=val_score)
    expected = [np.mean(last, axis=0) for last in zip(*weights[3:6], strict=True)] if is_better else weights[5]
    for found, one in zip(model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(found, one, atol=1e-6)
    messages = capsys.readouterr().err
    assert f", {'' if is_better else 'not '}better than epoch 6" in messages
    assert f"kept {'the average of the last epochs' if is_better else 'epoch 6 of 6'}: " in messages
    assert kept_epochs == [[4, 5, 6] if is_better else [6]]


def test_moving_average_is_what_is_measured_and_kept(tmp_path):
    plain, averaged = tmp_path / "plain", tmp_path / "averaged"
    plain.mkdir()
    averaged.mkdir()
    last = train(plain, dataclasses.replace(CONFIG, epochs=2)).get_weights()
    model = train(averaged, dataclasses.replace(CONFIG, epochs=2, ema=0.9))
    assert any((a != b).any() for a, b in zip(last, model.get_weights(), strict=True))
    measured = history_of(averaged)["val_loss"].min()
    assert model.evaluate(VALIDATION, verbose=0) == pytest.approx(measured, rel=1e-5)
    # The steps are taken from the weights themselves.
    np.testing.assert_array_equal(history_of(averaged)["loss"], history_of(plain)["loss"])


def test_plateau_halves_the_rate_after_each_epoch_that_is_not_better(tmp_path):
    scores = iter([1.0, 2.0, 1.5, 1.9, 3.0, 2.5])
    train(tmp_path, dataclasses.replace(CONFIG, schedule="plateau", learning_rate=0.08), score=lambda: next(scores))
    np.testing.assert_allclose(history_of(tmp_path)["learning_rate"], [0.08, 0.08, 0.08, 0.04, 0.02, 0.02])


@pytest.mark.parametrize("weight_decay", [0.0, 5.0])
@pytest.mark.rest
def test_accumulated_gradients_are_those_of_one_large_batch(weight_decay, tmp_path):
    weights = []
    for name, accumulate, rows in (("small", 5, 8), ("large", 1, 40)):
        (tmp_path / name).mkdir()
        data = EpochBatches(
            lambda epoch, rows=rows: (
                (INPUTS[first : first + rows], TARGETS[first : first + rows]) for first in range(0, 40, rows)
            ),
            SIGNATURE,
            lambda epoch, rows=rows: 40 // rows,
        )
        keras.utils.set_random_seed(0)
        model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1)])
        config = dataclasses.replace(CONFIG, accumulate=accumulate, clip_norm=100.0, weight_decay=weight_decay)
        fit(model, keras.losses.MeanSquaredError(), data, VALIDATION, config, tmp_path / name)
        weights.append(model.get_weights())
    for small, large in zip(*weights, strict=True):
        np.testing.assert_allclose(small, large, atol=1e-5)


def test_weight_decay(tmp_path):
    weights = []
    for weight_decay in (0.0, 5.0):
        folder = tmp_path / str(weight_decay)
        folder.mkdir()
        model = train(folder, dataclasses.replace(CONFIG, epochs=1, weight_decay=weight_decay))
        weights.append(np.concatenate([weight.ravel() for weight in model.get_weights()]))
    assert np.linalg.norm(weights[1]) < 0.8 * np.linalg.norm(weights[0])


def test_more_accumulated_batches_than_an_epoch_has(tmp_path):
    with pytest.raises(TrainingError, match="--accumulate 6 exceeds the 5 batches of an epoch"):
        train(tmp_path, dataclasses.replace(CONFIG, accumulate=6))


def test_the_gradients_of_a_repeated_token_are_added_before_they_are_clipped():
    embedding = keras.layers.Embedding(3, 2)
    embedding.build()
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(embedding(tf.constant([1, 1, 1, 2])))
    gradients = tape.gradient(loss, embedding.trainable_weights)  # (3, 3) of token 1, (1, 1) of token 2
    optimizer = build_optimizer(dataclasses.replace(CONFIG, clip_norm=1.0), steps=1)
    optimizer.apply(gradients, embedding.trainable_weights)
    (momentum,) = (variable.numpy() for variable in optimizer.variables if "momentum" in variable.path)
    clipped = np.array([[0, 0], [3, 3], [1, 1]]) / np.sqrt(20)
    np.testing.assert_allclose(momentum, (1 - optimizer.beta_1) * clipped, rtol=1e-5)


@pytest.mark.parametrize("options", [("2", None), ("all", None), (None, "a,b")])
def test_several_devices_require_jax(options):
    with pytest.raises(UsageError, match="require --backend jax"):
        use_devices(*options, host=0, batch_size=8)


def test_an_infinite_clip_norm_clips_nothing():
    assert build_optimizer(dataclasses.replace(CONFIG, clip_norm=float("inf")), steps=1).global_clipnorm is None


@pytest.mark.parametrize("accumulate", [1, 5])
@pytest.mark.rest
def test_schedules_count_steps_of_accumulated_batches(accumulate, tmp_path):
    config = dataclasses.replace(CONFIG, accumulate=accumulate)
    (tmp_path / "cosine").mkdir()
    train(tmp_path / "cosine", dataclasses.replace(config, schedule="cosine"))
    expected = 0.02 * (1 + np.cos(np.pi * np.arange(1, 7) / 6)) / 2
    np.testing.assert_allclose(history_of(tmp_path / "cosine")["learning_rate"], expected, atol=1e-7)
    (tmp_path / "root").mkdir()
    train(tmp_path / "root", dataclasses.replace(config, schedule="inverse_sqrt", warmup_steps=10 // accumulate))
    expected = 0.02 * np.minimum(np.arange(1, 7) / 2, np.sqrt(2 / np.arange(1, 7)))  # the peak is after two epochs
    np.testing.assert_allclose(history_of(tmp_path / "root")["learning_rate"], expected, rtol=1e-5)


class Uneven(EpochBatches):
    """Epochs of 5, 8, 4, 10, ... batches."""

    def __init__(self):
        self.read = []

        def batches(epoch):
            self.read.append(0)
            for rows in np.array_split(np.random.default_rng(epoch).permutation(40), [5, 8, 4, 10, 4, 5][epoch]):
                self.read[-1] += 1
                yield INPUTS[rows], TARGETS[rows]

        super().__init__(batches, SIGNATURE, [5, 8, 4, 10, 4, 5].__getitem__)


@pytest.mark.rest
def test_epochs_of_different_lengths_are_whole_and_resumed(tmp_path):
    loss, data = keras.losses.MeanSquaredError(), Uneven()
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
    expected = model_of()
    fit(expected, loss, data, VALIDATION, CONFIG, tmp_path / "whole")
    assert data.read == [5, 8, 4, 10, 4, 5]
    with pytest.raises(Interrupted):
        fit(model_of(), loss, Uneven(), VALIDATION, CONFIG, tmp_path / "broken", begin_epoch=interrupted_at(3))
    found = model_of(seed=5)
    fit(found, loss, Uneven(), VALIDATION, CONFIG, tmp_path / "broken")
    assert all((a == b).all() for a, b in zip(expected.get_weights(), found.get_weights(), strict=True))


def test_nothing_is_resumed_on_other_data(tmp_path):
    with pytest.raises(Interrupted):
        train(tmp_path, begin_epoch=interrupted_at(2), data=1)
    with pytest.raises(TrainingError, match="differs from that of the interrupted training"):
        train(tmp_path, data=2)


def test_validation_loss_that_is_not_a_number_costs_no_state(tmp_path):
    model = model_of()
    values = iter([1.0, 0.9, 0.8, np.nan])
    model.evaluate = lambda *arguments, **options: {"loss": next(values, 0.5)}
    train(tmp_path, dataclasses.replace(CONFIG, average_last=3), model)
    assert len(history_of(tmp_path)) == 3
    assert np.isfinite(model.predict(INPUTS, verbose=0)).all()


def test_metrics_are_columns_and_may_decide(tmp_path):
    model = model_of()
    values = iter([(1.0, 0.1), (0.9, 0.3), (0.8, 0.2)])
    model.evaluate = lambda *arguments, **options: dict(zip(("loss", "accuracy"), next(values), strict=True))
    weights = []
    config = dataclasses.replace(CONFIG, epochs=3)
    metrics = [keras.metrics.MeanSquaredError(name="accuracy")]
    train(
        tmp_path,
        config,
        model,
        metrics=metrics,
        monitor="val_accuracy",
        begin_epoch=lambda epoch: weights.append(model.get_weights()),
    )
    assert [row["val_accuracy"] for row in history_of(tmp_path)] == [0.1, 0.3, 0.2]
    for found, expected in zip(model.get_weights(), weights[2], strict=True):  # those after the second epoch
        np.testing.assert_array_equal(found, expected)


def test_nan_in_the_first_epoch(tmp_path):
    with pytest.raises(TrainingError, match="not finite in the first epoch"):
        train(tmp_path, dataclasses.replace(CONFIG, learning_rate=3e38))
    assert not any((tmp_path / STATES).iterdir())


def test_nan_later_keeps_the_best_epoch(tmp_path, capsys):
    model = model_of()

    def begin_epoch(epoch):
        if epoch == 3:
            model.layers[0].kernel.assign(np.full((4, 8), np.nan))

    train(tmp_path, model=model, begin_epoch=begin_epoch)
    assert "not finite in epoch 4; training stops" in capsys.readouterr().err
    assert len(history_of(tmp_path)) == 3
    assert np.isfinite(model.predict(INPUTS, verbose=0)).all()


def test_options_that_do_not_go_together(tmp_path):
    with pytest.raises(TrainingError, match="inverse_sqrt, not for constant"):
        train(tmp_path, dataclasses.replace(CONFIG, warmup_steps=5))


@pytest.mark.rest
def test_tensorboard(tmp_path):
    train(tmp_path, dataclasses.replace(CONFIG, tensorboard=True, epochs=1))
    assert list((tmp_path / "tensorboard").rglob("events.out.*"))


def test_history_decides_when_a_training_ends(tmp_path):
    config = types.SimpleNamespace(patience=2, epochs=5, learning_rate=0.1)
    history = History(tmp_path / "history.csv", config)
    ended = []
    for epoch, loss in enumerate([3.0, 2.0, 2.0, 2.5], 1):
        history.rows.append({"epoch": epoch, "val_loss": loss})
        ended.append(history.has_ended())
    assert ended == [False, False, False, True]
    assert int(history.best["epoch"]) == 2
    assert history.plateau_rate() == 0.025
    history.write()
    assert (tmp_path / "history.csv").read_text().splitlines() == ["epoch,val_loss", "1,3.0", "2,2.0", "3,2.0", "4,2.5"]


def test_weights_decay_by_their_own_rates():
    slow, plain = (keras.Variable(np.ones(3, "float32")) for _ in range(2))
    optimizer = AdamWithRates(0.1, factors={id(slow): 0.1}, decay=2.0)
    optimizer.apply([tf.zeros(3), tf.zeros(3)], [slow, plain])
    np.testing.assert_allclose(slow.numpy(), 0.98, rtol=1e-6)
    np.testing.assert_allclose(plain.numpy(), 0.8, rtol=1e-6)


def test_averages_belong_to_their_variables_where_some_are_not_trained_yet():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2), keras.layers.Dense(4)])
    optimizer = AdamWithRates(0.1, factors={}, use_ema=True, ema_momentum=0.5)
    optimizer.build(model.trainable_variables)
    for index, (_, average) in enumerate(moving_averages(optimizer)):
        average.assign(np.full(average.shape, float(index)))
    model.layers[0].trainable = False
    frozen = model.layers[0].get_weights()
    optimizer.use_averages()
    np.testing.assert_array_equal(model.get_weights()[0], frozen[0])
    assert [np.unique(weight).tolist() for weight in model.get_weights()[2:]] == [[2], [3]]


def test_batches_that_depend_on_the_weights_are_made_after_the_step_before():
    """What each is made of is what the weights are when its step begins, so that a training can be repeated."""
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    seen = []

    def of_epoch(epoch):
        for _ in range(6):
            weight = model.get_weights()[0]
            seen.append(weight.item())
            yield np.ones((1, 1), "float32"), weight + 1  # each step brings the weight half a unit up

    signature = (keras.InputSpec(shape=(None, 1), dtype="float32"),) * 2
    batches = EpochBatches(of_epoch, signature, lambda epoch: 6, prefetch=False)
    model.compile(keras.optimizers.SGD(0.25), "mse")
    model.fit(batches, epochs=1, shuffle=False, verbose=0)
    np.testing.assert_allclose(seen, np.arange(6) / 2)
