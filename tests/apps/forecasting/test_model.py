"""The forecaster from end to end, on series that it learns in seconds."""

import csv
import dataclasses
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.forecasting import data, model, networks
from keras_recurrent.apps.forecasting.config import Config
from keras_recurrent.apps.shared.errors import ModelFolderError

DAYS, HORIZON = 120, 4


def rows(series, days=DAYS, known=HORIZON):
    """The rows of a table in long form: a season of 4 days, a promotion known ahead that doubles the value."""
    generator = np.random.default_rng(series)
    for day in range(days + known):
        promotion = int(generator.random() < 0.2)
        value = (series + 2) * [1, 2, 4, 3][day % 4] * (1 + promotion) + generator.normal(0, 0.05)
        date = str(np.datetime64("2024-01-01") + day)
        yield [f"s{series}", date, f"{value:.3f}" if day < days else "", promotion, "ab"[series % 2]]


def write(path, table, header=("unique_id", "ds", "y", "promotion", "kind")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *table])
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return write(tmp_path_factory.mktemp("series") / "sales.csv", [row for s in range(5) for row in rows(s)])


@pytest.fixture(scope="module")
def config(table):
    return Config(
        **{"data": str(table), "known": ("promotion",), "static": ("kind",), "horizon": HORIZON, "context": 12},
        **{"seasons": (4,), "season_lags": 2, "segment": 2, "encoder_units": 16, "decoder_units": 16, "dropout": 0.0},
        **{"learning_rate": 0.02, "epochs": 6, "patience": 10, "windows_per_epoch": 800, "batch_size": 16},
    )


@pytest.fixture(scope="module")
def saved(config, shared_folder):
    return shared_folder("sales", lambda folder: model.train(config, folder))


@pytest.fixture(scope="module")
def autoregressive(config, shared_folder):
    """A network that draws samples."""
    config = dataclasses.replace(config, network="autoregressive", distribution="gaussian", past=("promotion",))
    return shared_folder("autoregressive-sales", lambda folder: model.train(config, folder))


@pytest.fixture(scope="module")
def copying(config, shared_folder):
    """Two networks that copy from past seasons, trained with relative errors."""
    options = {"network": "copying", "members": 2, "relative_loss": 1.0, "scaling": "standard"}
    config = dataclasses.replace(config, **options)
    return shared_folder("copying-sales", lambda folder: model.train(config, folder))


@pytest.fixture(scope="module")
def smoothing(config, shared_folder):
    """An encoder and a decoder that read values relative to a level and a season."""
    config = dataclasses.replace(config, scaling="smoothing")
    return shared_folder("smoothing-sales", lambda folder: model.train(config, folder))


@pytest.fixture(params=["saved", "copying", "autoregressive", "smoothing"])
def either(request):
    return request.getfixturevalue(request.param)


def command(*arguments):
    return cli.main(["forecasting", *map(str, arguments)])


def test_forecasts_follow_season_and_promotions(either, table):
    forecaster = load(either)
    panel, _ = forecaster.read()
    forecasts = forecaster.forecast(panel)
    assert [forecast.id for forecast in forecasts] == [f"s{series}" for series in range(5)]
    errors = []
    for series, forecast in enumerate(forecasts):
        assert str(forecast.times[0])[:10] == "2024-04-30" and len(forecast.times) == HORIZON
        future = [*rows(series)][DAYS:]
        expected = [(series + 2) * [1, 2, 4, 3][day % 4] * (1 + row[3]) for day, row in enumerate(future, DAYS)]
        errors.append(np.abs(forecast.values / expected - 1))
        assert np.all(np.diff(forecast.quantiles, axis=0) >= 0)
        np.testing.assert_array_equal(forecast.quantiles[forecaster.median], forecast.values)
    assert np.mean(errors) < 0.3  # 0.43 if the last season is repeated
    means = []
    for promotion in (0, 1):
        known = panel.known.copy()
        for start, length in zip(panel.known_offsets, panel.lengths, strict=False):
            known[start + length : start + length + HORIZON, 0] = promotion
        changed = forecaster.forecast(dataclasses.replace(panel, known=known))
        means.append(np.mean([forecast.values for forecast in changed]))
    assert means[1] > 1.5 * means[0]


def test_members_are_different_networks_whose_quantiles_are_averaged(copying):
    forecaster = load(copying)
    panel, _ = forecaster.read()
    inputs = forecaster.reader(panel).inputs(data.ends_of(panel))
    size = len(forecaster.config.levels) + 2
    predicted = np.asarray(forecaster.model(inputs))
    assert predicted.shape == (5, HORIZON, 2 * size)
    members = [
        np.sort(own[..., -2:-1] + own[..., -1:] * own[..., :-2], axis=-1)
        for own in (predicted[..., :size], predicted[..., size:])
    ]
    assert np.abs(members[0] - members[1]).max() > 0.01
    np.testing.assert_allclose(forecaster.quantiles(inputs).swapaxes(1, 2), np.mean(members, axis=0), rtol=1e-5)


def test_shares_of_exponential_smoothing_are_trained(smoothing):
    shares = load(smoothing).model.get_layer("scaling").scores
    kernel, bias = shares.get_weights()
    assert np.all(kernel != 0) and np.all(np.abs(bias + 2) > 0.05)


@pytest.mark.rest
@pytest.mark.parametrize("options", [{"network": "autoregressive", "distribution": "gaussian"}, {"seasons": ()}])
def test_exponential_smoothing_of_other_networks(options, config, tmp_path):
    options = {"scaling": "smoothing", "epochs": 1, "windows_per_epoch": 64, "samples": 10, **options}
    forecaster = model.train(dataclasses.replace(config, **options), tmp_path)
    panel, _ = forecaster.read()
    assert all(np.isfinite(forecast.quantiles).all() for forecast in forecaster.forecast(panel))


def test_evaluation_beats_the_naive_forecasts(saved, capsys):
    assert command("evaluate", saved, "--windows", 1) == 0
    captured = capsys.readouterr()
    metrics = json.loads(captured.out)
    assert metrics["mase"] < 0.5 * metrics["baselines"]["mase"]["seasonal_naive"]
    assert metrics["windows"] == 5 and "naive  seasonal naive" in captured.err
    assert (saved / "figures" / "errors-test.png").exists() and (saved / "figures" / "forecasts-test.png").exists()
    assert json.loads((saved / "metrics.json").read_text())["test"]["mase"] == metrics["mase"]


def test_too_many_windows_for_the_test(saved, capsys):
    assert command("evaluate", saved, "--windows", 2) == 0
    assert f"for 2 that do not overlap, train with --test-size {2 * HORIZON}" in capsys.readouterr().err


def test_metrics_of_an_evaluation_are_those_of_the_forecasts(saved, capsys):
    """The test is the last steps, which the model forecasts from what is before them."""
    forecaster = load(saved)
    panel, _ = forecaster.read()
    before = panel.without_last(HORIZON)
    errors = [
        np.abs(forecast.values - panel.values_of(index)[-HORIZON:])
        for index, forecast in enumerate(forecaster.forecast(before))
    ]
    command("evaluate", saved)
    assert json.loads(capsys.readouterr().out)["mae"] == pytest.approx(np.mean(errors), rel=1e-5)


def test_predictions_have_the_form_of_the_data(saved, capsys, tmp_path):
    output = tmp_path / "forecasts.csv"
    picture, reliance = tmp_path / "forecasts.png", tmp_path / "reliance.png"
    assert command("predict", saved, "--output", output, "--figure", picture, "--reliance", reliance) == 0
    assert picture.exists() and reliance.exists()
    table = [*csv.reader(io.StringIO(output.read_text()))]
    assert table[0] == ["unique_id", "ds", "y", *(f"y-{level}" for level in (0.025, 0.1, 0.25, 0.75, 0.9, 0.975))]
    assert table[1][:2] == ["s0", "2024-04-30"] and len(table) == 1 + 5 * HORIZON
    command("predict", saved)
    assert capsys.readouterr().out == output.read_text()


def test_wide_tables(tmp_path, capsys):
    header = ["id", *(f"V{step}" for step in range(1, 81))]
    values = {name: np.tile([1.0, 2.0, 4.0, 3.0], 20)[: 80 - skip] for skip, name in enumerate(("H1", "H2"))}
    path = write(tmp_path / "wide.csv", [[name, *own] for name, own in values.items()], header)
    options = ["--horizon", 4, "--context", 8, "--seasons", 4, "--segment", 4, "--encoder-units", 4, "--epochs", 1]
    assert command("train", "--data", path, "--output", tmp_path / "model", "--decoder-units", 4, *options) == 0
    capsys.readouterr()
    assert command("predict", tmp_path / "model", "--level", 0.9) == 0
    table = [*csv.reader(io.StringIO(capsys.readouterr().out))]
    assert table[0] == ["id", "F1", "F2", "F3", "F4"] and [row[0] for row in table[1:]] == ["H1", "H2"]
    assert command("predict", tmp_path / "model", "--level", 0.3) == 2
    assert "--level takes 0.025, 0.1, 0.25, 0.5, 0.75, 0.9 or 0.975, not 0.3" in capsys.readouterr().err


def test_test_file_of_a_folder(tmp_path, config, saved, capsys):
    """A folder's test file is what the end of a single file is."""
    everything = [row for series in range(5) for row in rows(series, known=0)]
    days = [row[1] for row in everything[:DAYS]]
    write(tmp_path / "train.csv", [row for row in everything if row[1] < days[-HORIZON]])
    write(tmp_path / "test.csv", [row for row in everything if row[1] >= days[-HORIZON]])
    command("evaluate", saved, "--data", tmp_path)
    of_folder = json.loads(capsys.readouterr().out)
    command("evaluate", saved)
    assert of_folder["mae"] == pytest.approx(json.loads(capsys.readouterr().out)["mae"], rel=1e-5)


def test_windows_of_an_epoch(config):
    panel, split = data.read(config)
    assert split.train.tolist() == [DAYS - 2 * HORIZON] * 5 and split.validation.tolist() == [DAYS - HORIZON] * 5
    series = data.usable_series(split, config)
    steps = dataclasses.replace(panel, values=np.arange(len(panel.values), dtype=float))
    reader = data.WindowReader(steps, config)
    batches = data.batches(reader, split, series, config, "train")
    seen = set()
    for inputs, targets, weights in batches:
        assert inputs["values"].shape == (16, 12) and targets.shape == weights.shape == (16, HORIZON)
        assert np.all(weights == 1) and np.all(inputs["observed"] == 1)
        seen |= {*targets.ravel().tolist()}
    assert len(batches) == 50
    trained = {float(step) for index in series for step in steps.values_of(index)[: -2 * HORIZON]}
    assert seen < trained and len(seen) > 0.8 * len(trained)  # neither validation nor test is trained on
    batches.epoch = 1
    other = next(iter(batches))[1]
    batches.epoch = 0
    assert not np.array_equal(next(iter(batches))[1], other)


@pytest.mark.parametrize(("batch_size", "windows"), [(2, 560), (16, 1600)])
def test_windows_of_an_epoch_by_default(batch_size, windows, config):
    config = dataclasses.replace(config, windows_per_epoch=None, batch_size=batch_size)
    panel, split = data.read(config)
    batches = data.batches(data.WindowReader(panel, config), split, np.arange(len(panel)), config, "train")
    assert batches.contents == f"{windows:,} windows"  # each step 4 times, or 100 batches


@pytest.mark.parametrize(("seasons", "is_remarked"), [((4,), True), ((4, 7), False), ((), False)])
def test_the_usual_season_is_missing(seasons, is_remarked, config, capsys):
    panel, _ = data.read(config)
    data.remark_seasons(panel, dataclasses.replace(config, seasons=seasons))
    remark = "data of the frequency 'D' usually has a season of 7 steps; --seasons is 4"
    assert (remark in capsys.readouterr().err) == is_remarked


def test_training_on_the_validation_part(config):
    config = dataclasses.replace(config, train_on_validation=True)
    panel, split = data.read(config)
    steps = dataclasses.replace(panel, values=np.tile(np.arange(DAYS, dtype=float), len(panel)))
    batches = data.batches(data.WindowReader(steps, config), split, np.arange(len(panel)), config, "train")
    assert max(targets.max() for _, targets, _ in batches) == DAYS - HORIZON - 1  # the last step before the test


def test_validation_windows_are_read_once_and_fill_a_batch(config):
    panel, split = data.read(config)
    batches = data.batches(data.WindowReader(panel, config), split, np.arange(5), config, "validation")
    (batch,) = batches
    assert batch[1].shape == (16, HORIZON) and batch[2].sum() == 5 * HORIZON


def test_missing_values_have_no_weight(tmp_path, config):
    table = [[*row[:2], "" if day in (100, 114) else row[2], *row[3:]] for day, row in enumerate(rows(0))]
    config = dataclasses.replace(config, data=str(write(tmp_path / "gaps.csv", table)))
    panel, split = data.read(config)
    reader = data.WindowReader(panel, config)
    (batch,) = data.batches(reader, split, np.arange(1), config, "validation")
    inputs, targets, weights = batch
    assert weights[0].tolist() == [1, 1, 0, 1] and targets[0, 2] == 0
    assert inputs["observed"][0].tolist() == [0, *[1] * 11] and inputs["values"][0, 0] == 0


def test_rolling_origins():
    first, last = np.array([10, 20, 30]), np.array([22, 23, 33])
    origins = data.rolling_origins(first, last, np.arange(3), horizon=4)
    assert list(zip(origins.series.tolist(), origins.steps.tolist(), strict=True)) == [(0, 10), (0, 14), (0, 18)]
    origins = data.rolling_origins(first, last, np.arange(3), horizon=3, count=2)
    assert [*zip(origins.series.tolist(), origins.steps.tolist(), strict=True)] == [(0, 10), (0, 19), (1, 20), (2, 30)]


def test_reliance_is_the_derivative(either):
    forecaster = load(either)
    panel, _ = forecaster.read()
    ends = data.ends_of(panel)[:2]
    derivative = forecaster.reliance(panel, ends)
    inputs, change = forecaster.reader(panel).inputs(ends), 1e-2
    for step in (3, 11):
        means = []
        for sign in (-1, 1):
            values = inputs["values"].copy()
            values[:, step] += sign * change
            quantiles = forecaster.quantiles({**inputs, "values": values})
            means.append(quantiles[:, forecaster.median].mean(axis=1))
        np.testing.assert_allclose(derivative[:, step], (means[1] - means[0]) / (2 * change), rtol=0.05, atol=2e-3)


@pytest.mark.parametrize("distribution", ["gaussian", "student_t", "negative_binomial"])
def test_distributions_train(distribution, config, tmp_path):
    config = dataclasses.replace(config, distribution=distribution, epochs=1, windows_per_epoch=64, cell="lstm")
    forecaster = model.train(config, tmp_path)
    panel, _ = forecaster.read()
    for forecast in forecaster.forecast(panel):
        assert np.isfinite(forecast.quantiles).all() and np.all(np.diff(forecast.quantiles, axis=0) >= 0)


def test_an_interrupted_training_is_resumed_on_the_command_line(tmp_path, table, monkeypatch):
    options = ["--data", table, "--horizon", 4, "--context", 8, "--segment", 4, "--encoder-units", 4, "--epochs", 2]
    assert command("train", "--output", tmp_path / "whole", *options) == 0
    epochs = []

    def stop(epoch):
        epochs.append(epoch)
        if len(epochs) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        fit = model.fit
        patch.setattr(model, "fit", lambda *arguments, **named: fit(*arguments, begin_epoch=stop, **named))
        assert command("train", "--output", tmp_path / "model", *options) == 130
    assert command("train", "--output", tmp_path / "model", *options, "--resume") == 0
    for whole, resumed in zip(*(load(tmp_path / name).model.get_weights() for name in ("whole", "model")), strict=True):
        np.testing.assert_array_equal(whole, resumed)


def test_a_model_of_another_app(saved, tmp_path):
    folder = shutil.copytree(saved, tmp_path / "model")
    shutil.copy(Path(__file__).parents[1] / "data" / "translation" / "model.keras", folder)
    with pytest.raises(ModelFolderError, match=r"is not the model of config\.yaml"):
        load(folder)


def test_saved_forecasts_are_those_of_the_training(saved, config, tmp_path):
    small = dataclasses.replace(config, epochs=1, windows_per_epoch=64)
    forecaster = model.train(small, tmp_path)
    panel, _ = forecaster.read()
    for before, after in zip(forecaster.forecast(panel), load(tmp_path).forecast(panel), strict=True):
        np.testing.assert_array_equal(before.quantiles, after.quantiles)


def test_saved_model(either, tmp_path):
    tf = pytest.importorskip("tensorflow")
    forecaster = load(either)
    panel, _ = forecaster.read()
    inputs = forecaster.reader(panel).inputs(data.ends_of(panel))
    forecaster.export(tmp_path / "export")
    values = np.where(inputs["observed"] > 0, inputs["values"], np.nan)
    values[1] = np.nan
    given = {**{name: inputs[name] for name in forecaster.input_names if name != "observed"}, "values": values}
    function = tf.saved_model.load(str(tmp_path / "export")).signatures["serving_default"]
    answer = function(**{name: tf.constant(value, tf.float32) for name, value in given.items()})
    assert [error.decode() for error in answer["error"].numpy()] == ["", "the series has no value", "", "", ""]
    others = [0, 2, 3, 4]
    expected = forecaster.quantiles(inputs)[others]
    np.testing.assert_allclose(answer["quantiles"].numpy()[others], expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(answer["forecast"].numpy()[others], expected[:, forecaster.median], rtol=1e-4, atol=1e-4)
    assert not answer["quantiles"].numpy()[1].any()


def test_forecasts_of_samples_do_not_depend_on_the_batch(autoregressive):
    forecaster = load(autoregressive)
    panel, _ = forecaster.read()
    inputs = forecaster.reader(panel).inputs(data.ends_of(panel))
    together = forecaster.quantiles(inputs)
    alone = load(autoregressive).quantiles({name: values[3:4] for name, values in inputs.items()})
    np.testing.assert_allclose(together[3:4], alone, rtol=1e-5)
    assert np.all(np.diff(together, axis=1) > 0)


def test_levels_of_samples_fill_each_step():
    levels = networks.draw_levels(samples=5, steps=3, seed=1)
    np.testing.assert_allclose(np.sort(levels, axis=0), np.tile([[0.1], [0.3], [0.5], [0.7], [0.9]], (1, 3)), rtol=1e-6)
    assert not np.array_equal(levels[:, 0], levels[:, 1])
    np.testing.assert_array_equal(levels, networks.draw_levels(5, 3, 1))
    assert networks.draw_levels(1, 2, 0).tolist() == [[0.5, 0.5]]


def test_a_batch_of_an_autoregressive_network(config):
    config = dataclasses.replace(config, network="autoregressive", distribution="gaussian")
    panel, split = data.read(config)
    reader = data.WindowReader(panel, config)
    ((inputs, targets, weights),) = data.batches(reader, split, np.arange(5), config, "validation")
    np.testing.assert_array_equal(targets, np.concatenate([inputs["values"], inputs["targets"]], axis=1))
    assert weights[:, :12].sum() == 0 and weights[:, 12:].sum() == inputs["targets_observed"].sum() == 5 * HORIZON
    inputs, targets, weights = next(iter(data.batches(reader, split, np.arange(5), config, "train")))
    assert targets.shape == (16, 12 + HORIZON) and weights.all()


TRAIN = ["train", "--output", "model"]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ([["a", "2024-01-01", "1"], ["a", "2024-01-02", "two"]], [], "line 3, column 'y': 'two' is not a number"),
        ([["a", "2024-01-01", "1"], ["a", "2024-01-01", "2"]], [], "2024-01-01"),
        (
            [["a", f"2024-01-{day:02}", "1"] for day in range(1, 21)],
            [],
            "no series has 140 steps to train on; the longest has 0 before its validation and test. Choose a shorter "
            "--context or --horizon, multiples of --segment 7, or --short pad",
        ),
        ([["a", f"2024-01-{day:02}", "1"] for day in range(1, 21)], ["--known", "promotion"], "no column 'promotion'"),
    ],
)
def test_bad_tables(table, options, message, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = write("bad.csv", table, ("unique_id", "ds", "y"))
    assert command(*TRAIN, "--data", path, *options) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]
    assert [*tmp_path.iterdir()] == [tmp_path / "bad.csv"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--horizon", "10"], "must be multiples of --segment 7"),
        (["--levels", "0.9,0.5"], "--levels must ascend and contain 0.5"),
        (["--levels", "0.5,1.5"], "takes a number above 0 and below 1"),
        (["--dilations", "1,4"], "must have one number for each of the 1 layers"),
        (["--seasons", "0"], "takes a positive integer"),
        (["--network", "autoregressive"], "choose --distribution gaussian, student_t or negative_binomial"),
        (
            ["--network", "autoregressive", "--distribution", "gaussian", "--attention"],
            "--attention requires --network encoder_decoder or copying",
        ),
        (
            ["--network", "autoregressive", "--distribution", "gaussian", "--members", "2"],
            "--members requires --network encoder_decoder or copying",
        ),
        (["--network", "copying", "--seasons", "112"], "the first of which is shorter than --context"),
        (
            ["--scaling", "smoothing", "--seasons", "7,365"],
            "--scaling smoothing requires --seasons that are shorter than --context, not 365",
        ),
        (["--scaling", "seasonal", "--seasons", "112"], "requires --seasons that are shorter than --context, not 112"),
        (["--validation-size", "7"], "--validation-size 7 must be at least --horizon 28"),
        (["--test-size", "7"], "--test-size 7 must be at least --horizon 28"),
        (["--known", "y"], "--known y is what is to forecast, so that it is not known ahead"),
        (["--relative-loss", "1", "--distribution", "gaussian"], "--relative-loss requires --distribution quantiles"),
    ],
)
def test_bad_options(options, message, capsys, tmp_path):
    assert command("train", "--output", tmp_path / "model", *options) == 2
    assert message in capsys.readouterr().err


def test_negative_values_are_no_counts(tmp_path, capsys):
    table = [["a", f"2024-01-{day:02}", day - 7] for day in range(1, 31)]
    path = write(tmp_path / "bad.csv", table, ("unique_id", "ds", "y"))
    options = ["--horizon", 2, "--context", 4, "--segment", 2, "--distribution", "negative_binomial"]
    assert command("train", "--output", tmp_path / "model", "--data", path, *options) == 2
    message = "the series 'a' has the value -6, but --distribution negative_binomial is for counts"
    assert message in capsys.readouterr().err.splitlines()[-1]


@pytest.mark.parametrize(
    ("times", "message"),
    [
        (lambda day: f"2024-01-01 {day:02}:00", "has times of the frequency 'h', the training data of 'D'"),
        (
            lambda day: np.datetime64("2024-01-01") + 2 * day,
            "has times of the frequency '2D', the training data of 'D'",
        ),
        (lambda day: np.busday_offset("2024-01-01", day), "has times of the frequency 'B', the training data of 'D'"),
        (lambda day: day, "has no timestamps, unlike the training data"),
    ],
)
def test_times_of_another_frequency_than_in_the_training(times, message, saved, tmp_path, capsys):
    table = [[row[0], times(day), *row[2:]] for day, row in enumerate(rows(0, days=23, known=0))]
    assert command("evaluate", saved, "--data", write(tmp_path / "other.csv", table)) == 2
    assert message in capsys.readouterr().err.splitlines()[-1]


def test_known_columns_that_end_too_early(saved, tmp_path, capsys):
    path = write(tmp_path / "short.csv", [row for series in range(2) for row in rows(series, known=2)])
    assert command("predict", saved, "--data", path) == 2
    assert (
        "the columns known ahead of the series 's0' end 2 steps after its last value; a forecast needs 4"
        in capsys.readouterr().err
    )


def test_a_model_of_the_generated_series_reads_their_columns_from_other_data(tmp_path, capsys):
    path = tmp_path / "shop.csv"
    header, *days = [
        "unique_id,ds,y,format,promotion",
        *(f"a,2024-01-{day:02},{day},supermarket,0" for day in range(1, 15)),
    ]
    planned = [f"a,2024-0{1 + day // 32}-{(day - 1) % 31 + 1:02},,supermarket,1" for day in range(15, 43)]
    path.write_text("\n".join([header, *days, *planned]))
    assert command("predict", "sales", "--data", path) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + 28
    path.write_text("unique_id,ds,y\na,2024-01-01,3\n")
    assert command("predict", "sales", "--data", path) == 2
    assert "no column 'format'" in capsys.readouterr().err


def test_reliance_of_a_series_that_is_shorter_than_the_context(saved, tmp_path):
    path, picture = write(tmp_path / "short.csv", rows(1, days=3)), tmp_path / "reliance.png"
    assert command("predict", saved, "--data", path, "--output", tmp_path / "out.csv", "--reliance", picture) == 0
    assert picture.exists()


def test_constant_and_short_series(either, tmp_path, capsys):
    table = [[*row[:2], "7" if row[2] else "", *row[3:]] for row in rows(0)] + [*rows(1, days=3)]
    path = write(tmp_path / "constant.csv", table)
    assert command("predict", either, "--data", path) == 0
    table = [*csv.reader(io.StringIO(capsys.readouterr().out))]
    assert len(table) == 1 + 2 * HORIZON and all(np.isfinite(float(cell)) for row in table[1:] for cell in row[2:])
