"""Generated sales: the same everywhere, as documented, and easier to forecast with the promotions than without."""

import hashlib

import numpy as np
import pytest
from keras_recurrent.datasets.errors import DataError
from keras_recurrent.datasets.generated import generated_set
from keras_recurrent.datasets.sales import demand
from keras_recurrent.datasets.series import read_series, read_splits

# If the digest changes, the data set changes, and the builder needs another version.
DIGEST = "551777c3c3c798c07776687fab2587692108741fae1b3dabb662ef9c63a410d9"


@pytest.fixture(scope="module")
def shops():
    return demand.shops()


def test_the_data_is_the_same_in_every_version(shops):
    content = b"".join(np.nan_to_num(shop.y, nan=-1).astype("<i4").tobytes() for shop in shops)
    assert hashlib.sha256(content).hexdigest() == DIGEST
    np.testing.assert_array_equal(demand.shops(1)[0].y, shops[0].y)


def test_shops(shops):
    assert len(shops) == demand.SHOPS and len({shop.unique_id for shop in shops}) == demand.SHOPS
    values = np.concatenate([shop.y for shop in shops])
    assert np.nanmin(values) >= 0 and (values[~np.isnan(values)] % 1 == 0).all()
    assert 0.003 < np.isnan(values).mean() < 0.007
    assert len({shop.start for shop in shops}) > 10
    for shop in shops:
        assert shop.start + len(shop.y) == demand.END and len(shop.promotion) == len(shop.y) + demand.HORIZON
        assert 0.1 < shop.promotion.mean() < 0.4
    assert all(sum(shop.format == name for shop in shops) == 20 for name in demand.FORMATS)


def test_noise_grows_with_the_level(shops):
    """The noise of a day is estimated by its difference from the mean of a week before and after."""
    levels, noises = [], []
    for shop in shops:
        is_promoted = shop.promotion[: len(shop.y)].astype(bool)
        before, now, after = (
            np.where(is_promoted, np.nan, shop.y)[start : -14 + start or None] for start in (0, 7, 14)
        )
        levels.append(np.nanmean(shop.y))
        noises.append(np.nanstd(now - (before + after) / 2))
    assert np.corrcoef(np.log(levels), np.log(noises))[0, 1] > 0.8


def forecast(shop, with_promotions):
    """Forecasts the test by least squares of the logarithm: weekday, season, and the level of the last weeks."""
    steps = len(shop.y) - demand.HORIZON
    days = np.arange(shop.start, shop.start + len(shop.y))
    angle = 2 * np.pi * (days - days.astype("datetime64[Y]")).astype(int) / 365.25
    promotion = shop.promotion[: len(days)] * with_promotions
    columns = [days.astype(int) % 7 == weekday for weekday in range(7)]
    inputs = np.stack([*columns, np.sin(angle), np.cos(angle), promotion], axis=1).astype(float)
    (is_known,) = np.nonzero(~np.isnan(shop.y[:steps]))
    outputs = np.log1p(shop.y[is_known])
    weights, *_ = np.linalg.lstsq(inputs[is_known], outputs, rcond=None)
    level = np.mean((outputs - inputs[is_known] @ weights)[-28:])
    return np.expm1(inputs[steps:] @ weights + level)


def test_promotions_help(shops):
    """The mean absolute scaled error of a simple model is well below that of the seasonal naive forecast."""
    errors = {"naive": [], "without": [], "with": []}
    for shop in shops:
        train, test = shop.y[: -demand.HORIZON], shop.y[-demand.HORIZON :]
        scale = np.nanmean(np.abs(train[7:] - train[:-7]))
        forecasts = {"naive": np.tile(train[-7:], 4), "without": forecast(shop, False), "with": forecast(shop, True)}
        for name, values in forecasts.items():
            errors[name].append(np.nanmean(np.abs(test - values)) / scale)
    naive, without, with_promotions = (np.mean(errors[name]) for name in ("naive", "without", "with"))
    assert with_promotions < 0.7 * without < 0.7 * 0.8 * naive


def test_read_by_name(shops):
    panel, test_starts = read_splits("sales")
    assert len(panel) == demand.SHOPS and panel.frequency == "D" and panel.known_names == ("promotion",)
    assert panel.static_names == tuple(f"format={name}" for name in demand.FORMATS)
    assert (panel.known_steps_ahead == demand.HORIZON).all() and (panel.lengths - test_starts == demand.HORIZON).all()
    for index, shop in enumerate(shops):
        np.testing.assert_array_equal(panel.values_of(index), shop.y)
        np.testing.assert_array_equal(panel.known_of(index)[:, 0], shop.promotion)
        assert panel.starts[index] == shop.start and panel.static[index].argmax() == demand.FORMATS.index(shop.format)

    panel = read_series("sales", static=[], known=[], past=["promotion", "format"], categories={"format": ("kiosk",)})
    assert panel.static.shape == (demand.SHOPS, 0) and panel.past_names == ("promotion", "format=kiosk")
    assert panel.report.unknown == sum(len(shop.promotion) for shop in shops)
    with pytest.raises(
        DataError, match="'sales' has no column 'price'; the columns are unique_id, ds, y, format, promo"
    ):
        read_series("sales", known=["price"])


def test_splits(shops):
    examples = generated_set("sales").examples
    for train, test, shop in zip(examples("train"), examples("test"), shops, strict=True):
        np.testing.assert_array_equal(np.concatenate([train.y, test.y]), shop.y)
        assert train.start + len(train.y) == test.start
        assert len(train.promotion) == len(train.y) + demand.HORIZON
        np.testing.assert_array_equal(np.concatenate([train.promotion, test.promotion[-28:]]), shop.promotion)
    with pytest.raises(DataError, match="'sales': no split 'validation'"):
        examples("validation")
    with pytest.raises(ValueError, match="the splits are train, test"):
        demand.examples("validation")


def test_builder(tmp_path):
    from keras_recurrent.datasets.sales.sales_dataset_builder import Builder

    builder = Builder(data_dir=tmp_path)
    builder.download_and_prepare()
    examples = {
        example["unique_id"].decode(): example for example in builder.as_dataset(split="test").as_numpy_iterator()
    }
    assert len(examples) == demand.SHOPS
    example, shop = examples["shop 2"], demand.examples("test")[1]
    np.testing.assert_array_equal(example["y"], shop.y)
    assert example["start"].decode() == "2024-12-04" and example["format"] == 1 and len(example["promotion"]) == 56
