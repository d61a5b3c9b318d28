"""What the page asks a model, and the answers: those of `predict --json`."""

import base64
import binascii
import io
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...datasets import DataError
from ..forecasting.data import check_known
from ..forecasting.writing import as_json, table_rows, write_csv
from ..shared.config import Length, NonNegativeFloat, PositiveInt, Seed, Share
from ..shared.errors import UsageError
from ..shared.options import convert_options, option_types
from ..shared.text.writing import Sampling

MAX_SAMPLES = 20
MAX_LENGTH = 5_000
MAX_SERIES = 12


@dataclass(frozen=True, kw_only=True)
class Form:
    """What is entered on the page. Each application reads some of the fields.

    Attributes:
        text: The text to translate, classify or look into.
        picture: The content of an image file in base64.
        table: The content of a CSV file with series to forecast.
        question: The question about the picture.
        prompt: The beginning of the texts to write.
        label: The label of the texts to write; None is any.
        samples: The number of texts to write.
        length: The largest number of characters to write; None is the model's.
        temperature: The temperature of the sampling.
        top_p: Total probability of the characters to sample from.
        seed: The seed of the sampling.
    """

    text: str = ""
    picture: str = ""
    table: str = ""
    question: str = ""
    prompt: str = ""
    label: str | None = None
    samples: PositiveInt = 1
    length: Length | None = None
    temperature: NonNegativeFloat = 1.0
    top_p: Share = 1.0
    seed: Seed = 0

    def required(self, name: str) -> str:
        """Returns a text that must not be empty."""
        text = getattr(self, name)
        if not text.strip():
            raise UsageError(f"the {name} is empty")
        return text

    def image(self) -> bytes:
        """Returns the content of the picture's file."""
        try:
            return base64.b64decode(self.required("picture"), validate=True)
        except binascii.Error as error:
            raise UsageError(f"the picture is not in base64: {error}") from error


def parse(values: Any) -> Form:
    """Returns the form of an object of JSON.

    Raises:
        UsageError: If it has unknown fields or values out of range.
    """
    if not isinstance(values, dict):
        raise UsageError("the form is not an object")
    form = Form(**convert_options(values, option_types(Form)))
    if form.samples > MAX_SAMPLES or (form.length or 0) > MAX_LENGTH:
        raise UsageError(f"at most {MAX_SAMPLES} texts of {MAX_LENGTH:,} characters are written at once")
    return form


# The field of the form that a tokenizer of the inputs reads. A generator refuses unknown characters of its prompt.
FIELDS = {"source": "text", "text": "text", "questions": "question"}


def _write(generator: Any, form: Form) -> list[dict[str, str]]:
    sampling = Sampling(form.samples, form.temperature, None, form.top_p, form.seed)
    return [{"text": text} for text in generator.generate(form.prompt, form.label, form.length, sampling)]


def _forecast(forecaster: Any, form: Form) -> dict[str, Any]:
    """Returns the series of a table with their forecasts, a table of these, and what reading has counted."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "table.csv"
        path.write_text(form.required("table"), encoding="utf-8")
        try:
            panel, _ = forecaster.read(str(path))
        except DataError as error:
            raise DataError(str(error).replace(str(path), "the table")) from error
    if len(panel) > MAX_SERIES:
        raise UsageError(f"at most {MAX_SERIES} series are forecast at once, not {len(panel):,}")
    check_known(panel, forecaster.config.horizon)
    forecasts, csv = forecaster.forecast(panel), io.StringIO()
    write_csv(table_rows(panel, forecasts, forecaster.config), csv)
    series = as_json(panel, forecasts, forecaster.config)
    return {"series": series, "csv": csv.getvalue(), "report": str(panel.report)}


# By task: a function from the model and the form to the answer.
ANSWERS: Mapping[str, Callable[[Any, Form], Any]] = {
    "translation": lambda model, form: model.explain([form.required("text")])[0],
    "captioning": lambda model, form: {"captions": model.explain([form.image()])[0]},
    "vqa": lambda model, form: model.explain([form.image()], [form.required("question")])[0],
    "classification": lambda model, form: model.explain([form.required("text")])[0],
    "forecasting": _forecast,
    "generation": _write,
    "inspection": lambda model, form: model.inspect(form.required("text")),
}
