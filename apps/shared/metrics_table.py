"""Metrics as a table for people."""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_CLASSES = 20  # rows for the values of one metric by class


def metrics_table(metrics: Mapping[str, Any], baselines: Mapping[str, Mapping[str, float]]) -> str:
    """Formats metrics as a table with three digits, and a column instead of a row for each baseline.

    Text and lists are left out. A metric by class has one row per class; if a class has several metrics, its row has
    the first one.

    Args:
        metrics: The metrics by name.
        baselines: For the name of a metric, its values by the names of the baselines.

    Example:

    >>> from keras_recurrent.apps.shared.metrics_table import metrics_table
    >>> metrics = {"accuracy": 0.91234, "f1_of": {"no": 0.9, "yes": 1.0}, "commonest_label": 0.5, "texts": 1234}
    >>> print(metrics_table(metrics, {"accuracy": {"commonest_label": 0.5}}))
                model  commonest label
    accuracy    0.912            0.500
    f1 of: no   0.900
    f1 of: yes   1.00
    texts       1,234
    """
    columns = list(dict.fromkeys(name for values in baselines.values() for name in values))
    rows = [["", "model", *(column.replace("_", " ") for column in columns)]]
    own_metrics = {name: value for name, value in metrics.items() if name not in ("baselines", *columns)}
    for name, label, value in _rows(own_metrics):
        own = baselines.get(name, {})
        rows.append([label, _digits(value), *(_digits(own[column]) if column in own else "" for column in columns)])
    first, *others = (max(map(len, column)) for column in zip(*rows, strict=True))
    return "\n".join(
        "  ".join(
            [label.ljust(first), *(cell.rjust(width) for cell, width in zip(cells, others, strict=True))]
        ).rstrip()
        for label, *cells in rows
    )


def _rows(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, Any]]:
    """Yields a name, a label and a number or None for each row of the table."""
    for name, value in metrics.items():
        label = name.replace("_", " ")
        if isinstance(value, Mapping):
            for kind, own in list(value.items())[:MAX_CLASSES]:
                yield "", f"{label}: {kind}", next(iter(own.values())) if isinstance(own, Mapping) else own
        elif value is None or isinstance(value, (bool, int, float)):
            yield name, label, value


def _digits(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:#.3g}"
