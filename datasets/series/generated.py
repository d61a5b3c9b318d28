"""The series that this package generates."""

from collections.abc import Mapping, Sequence

import numpy as np

from ..errors import DataError
from ..sales import demand
from .rows import UNKNOWN_CODE, ColumnNames, Rows
from .steps import TIMESTAMP

NAME = "sales"
STATIC, KNOWN = ("format",), ("promotion",)


def generated_rows(names: ColumnNames, categories: Mapping[str, Sequence[str]] | None) -> Rows:
    """Returns the rows of `sales`: the columns `unique_id`, `ds`, `y`, `format` and `promotion`.

    Args:
        names: The names of the columns to read.
        categories: The categories of `format`, if they are known.

    Raises:
        DataError: If it has no such column, or a target is no column of numbers.
    """
    shops = demand.shops()
    counts = [len(shop.promotion) for shop in shops]
    planned = np.full(demand.HORIZON, np.nan)  # days without sales
    formats = tuple((categories or {}).get("format", demand.FORMATS))
    codes = [formats.index(shop.format) if shop.format in formats else UNKNOWN_CODE for shop in shops]
    numbers = {
        "y": np.concatenate([part for shop in shops for part in (shop.y, planned)]),
        "promotion": np.concatenate([shop.promotion for shop in shops]),
    }
    columns = {"format": np.repeat(np.array(codes, "int32"), counts)}
    columns |= {name: values.astype("float32") for name, values in numbers.items()}
    covariates = [*dict.fromkeys((*names.static, *names.past, *names.known))]
    for requested, available in ((names.target, numbers), (covariates, columns)):
        for name in requested:
            if name not in available:
                kind = "column of numbers" if name in columns else "column"
                raise DataError(f"'{NAME}' has no {kind} '{name}'; the columns are unique_id, ds, y, format, promotion")
    times = [np.arange(shop.start, shop.start + count) for shop, count in zip(shops, counts, strict=True)]
    return Rows(
        where=NAME,
        names=names,
        ids=[shop.unique_id for shop in shops],
        series=np.repeat(np.arange(len(shops)), counts),
        times=np.concatenate(times).astype(TIMESTAMP).astype("int64"),
        has_timestamps=True,
        targets=np.stack([numbers[name] for name in names.target], axis=1),
        columns={name: columns[name] for name in covariates},
        categories={"format": formats} if "format" in covariates else {},
        is_test=np.concatenate([np.arange(count) >= count - 2 * demand.HORIZON for count in counts]),
    )
