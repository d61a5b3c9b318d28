"""Time series of a CSV file or of a generated data set, in flat arrays."""

from .calendar import calendar_features
from .panel import Panel, Report, Windows
from .reading import Splits, read_series, read_splits

__all__ = ["Panel", "Report", "Splits", "Windows", "calendar_features", "read_series", "read_splits"]
