"""The function of a forecaster's SavedModel, from the past of series to quantiles of their future."""

from typing import TYPE_CHECKING, Any

import tensorflow as tf

from ...layers.types import Tensor
from ..shared.saved_model.rows import answer_usable, number_error

if TYPE_CHECKING:
    from .model import Forecaster


def signatures(forecaster: "Forecaster") -> tuple[dict[str, Any], list[Any]]:
    """Returns one signature from float32 `values` `(batch, context)`; see `TrainedModel.signatures`.

    A model with columns also takes `past` `(batch, context, columns)` or `known` `(batch, context + horizon, columns)`;
    see `data.WindowReader.inputs`. NaN is a missing value.

    The outputs are `forecast` `(batch, horizon)`, the medians; `quantiles` `(batch, levels, horizon)`; and `error`
    `(batch,)`, what is wrong with a row, empty if nothing is. The other outputs of such a row are zeros.
    """
    specs = [
        tf.TensorSpec(spec.shape, tf.float32, name=spec.name)
        for spec in forecaster.core_inputs
        if spec.name != "observed"
    ]
    values_index = [spec.name for spec in specs].index("values")

    def best(*inputs: Tensor) -> dict[str, Tensor]:
        named = dict(zip([spec.name for spec in specs], inputs, strict=True))
        is_observed = tf.math.is_finite(named["values"])
        named["observed"] = tf.cast(is_observed, tf.float32)
        named["values"] = tf.where(is_observed, named["values"], 0.0)
        for name, means in forecaster.means.items():
            named[name] = tf.where(tf.math.is_nan(named[name]), means, named[name])
        quantiles = forecaster.core(*(named[name] for name in forecaster.input_names))["quantiles"]
        return {"forecast": quantiles[:, forecaster.median], "quantiles": quantiles}

    def answer(*inputs: Tensor) -> dict[str, Tensor]:
        error = number_error(inputs[values_index], "value")
        return answer_usable(best, error, error == "", *inputs)

    return {"serving_default": (answer, specs)}, []
