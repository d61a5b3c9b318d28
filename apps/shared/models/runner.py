"""Runs the model in the folder of this file, without Keras and TensorFlow.

    python runner.py ARGUMENT...     prints one line of JSON per answer; --help lists the arguments

It needs numpy, the runtime of the model's file, and Pillow for images:

    model.onnx      pip install numpy onnxruntime
    model.tflite    pip install numpy ai-edge-litert
    model.xml       pip install numpy openvino

A program can use it as a module: `Runner(folder).predict(arguments)`.
"""

import argparse
import contextlib
import csv
import datetime
import functools
import gzip
import itertools
import json
import re
import struct
import sys
import unicodedata
import zlib
from pathlib import Path

import numpy as np

PADDING, UNKNOWN, START, END = range(4)
SPECIAL = ["", "[UNK]", "<start>", "<end>"]
JOINER = "￭"  # marks the side of a punctuation token that had no space
IMPOSSIBLE = -1e7  # scores of hypotheses that do not exist are below
TOP_ANSWERS = 5


class InputError(Exception):
    """Something is wrong with an argument. The message is one line."""


# Tokenizers: texts to token ids and back.


@functools.cache
def _marked():
    """A table for `str.translate` that puts \\x01 before and \\x02 after each punctuation mark and symbol.

    No character after those of the first two planes is one.
    """
    characters = map(chr, range(0x20000))
    return {ord(c): f"\x01{c}\x02" for c in characters if unicodedata.category(c)[0] in "PS"}


@functools.lru_cache(2**16)
def split_word(word):
    """The words and punctuation marks between two spaces. A mark has a joiner on each side that had no space."""
    if word.isalnum():
        return (word,)
    # \x01 and \x02 mark the left and the right side of each mark until its neighbours are known.
    marked = word.translate(_marked()).replace("\x02\x01", f" {JOINER}")
    marked = marked.removeprefix("\x01").removesuffix("\x02")
    return tuple(marked.replace("\x01", f" {JOINER}").replace("\x02", f"{JOINER} ").split(" "))


class Words:
    """Words and punctuation marks.

    Args:
        vocabulary: The tokens from id 4 on.
        lowercase: Whether texts are converted to lower case.
    """

    def __init__(self, vocabulary, lowercase=False):
        self.vocabulary = vocabulary
        self.lowercase = lowercase
        self.tokens = [*SPECIAL, *vocabulary]
        self.ids = {token: index for index, token in enumerate(self.tokens) if index >= START}

    @classmethod
    def read(cls, path, lowercase):
        """Reads a file with one token per line."""
        return cls(path.read_text(encoding="utf-8").split("\n")[:-1], lowercase)

    def normalize(self, text):
        """A text in Unicode's form NFC, in lower case if that is an option."""
        text = unicodedata.normalize("NFC", text).replace("\0", " ").replace("\ufeff", " ")
        return text.lower() if self.lowercase else text

    def clean(self, text):
        """A normalized text with single spaces, and none at the ends."""
        return " ".join(self.normalize(text).split())

    def spaced(self, text):
        """The words of a text with the punctuation marks at them."""
        return self.normalize(text).replace(JOINER, "").split()

    def split(self, text):
        """The tokens of a text."""
        return list(itertools.chain.from_iterable(map(split_word, self.spaced(text))))

    def ids_of(self, pieces):
        return [self.ids.get(piece, UNKNOWN) for piece in pieces]

    def encode(self, text):
        return self.ids_of(self.split(text))

    def unknown(self, text):
        return [piece for piece in self.split(text) if piece not in self.ids]

    def decode(self, ids):
        """The text of ids, without padding, start and end."""
        text = " ".join(self.tokens[index] for index in ids if index not in (PADDING, START, END))
        return re.sub(f" ?{JOINER} ?", "", text)


class Characters(Words):
    """Characters, spaces included."""

    def split(self, text):
        return list(self.clean(text))

    def decode(self, ids):
        return "".join(self.tokens[index] for index in ids if index not in (PADDING, START, END))


class LiteralCharacters(Characters):
    """Characters as they are, line breaks included."""

    @classmethod
    def read(cls, path, lowercase):
        """Reads a list in JSON."""
        return cls(json.loads(path.read_text(encoding="utf-8")), lowercase)

    def clean(self, text):
        text = text.replace("\0", "")
        return text.lower() if self.lowercase else text


class Subwords(Words):
    """Byte-pair encoding with SentencePiece.

    Args:
        model: The content of SentencePiece's file, a message of Protocol Buffers: field 1 has the pieces with their
            scores, field 3 the normalizer.
        lowercase: Whether texts are converted to lower case.
    """

    def __init__(self, model, lowercase=False):
        self.lowercase = lowercase
        self.tokens, self.scores, characters = [], {}, b""
        for field, value in _fields(model):
            if field == 1:
                piece = dict(_fields(value))
                token = piece[1].decode()
                if piece.get(3, 1) == 1:  # a normal piece: neither unknown nor a control symbol
                    self.scores[token] = struct.unpack("<f", piece[2])[0]
                self.tokens.append(token)
            elif field == 3:
                characters = dict(_fields(value)).get(2, b"")
        self.ids = {token: index for index, token in enumerate(self.tokens)}
        self.trie = np.frombuffer(characters[4 : 4 + int.from_bytes(characters[:4], "little")], "<u4")
        self.replacements = characters[4 + 4 * len(self.trie) :]

    @classmethod
    def read(cls, path, lowercase):
        return cls(path.read_bytes(), lowercase)

    def split(self, text):
        """The pieces of a text: the best pair of neighbours is merged until no pair is a piece."""
        text = re.sub(" +", " ", self._normalize(self.clean(text))).strip(" ")
        pieces = list(f"▁{text.replace(' ', '▁')}") if text else []
        while True:
            pairs = [first + second for first, second in itertools.pairwise(pieces)]
            best = max(pairs, key=lambda pair: self.scores.get(pair, -np.inf), default=None)
            if best not in self.scores:
                break
            index = pairs.index(best)
            pieces[index : index + 2] = [best]
        runs = itertools.groupby(pieces, key=self.ids.__contains__)
        return [piece for is_known, run in runs for piece in (run if is_known else ["".join(run)])]

    def _normalize(self, text):
        """Replaces the longest sequences of bytes that the normalizer's trie has."""
        if not len(self.trie):
            return text
        content, result, position = text.encode(), b"", 0
        while position < len(content):
            length, replacement = self._longest_match(content[position:])
            if not length:
                length = len(content[position : position + 4].decode(errors="ignore")[:1].encode())
                replacement = content[position : position + length]
            result += replacement
            position += length
        return result.decode()

    def _longest_match(self, content):
        """The length of the longest key at the beginning, and its replacement; the trie is a double array."""
        node = _offset(int(self.trie[0]))
        length, replacement = 0, b""
        for count, byte in enumerate(content, 1):
            node ^= byte
            unit = int(self.trie[node])
            if unit & (1 << 31 | 0xFF) != byte:
                break
            node ^= _offset(unit)
            if unit >> 8 & 1:
                start = int(self.trie[node]) & ~(1 << 31)
                length, replacement = count, self.replacements[start : self.replacements.index(0, start)]
        return length, replacement

    def decode(self, ids):
        pieces = (" ⁇ " if index == UNKNOWN else self.tokens[index] for index in ids if index > END or index == UNKNOWN)
        return "".join(pieces).replace("▁", " ").removeprefix(" ")


def _offset(unit):
    return unit >> 10 << ((unit & 1 << 9) >> 6)


def _fields(content):
    """Yields `(number, value)` of a message of Protocol Buffers; numbers are integers, other values bytes."""
    position = 0

    def number():
        nonlocal position
        result = shift = 0
        while True:
            byte = content[position]
            position += 1
            result |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return result

    while position < len(content):
        field, kind = divmod(number(), 8)
        if kind == 0:
            yield field, number()
        else:
            length = {1: 8, 2: None, 5: 4}[kind] or number()
            yield field, content[position : position + length]
            position += length


TOKENIZERS = {"words": Words, "characters": Characters, "literal": LiteralCharacters, "subwords": Subwords}


# Images.

# Where Pillow reads an orientation if EXIF has none. The training reads EXIF alone.
OTHER_ORIENTATIONS = ("xmp", "xml:com.adobe.xmp", "raw profile type exif")


def read_image(path, size):
    """Reads an image file as uint8 RGB `(size, size, 3)`: rotated by its EXIF orientation, blended with white."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path, formats=("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "PPM")) as image:
            image.load()
            if image.format in ("JPEG", "MPO", "PNG"):
                for name in [name for name in image.info if str(name).lower() in OTHER_ORIENTATIONS]:
                    del image.info[name]
                image = image.copy()  # the copy forgets the orientation that Pillow has already read from those
            image = ImageOps.exif_transpose(image)
            if image.mode.startswith("I"):  # 16 bits
                pixels = np.repeat((np.asarray(image).astype("uint32") >> 8).astype("uint8")[:, :, None], 3, axis=2)
            elif image.has_transparency_data:
                rgba = np.asarray(image.convert("RGBA")).astype("uint32")
                pixels = ((rgba[..., :3] * rgba[..., 3:] + 255 * (255 - rgba[..., 3:]) + 127) // 255).astype("uint8")
            else:
                pixels = np.asarray(image.convert("RGB"))
    except Exception as error:  # Pillow does not document what it raises
        raise InputError(f"{path}: not a readable image ({error})") from error
    return resize(pixels, size)


def resize(pixels, size):
    """Bilinear interpolation with antialiasing to a square, as `tf.image.resize` computes it."""
    if pixels.shape[:2] == (size, size):
        return pixels
    for axis in (0, 1):
        weights = _resize_weights(pixels.shape[axis], size)
        pixels = np.moveaxis(np.tensordot(weights, pixels.astype("float32"), (1, axis)), 0, axis)
    return np.clip(np.round(pixels), 0, 255).astype("uint8")


@functools.lru_cache(64)
def _resize_weights(before, after):
    """The weights `(after, before)` of a triangle around the centre of each new pixel, at least one old pixel wide."""
    scale = before / after
    radius = max(scale, 1.0)
    centres = (np.arange(after) + 0.5) * scale
    distances = np.abs(np.arange(before) + 0.5 - centres[:, None]) / radius
    weights = np.maximum(0, 1 - distances)
    return (weights / weights.sum(axis=1, keepdims=True)).astype("float32")


# Time series.


def read_series(text, channels):
    """A series as float32 `(steps, channels)`, NaN where a number is missing, from a text such as `"1,2:3,?"`."""
    try:
        rows = [
            [float("nan" if cell.strip() in ("", "?") else cell) for cell in row.split(",")] for row in text.split(":")
        ]
        values = np.array(rows, "float32").T
    except ValueError as error:
        raise InputError(f"{text}: not numbers separated by commas, with a colon between channels") from error
    if values.shape[1] != channels:
        raise InputError(f"{text}: a series has {values.shape[1]} channels; the model reads {channels}")
    is_known = np.isfinite(values).any(axis=1)
    if np.isinf(values).any() or not is_known.any():
        raise InputError(f"{text}: a number is infinite, or there is none")
    return values[: np.flatnonzero(is_known)[-1] + 1]


# Tables of time series.

MISSING = {"", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"}
TRUTH = {"True": 1, "true": 1, "TRUE": 1, "False": 0, "false": 0, "FALSE": 0}
LARGEST = 1e18  # whose square is finite in float32
DAY = 86_400_000_000  # microseconds
CYCLES = {"day": DAY, "week": 7 * DAY, "year": 365 * DAY}  # of the calendar


def read_number(text, where):
    """The number in a cell of a table; NaN if it is missing."""
    text = text.strip()
    if text in MISSING:
        return np.nan
    try:
        number = float(TRUTH.get(text, text.replace("_", "x")))  # Python reads 1_000 as a number
    except ValueError:
        number = np.nan
    if np.isnan(number):
        raise InputError(f"{where}: {text!r} is not a number")
    if abs(number) > LARGEST:
        raise InputError(f"{where}: {text!r} is too large; numbers have at most the magnitude {LARGEST:g}")
    return number


def is_present(value):
    """Whether a cell of a table, a number or a text, is not missing."""
    return value not in MISSING if isinstance(value, str) else not np.isnan(value)


def read_time(text, where):
    """The time in a cell of a table: an integer, or a datetime64 in UTC."""
    text = text.strip()
    if re.fullmatch(r"[+-]?\d+", text) and not re.fullmatch(r"[12]\d{7}", text):
        return int(text)
    try:
        time = datetime.datetime.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"{where}: {text!r} is neither a time such as 2024-01-31 12:00 nor an integer") from error
    return np.datetime64(time if time.tzinfo is None else time.astimezone(datetime.UTC).replace(tzinfo=None), "us")


def open_text(file):
    """Opens a file of text, gzipped if its name ends in `.gz`; returns one that is already open."""
    if hasattr(file, "read"):
        return contextlib.nullcontext(file)
    return (gzip.open if str(file).endswith(".gz") else open)(file, "rt", newline="", encoding="utf-8-sig")


def is_number(text):
    """Whether a cell of a table is a finite number."""
    try:
        return bool(text.strip()) and np.isfinite(float(text))
    except ValueError:
        return False


def read_table(file, config):
    """Reads a table as CSV: in the long form with a row for each series and time, or in the wide one, a row per series.

    Args:
        file: The open file of text.
        config: `config.json` of a forecaster.

    Returns:
        `(series, wide_id)`. `series` has for each series, by name, a dictionary from its times, ascending, to a
        dictionary from columns to numbers, or to texts where the model knows categories. Without a column of names, the
        only one is None. `wide_id` is the column of the names in the wide form, None in the long one.
    """
    reader = csv.reader(file, skipinitialspace=True)
    header, first = [name.strip() for name in next(reader, [])], next(reader, [])
    rows = filter(None, itertools.chain([first], reader))
    numbers = [is_number(cell) for cell in first[1:] if cell.strip() not in MISSING]
    names = [config["time"], *config["target"]]
    is_wide = sum(numbers) > 0.9 * len(numbers) and not is_number(first[0]) and not {*names} & {*header}
    wide_id = header[0] if is_wide else None
    if is_wide:
        header = [config["id"], *names]
        rows = ([cells[0], str(step), cell] for cells in rows for step, cell in enumerate(cells[1:], 1))
    columns = [*config["target"], *config["static"], *config["past"], *config["known"]]
    for name in columns:
        if name not in header:
            raise InputError(f"no column {name!r}; the columns are {', '.join(header)}")
    series = {}
    for cells in rows:
        where = f"line {reader.line_num}"
        if len(cells) > len(header):
            raise InputError(f"{where}: more than {len(header)} values")
        row = dict(itertools.zip_longest(header, cells, fillvalue=""))
        own = series.setdefault(row.get(config["id"]), {})
        text = row.get(config["time"], str(len(own) + 1))
        time = read_time(text, f"{where}, column {config['time']!r}")
        values = {
            name: row[name] if name in config["categories"] else read_number(row[name], f"{where}, column {name!r}")
            for name in columns
        }
        before = own.setdefault(time, values)
        if before is not values and repr(before) != repr(values):  # NaN is equal then
            raise InputError(f"{where}: another row of the time {text}")
    for name, categories in config["categories"].items():
        texts = {row[name] for own in series.values() for row in own.values() if is_present(row[name])}
        if unknown := sorted(texts - {*categories}):
            warn(f"the column {name!r} has unknown texts: {' '.join(unknown)}")
    kinds = {type(time) for own in series.values() for time in own}
    if len(kinds) != 1:
        raise InputError("some times are integers and others are not" if kinds else "no rows below the header")
    return {name: dict(sorted(own.items())) for name, own in series.items()}, wide_id


class Steps:
    """The regular steps of series: a number of units, which are integers, microseconds, business days, or months.

    Args:
        times: For each series the array of its times, ascending.
        microseconds: The length of a step of timestamps, or None to infer it from the commonest difference.
    """

    def __init__(self, times, microseconds):
        every = np.concatenate(times)
        differences = np.concatenate([np.diff(own) for own in times]).astype("int64")
        self.unit, self.count = "fixed", microseconds
        if every.dtype.kind != "M":
            self.unit, self.count = "integers", np.gcd.reduce(differences) or 1
        elif microseconds is None:
            if not len(differences):
                raise InputError("no series has two times")
            self._infer(every, differences)

    def _infer(self, times, differences):
        self.count = commonest(differences)
        days = times.astype("M8[D]")
        if np.ptp(times - days):  # several times of day
            return
        for unit, dates in (("month starts", days), ("month ends", days + 1)):
            months = dates.astype("M8[M]")
            if (months == dates).all():
                self.unit = unit
                self.count = max(1, commonest(np.diff(np.unique(months)).astype("int64")))
                return
        if self.count == DAY and np.is_busday(days).all() and 3 * DAY in differences:
            self.unit, self.count = "business days", 1

    @property
    def length(self):
        """Microseconds of a step, infinite for integers. Each month has 31 days."""
        return {"integers": np.inf, "fixed": self.count, "business days": DAY}.get(self.unit, 31 * DAY * self.count)

    @property
    def cycles(self):
        """The cycles of the calendar that are longer than a step."""
        return [name for name, cycle in CYCLES.items() if self.length < cycle]

    def is_as_in_training(self, config):
        """Whether the steps have about the length of those of the training data, and the same part of the calendar."""
        step = config["step"]
        is_even = self.unit == "fixed"
        is_similar = step and is_even == config["has_even_steps"] and 0.8 < self.length / step < 1.25
        return (step is None or self.unit == "integers" or is_similar) and (
            not config["calendar"] or self.cycles == config["calendar"]
        )

    def between(self, start, times):
        """The numbers of steps from a time to others.

        Raises:
            InputError: If one is no whole number.
        """
        if self.unit in ("integers", "fixed"):
            steps = (times - start).astype("int64")
        elif self.unit == "business days":
            steps = np.busday_count(start.astype("M8[D]"), times.astype("M8[D]"))
        else:
            steps = (times.astype("M8[M]") - start.astype("M8[M]")).astype("int64")
        steps = steps // self.count
        if (wrong := self.after(start, steps) != times).any():
            raise InputError(f"{shown(times[wrong][:1])[0]} is no whole number of steps after {shown(times[:1])[0]}")
        return steps

    def after(self, start, steps):
        """The times that are numbers of steps after a time."""
        steps = steps * self.count
        if self.unit in ("integers", "fixed"):
            return start + steps
        day = start.astype("M8[D]")
        if self.unit == "business days":
            days = np.busday_offset(day, steps)
        else:
            end = int(self.unit == "month ends")
            days = (day.astype("M8[M]") + steps + end).astype("M8[D]") - end
        return days.astype("M8[us]") + (start - day)


def commonest(values):
    """The commonest of positive integers; the smallest of several, 0 of none."""
    values, counts = np.unique(values[values > 0], return_counts=True)
    return int(values[counts.argmax()]) if len(values) else 0


def calendar(times, cycles):
    """Sine and cosine of where times are in the cycles day, week and year: `(steps, 2 * cycles)`."""
    if not cycles:
        return np.zeros((len(times), 0))
    days = times.astype("M8[D]")
    years = days.astype("M8[Y]")
    first, last = years.astype("M8[D]"), (years + 1).astype("M8[D]")
    positions = {
        "day": (times - days).astype("int64") / DAY,
        "week": (days.astype("int64") + 3) % 7 / 7,
        "year": (days - first) / (last - first),
    }
    return np.stack([wave(2 * np.pi * positions[name]) for name in cycles for wave in (np.sin, np.cos)], axis=1)


def shown(times):
    """Times as text: timestamps without the time of day if that is always midnight."""
    if times.dtype.kind != "M":
        return [str(time) for time in times]
    days = times.astype("M8[D]")
    return [str(time).replace("T", " ") for time in (days if (days == times).all() else times.astype("M8[s]"))]


# The model, in the runtime of its file.


def open_model(folder):
    """Returns a function from arrays, by name, to the model's outputs, a dictionary of arrays."""
    if (folder / "model.onnx").exists():
        return _open_onnx(folder / "model.onnx")
    if (folder / "model.tflite").exists():
        return _open_litert(folder / "model.tflite")
    return _open_openvino(folder / "model.xml")


def _open_onnx(path):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # several threads wait for each other more than they compute
    options.add_session_config_entry("session.disable_quant_qdq", "1")  # weights in int8 are converted once, on loading
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return lambda **inputs: dict(zip(names, session.run(names, inputs), strict=True))


def _open_litert(path):
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path))
    (name,) = interpreter.get_signature_list()

    def run(**inputs):
        runner = interpreter.get_signature_runner(name)
        return runner(**inputs)

    return run


def _open_openvino(path):
    import openvino

    model = openvino.Core().compile_model(path, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})

    def run(**inputs):
        outputs = model(inputs)
        return {output.any_name: outputs[output] for output in model.outputs}

    return run


# The applications.


def hypotheses(tokenizer, outputs, row, positions=None):
    """The texts of one row of the outputs, the best first.

    Returns a list of dictionaries of `text`, `score`, `tokens`, a list of strings, and `alignment`, for each token a
    list of attention weights, one for each of the first `positions`; None is all.
    """
    results = []
    arrays = (outputs[key][row] for key in ("tokens", "lengths", "scores", "alignments"))
    for tokens, length, score, alignment in zip(*arrays, strict=True):
        if score > IMPOSSIBLE:
            results.append(
                {
                    "text": tokenizer.decode(tokens[:length]),
                    "score": float(score),
                    "tokens": [tokenizer.tokens[index] for index in tokens[:length]],
                    "alignment": alignment[:length, :positions].astype(float).round(4).tolist(),
                }
            )
    return results


def is_word(token):
    """Whether a token has a letter or a digit."""
    return any(unicodedata.category(character)[0] in "LN" for character in token)


class Runner:
    """An exported model with what surrounds it.

    Args:
        folder: The folder of the export.
    """

    def __init__(self, folder):
        folder = Path(folder)
        self.config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self.run = open_model(folder)
        self.tokenizers = {
            name: TOKENIZERS[self.config["tokenizer"]].read(folder / file, self.config["lowercase"])
            for name, file in self.config["tokenizers"].items()
        }

    def predict(self, arguments, **options):
        """Yields a dictionary for each line that `keras-recurrent APP predict --json` prints.

        Args:
            arguments: Texts, image files, pairs of an image file and a question, or prompts.
            **options: Of `generation`.

        Raises:
            InputError: If an argument is wrong.
        """
        return getattr(self, self.config["app"])(arguments, **options)

    def encode(self, name, text):
        """Returns `(ids, pieces)` of a text, cut to the length that the model takes.

        The ids are an array `(1, steps)` with the end token at the end; the pieces are a list without it.
        """
        try:
            text.encode()
        except UnicodeEncodeError as error:  # an argument with other bytes
            raise InputError(f"{text!a}: not UTF-8") from error
        tokenizer, longest = self.tokenizers[name], self.config["longest"]
        pieces = tokenizer.split(text)
        ids = tokenizer.ids_of(pieces)
        if UNKNOWN in ids:
            warn(f"{text}: has unknown words: {' '.join(tokenizer.unknown(text))}")
        if longest is not None and len(ids) >= longest:
            warn(f"{text}: cut to {longest - 1} tokens")
        last = None if longest is None else longest - 1
        return np.array([[*ids[:last], END]], "int32"), pieces[:last]

    def translation(self, texts):
        for text in texts:
            ids, _ = self.encode("source", text)
            outputs = self.run(ids=ids)
            tokens = [self.tokenizers["source"].tokens[index] for index in ids[0]]
            yield {
                "source_tokens": tokens,
                "translations": hypotheses(self.tokenizers["target"], outputs, 0, len(tokens)),
            }

    def captioning(self, files):
        for file in files:
            outputs = self.run(pixels=read_image(file, self.config["image_size"])[None])
            yield {"image": str(file), "captions": hypotheses(self.tokenizers["captions"], outputs, 0)}

    def vqa(self, pairs):
        for file, question in zip(pairs[::2], pairs[1::2], strict=True):
            if not question.strip():
                raise InputError("the question is empty")
            ids, _ = self.encode("questions", question)
            outputs = self.run(pixels=read_image(file, self.config["image_size"])[None], ids=ids)
            best = np.argsort(-outputs["probabilities"][0], kind="stable")[:TOP_ANSWERS]
            tokens = self.tokenizers["questions"].tokens
            known = [index for index in ids[0] if index > END and is_word(tokens[index])]
            yield {
                "image": str(file),
                "question": question,
                "answers": [
                    {"text": self.config["answers"][index], "probability": float(outputs["probabilities"][0][index])}
                    for index in best
                ],
                "is_unknown": not known,
                "looks": outputs["attention"][0].astype(float).round(4).tolist(),
            }

    def classification(self, inputs):
        is_series = self.config.get("inputs") == "series"
        labels = self.config["labels"]
        for text in inputs:
            if is_series:
                outputs = self.run(numbers=read_series(text, self.config["channels"])[None])
                named, tokens = {"series": text}, {}
            else:
                ids, pieces = self.encode("text", text)
                outputs = self.run(ids=ids)
                named, tokens = {"text": text}, {"tokens": [*pieces, SPECIAL[END]]}
            probabilities, weights = outputs["probabilities"][0], outputs["weights"][0]
            yield {
                **named,
                "label": labels[probabilities.argmax()],
                "probabilities": dict(zip(labels, probabilities.astype(float).tolist(), strict=True)),
                **tokens,
                "weights": weights.astype(float).round(4).tolist(),
            }

    def generation(self, prompts, label=None, samples=1, length=None, temperature=1.0, top_p=1.0, seed=0):
        """Continues prompts. The texts are those of `keras-recurrent generation generate` with the same seed."""
        labels, tokenizer = self.config["labels"], self.tokenizers["text"]
        if label is not None and label not in labels:
            raise InputError(f"no label {label!r}" + (f"; the labels are {', '.join(labels)}" if labels else ""))
        for prompt in prompts:
            if unknown := sorted(set(tokenizer.unknown(prompt))):
                raise InputError(f"the model has never seen the characters {''.join(unknown)!r}")
            ids = np.tile(np.array([tokenizer.encode(prompt)], "int32"), (samples, 1))
            if labels:
                generator = np.random.default_rng([1, seed])
                chosen = generator.choice(len(labels), samples, p=self.config["label_probabilities"])
                chosen = chosen if label is None else np.full(samples, labels.index(label))
                ids = np.concatenate([len(tokenizer.tokens) + chosen[:, None].astype("int32"), ids], axis=1)
            steps = ids.shape[1] + (length or self.config["max_length"])
            draws = np.random.default_rng(seed).random((samples, 1, steps + self.config["has_end"]), "float32")
            outputs = self.run(
                ids=np.pad(ids, [(0, 0), (0, 1)]),  # at least one position; 0 is free
                draws=draws,
                temperature=np.array(temperature, "float32"),
                top_p=np.array(top_p, "float32"),
            )
            for tokens in outputs["tokens"][:, :steps]:
                yield {"text": tokenizer.decode(index for index in tokens if index < len(tokenizer.tokens))}

    def forecasting(self, files):
        """Forecasts the steps after the last value of each series in CSV files.

        Yields the rows of the table that `keras-recurrent forecasting predict` prints, from columns to texts. A file
        may be gzipped, or an open one.
        """
        for file in files:
            answer = []
            with named_errors(getattr(file, "name", file)):
                with open_text(file) as opened:
                    series, wide_id = read_table(opened, self.config)
                id_column = self.config["id"] if wide_id is None else wide_id
                times = {name: np.array([*rows]) for name, rows in series.items()}
                steps = Steps([*times.values()], self.config["microseconds"])
                if not steps.is_as_in_training(self.config):
                    raise InputError("the times have another frequency than in training")
                for name, rows in series.items():
                    with named_errors(f"the series {name!r}" if name else "the series"):
                        forecast = [*self._forecast(times[name], [*rows.values()], steps)]
                    if wide_id is not None:
                        (target,) = self.config["target"]
                        forecast = [{f"F{step}": row[target] for step, row in enumerate(forecast, 1)}]
                    answer += [{**({} if name is None else {id_column: name}), **row} for row in forecast]
            yield from answer

    def _forecast(self, times, rows, steps):
        """The rows of the forecast of one series, given its times and rows."""
        config = self.config
        context, horizon = config["context"], config["horizon"]
        positions = steps.between(times[0], times)
        values = np.array([[row[target] for target in config["target"]] for row in rows])
        for target, column in zip(config["target"], values.T, strict=True):
            if np.isnan(column).all():
                raise InputError(f"no value in the column {target!r}")
        with_value = positions[~np.isnan(values).all(axis=1)]
        first, last = int(with_value[0]), int(with_value[-1])
        is_complete = [all(is_present(row[name]) for name in config["known"]) for row in rows]
        known_end = int(positions[is_complete].max(initial=last))
        if config["known"] and known_end < last + horizon:
            raise InputError(
                f"the columns known ahead end {known_end - last} steps after its last value; a forecast needs {horizon}"
            )
        by_step = dict(zip(positions.tolist(), rows, strict=True))
        window = np.arange(last + 1 - context, last + 1 + horizon)

        def columns(names, steps, end):
            return np.array([self._numbers(names, by_step.get(step), first <= step <= end) for step in steps.tolist()])

        times = steps.after(times[0], window)
        static = np.tile(self._numbers(config["static"], self._static(rows)), (len(window), 1))
        known = [columns(config["known"], window, known_end), static, calendar(times, config["calendar"])]
        past = columns(config["past"], window[:context], last)
        targets = columns(config["target"], window[:context], last)
        quantiles = np.stack(
            [self.quantiles(own[None], past=past[None], known=np.concatenate(known, 1)[None])[0] for own in targets.T]
        )
        order = sorted(enumerate(config["levels"]), key=lambda level: level[1] != 0.5)  # the median first
        for step, time in enumerate(shown(times[context:])):
            named = {
                target + ("" if level == 0.5 else f"-{level:g}"): f"{own[index, step]:.7g}"
                for target, own in zip(config["target"], quantiles, strict=True)
                for index, level in order
            }
            yield {config["time"]: time, **named}

    def _static(self, rows):
        """The row of the columns that are constant for a series."""
        constants = {}
        for name in self.config["static"]:
            values = {row[name] for row in rows if is_present(row[name])}
            if len(values) > 1:
                raise InputError(f"the static column {name!r} has several values")
            constants[name] = values.pop() if values else np.nan
        return constants

    def _numbers(self, names, row, is_inside=True):
        """The numbers of columns at a step: NaN outside of the series, and where one is missing.

        A text is a one for its category and a zero for each other.
        """
        numbers = []
        for name in names:
            value = np.nan if row is None else row[name]
            categories = self.config["categories"].get(name)
            own = [value] if categories is None else [float(value == category) for category in categories]
            numbers += own if is_inside else [np.nan] * len(own)
        return numbers

    def quantiles(self, values, **columns):
        """Quantiles `(batch, levels, horizon)` of the steps after `values` `(batch, context)`; NaN is a missing value.

        A model with columns also takes `past` `(batch, context, columns)`, or `known`
        `(batch, context + horizon, columns)`: the columns known ahead, the static ones, and the calendar.
        """
        is_observed = np.isfinite(values)
        inputs = {"values": np.where(is_observed, values, 0), "observed": is_observed}
        for name, means in self.config["means"].items():
            inputs[name] = np.where(np.isnan(columns[name]), means, columns[name])
        return self.run(**{name: array.astype("float32") for name, array in inputs.items()})["quantiles"]


@contextlib.contextmanager
def named_errors(name):
    """Puts a name before the message of an error about an input."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except (OSError, EOFError, zlib.error, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{name}: not a readable file of UTF-8 text ({error})") from error


def warn(message):
    print(f"runner.py: {message}", file=sys.stderr)


def positive(text):
    """A positive integer, for argparse."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def main():
    runner = Runner(Path(__file__).parent)
    app = runner.config["app"]
    names = {"captioning": "IMAGE", "vqa": "IMAGE_AND_QUESTION", "generation": "PROMPT", "series": "SERIES"}
    is_table = app == "forecasting"
    printed = "a table of forecasts as CSV" if is_table else "one line of JSON per answer"
    parser = argparse.ArgumentParser(description=f"Runs the model in this folder. Prints {printed}.")
    parser.add_argument(
        "arguments",
        nargs="*",
        metavar="TABLE" if is_table else names.get(runner.config.get("inputs", app), "TEXT"),
        help=f"none reads {'the table from' if is_table else 'lines of'} standard input",
    )
    if app == "generation":
        parser.add_argument("--label", help="label of the texts")
        parser.add_argument("--samples", type=positive, default=1, help="number of texts per prompt (default: 1)")
        parser.add_argument("--length", type=positive, help="maximum number of characters after the prompt")
        parser.add_argument("--temperature", type=float, default=1.0, help="0 takes the most probable character")
        parser.add_argument("--top-p", type=float, default=1.0, help="total probability of the characters to draw from")
        parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers")
    # A series that begins with a negative number looks like an option.
    is_series = runner.config.get("inputs") == "series" and not {"-h", "--help"} & {*sys.argv}
    options = vars(parser.parse_args([*(["--"] if is_series else []), *sys.argv[1:]]))
    arguments = options.pop("arguments")
    if not arguments and is_table:
        sys.stdin.reconfigure(encoding="utf-8-sig")
        arguments = [sys.stdin]
    elif not arguments:
        arguments = [""] if app == "generation" else [line.rstrip("\r\n") for line in sys.stdin]
    width = 2 if app == "vqa" else 1
    if len(arguments) % width:
        parser.error("give pairs of an image file and a question")
    status = 0
    table = csv.writer(sys.stdout, lineterminator="\n")
    header = None
    for first in range(0, len(arguments), width):
        try:
            for answer in runner.predict(arguments[first : first + width], **options):
                if not is_table:
                    print(json.dumps(answer, ensure_ascii=False), flush=True)
                    continue
                if header != [*answer]:
                    header = [*answer]
                    table.writerow(header)
                table.writerow(answer.values())
        except InputError as error:
            warn(error)
            status = 2
    return status


if __name__ == "__main__":
    sys.exit(main())
