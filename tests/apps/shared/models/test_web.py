"""The page of an export for browsers answers in Chromium as the Python object does."""

import base64
import csv
import functools
import gzip
import http.server
import io
import json
import re
import shutil
import subprocess
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.classification.config import Config
from keras_recurrent.apps.classification.series import SeriesClassifier
from keras_recurrent.apps.forecasting.writing import as_json, long_rows
from keras_recurrent.apps.shared.models import browser, folders, runner
from keras_recurrent.apps.shared.models.runtimes import KINDS, write_runtime
from keras_recurrent.apps.shared.text.tokenizers import TOKENIZERS, LiteralCharacterTokenizer
from keras_recurrent.apps.shared.text.writing import Sampling
from keras_recurrent.datasets.columns import Arrays, Categories, Columns
from keras_recurrent.datasets.labelled_series import parse_series
from keras_recurrent.datasets.series import calendar_features, read_series
from keras_recurrent.datasets.series.steps import frequency_of
from PIL import Image

from ...data import write
from ..saved_model.test_tokenizers import TEXTS
from .test_runner import TIMES, random_table, read_in_training
from .test_runtimes import MODELS, arguments_and_answers, assert_same

pytestmark = pytest.mark.deploy
APPS = ["translation", "captioning", "vqa", "classification", "generation"]


@pytest.fixture(scope="module")
def runtime(pytestconfig):
    """The folder of ONNX Runtime Web, which pytest's cache keeps."""
    name = f"onnxruntime-web-{browser.RUNTIME_VERSION}"
    folder = pytestconfig.cache.mkdir(name)
    if not (folder / "package").exists():
        if not shutil.which("npm"):
            pytest.skip("npm is not installed")
        package = f"onnxruntime-web@{browser.RUNTIME_VERSION}"
        result = subprocess.run(["npm", "pack", package, "--pack-destination", folder], capture_output=True, text=True)
        assert "ETARGET" not in result.stderr, f"there is no {package}"
        if result.returncode:
            pytest.skip(f"npm cannot download {package}")
        with tarfile.open(folder / f"{name}.tgz") as archive:
            archive.extractall(folder, filter="data")
        (folder / f"{name}.tgz").unlink()
    return folder / "package"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder and the address of a file server for it."""
    folder = tmp_path_factory.mktemp("site")

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield folder, f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()


@pytest.fixture(scope="module")
def export(site, runtime):
    """`export(model)`: the name of the folder of a model's export; each model is exported once."""

    @functools.cache
    def export(model, *options):
        name = "-".join([model.name, *options])
        arguments = [str(model), "--format", "web", "--runtime", str(runtime), "--to", str(site[0] / name), *options]
        app = folders.read_config(model)["app"]
        assert cli.main([app, "export", *arguments]) == 0
        return name

    return export


@pytest.fixture
def page(chromium, site):
    """An empty page. Nothing is requested from other servers, and no exception is left to the browser."""
    page = chromium.new_page()
    page.set_default_timeout(20_000)
    failures = []
    local = (site[1], "blob:", "data:")
    page.on("request", lambda request: None if request.url.startswith(local) else failures.append(request.url))
    page.on("pageerror", lambda error: failures.append(error))
    yield page
    page.close()
    assert not failures


@pytest.fixture
def open_page(page, site, export):
    """`open_page(model)`: the page of a model's export when it is ready."""

    def open_page(model, *options):
        page.goto(f"{site[1]}{export(model, *options)}/")
        page.wait_for_selector("form")
        return page

    return open_page


@pytest.fixture(scope="module")
def picture(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "noise.png"
    path.write_bytes(write.image())
    return str(path)


def ask(page, picture=None, **texts):
    """Enters a picture and texts, asks, and returns the answer that the page shows."""
    if picture is not None:
        page.set_input_files("[type=file]", picture)
    for name, text in texts.items():
        page.fill(f"[name={name}]", text)
    page.click("[type=submit]")
    return answer(page)


def answer(page):
    """The answer that the page shows, or an empty string."""
    page.wait_for_function("!document.body.hasAttribute('aria-busy')")
    return page.text_content("output")


def line(page, kind):
    """The error or the warning that the page shows."""
    text = page.text_content(f"#{kind}").strip()
    assert "\n" not in text
    return text


SCRIPT = """async ([app, files, texts, options]) => {
    const { Runner } = await import("./runner.js");
    globalThis.runner ??= await Runner.open(".", () => {});
    const bytes = (content) => Uint8Array.from(atob(content), (character) => character.charCodeAt());
    const pictures = files.map(([name, content]) => new File([bytes(content)], name));
    return JSON.stringify(await runner[app](...pictures, ...texts, options));
}"""


def run(page, app, *arguments, **options):
    """What the script's `Runner` answers, as JSON."""
    files = [[path, encoded(Path(path).read_bytes())] for path in arguments if Path(path).suffix == ".png"]
    texts = [text for text in arguments if Path(text).suffix != ".png"]
    return page.evaluate(SCRIPT, [app, files, texts, options])


def encoded(content):
    return base64.b64encode(content).decode()


@pytest.mark.parametrize("app", ["translation", "captioning", "vqa", "classification"])
def test_the_answers_are_those_of_the_python_object(app, open_page, picture):
    page = open_page(MODELS / app)
    arguments, answers = arguments_and_answers(app, picture)
    width = 2 if app == "vqa" else 1
    questions = [arguments[first : first + width] for first in range(0, len(arguments), width)]
    assert_same([run(page, app, *question) for question in questions], answers)
    (title,) = page.locator("h1, form").all_text_contents()[:1]
    assert page.title() == title and page.locator("form").count() == 1
    shown = {
        "translation": lambda text: ask(page, text=text),
        "classification": lambda text: ask(page, text=text),
        "captioning": lambda picture: ask(page, picture),
        "vqa": lambda picture, question: ask(page, picture, question=question),
    }[app]
    for question, expected in zip(questions, answers, strict=True):
        if "" not in question:
            assert shown(*question) == best(expected)
            check_attention(page, expected)


def check_attention(page, answer):
    """Checks what the page draws: darker cells of a picture, or words with their shares."""
    if "image" in answer:
        weights = np.array(answer["captions"][0]["alignment"][0] if "captions" in answer else answer["looks"][0])
        page.locator("#details .buttons").last.locator("button").first.click()
        script = "[...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
        shade = page.evaluate(f"{{ const canvas = document.querySelector('canvas'); {script} }}")[3::4]
        np.testing.assert_allclose(shade, 200 * (1 - weights / weights.max()), atol=1)
    elif "weights" in answer:
        shares = [int(share) / 100 for share in page.locator(".words small").all_text_contents()]
        np.testing.assert_allclose(shares, answer["weights"], atol=0.0051)


def best(answer):
    """The text that a page shows of an answer."""
    hypotheses = answer.get("translations") or answer.get("captions") or answer.get("answers")
    return answer["label"] if hypotheses is None else hypotheses[0]["text"]


def test_forecasts_are_those_of_the_python_object(open_page, tmp_path):
    header, *rows = write.series().splitlines()
    rows[19], rows[18] = "a,2024-01-20,,1,small", "a,2024-01-19,5,,small"  # missing numbers
    del rows[42]  # of the other series, a step without a row
    rows[10], rows[11] = rows[11], rows[10]
    path = tmp_path / "table.csv"
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")
    model = load(MODELS / "forecasting")
    panel, _ = model.read(str(path))
    forecasts = model.forecast(panel)
    page = open_page(MODELS / "forecasting")
    answer = json.loads(run(page, "forecasting", path.read_text(encoding="utf-8")))
    assert answer["report"] == "steps without a row: 1, missing values: 1, missing numbers in other columns: 1"
    assert answer["report"] in str(panel.report)
    for series, expected in zip(answer["series"], as_json(panel, forecasts, model.config), strict=True):
        quantiles = expected.pop("quantiles")
        assert quantiles == [pytest.approx(own, rel=1e-4, abs=1e-4) for own in series.pop("quantiles")]
        assert series == expected
    rows = [*map(list, csv.reader(io.StringIO(answer["csv"])))]
    for row, expected in zip(rows, long_rows(forecasts, model.config), strict=True):
        assert row[:2] == expected[:2] and (row == expected if row is rows[0] else True)
        if row is not rows[0]:
            assert [*map(float, row[2:])] == pytest.approx([*map(float, expected[2:])], rel=1e-4, abs=1e-4)
    page.set_input_files("[name=file]", path)
    page.wait_for_selector("svg.fan")
    assert page.locator("output p").count() == page.locator("svg.fan").count() == 2
    assert page.locator("svg.fan").first.locator(".interval-0, .interval-1").count() == 2
    assert answer["report"] in line(page, "warning")
    with page.expect_download() as download:
        page.click("text=Save the forecasts as CSV")
    assert download.value.suggested_filename == "forecasts.csv"
    assert Path(download.value.path()).read_text(encoding="utf-8") == answer["csv"]
    for table, message in (
        (header, "no rows below the header"),
        (header.replace("kind", "sort") + "\n", "no column 'kind'; the columns are unique_id, ds, y, promotion, sort"),
        (f"{header}\na,2024-01-01,x,0,small\n", "line 2, column 'y': 'x' is not a number"),
        (f"{header}\na,2024-01-01,1e19,0,small\n", "line 2, column 'y': '1e19' is too large"),
        (f"{header}\na,1,1,0,small\na,2,2,0,small\n", "The times have another frequency than in training"),
        (f"{header}\na,2024-02-30,1,0,small\n", "'2024-02-30' is neither a time such as 2024-01-31 12:00 nor"),
        (f"{header}\na,2024-01-01,1,0,small\na,2024-01-01,2,0,small\n", "line 3: another row of the time 2024-01-01"),
        (
            f"{header}\na,2024-01-01,1,0,small\na,2024-01-02,2,0,small\n",
            "the series 'a': the columns known ahead end 0",
        ),
        (f"{header}\na,2024-01-01,1,0,small\na,2024-01-02,2,0,large\na,2024-01-04,,0,\n", "has several values"),
    ):
        assert ask(page, table=table) == ""
        assert message in line(page, "error")


def test_a_table_with_a_row_for_each_series(open_page):
    """The model is one that reads no columns."""
    config = {
        **{"target": ["y"], "static": [], "past": [], "known": [], "categories": {}, "id": "unique_id", "time": "ds"},
        **{
            "calendar": [],
            "means": {},
            "context": 4,
            "horizon": 2,
            "levels": [0.1, 0.5],
            "microseconds": None,
            "step": None,
        },
    }
    script = """async ([text, config]) => {
        const { Runner } = await import("./runner.js");
        const inputs = [];
        const run = async ({ values, observed }) => {
            inputs.push([[...values[1]], [...observed[1]]]);
            return { quantiles: { data: Float32Array.of(1, 2, 3, 4) } };
        };
        return [await Object.assign(new Runner(), { config, run }).forecasting(text), inputs];
    }"""
    text = 'series,V1,V2,V3\nH1,5,,6\n"H,2",,7,\n'
    answer, inputs = open_page(MODELS / "forecasting").evaluate(script, [text, config])
    assert inputs == [[[0, 5, 0, 6], [0, 1, 0, 1]], [[0, 0, 0, 7], [0, 0, 0, 1]]]
    assert answer["csv"] == 'series,F1,F2\nH1,3,4\n"H,2",3,4\n'
    assert [(own["id"], own["times"], own["history"]) for own in answer["series"]] == [
        ("H1", ["1", "2", "3", "4", "5"], [5, None, 6]),
        ("H,2", ["2", "3", "4"], [7]),
    ]


@pytest.mark.parametrize("kind", TIMES)
def test_times_of_a_table_are_those_of_training(kind, open_page, tmp_path):
    rows = [f"{time},{index}" for index, time in enumerate(TIMES[kind])]
    rows[:2] = rows[1::-1]  # out of order
    text = "\n".join(["ds,y", *rows])
    (tmp_path / "table.csv").write_text(text)
    panel = read_series(tmp_path / "table.csv")
    window = np.arange(panel.lengths[0] - 10, panel.lengths[0] + 5)
    expected = panel.times(np.zeros(1, int), window[:1], len(window))[0]
    features, names = calendar_features(expected, panel.frequency)
    config = {"target": ["y"], "static": [], "past": [], "known": [], "categories": {}, "id": "unique_id", "time": "ds"}
    is_integer = panel.frequency is None
    step = None if is_integer else frequency_of(panel.frequency).length
    even = is_integer or frequency_of(panel.frequency).delta is not None
    script = """async ([text, window, cycles, config, step, even]) => {
        const { Steps, calendar, readTable } = await import("./tables.js");
        const { series, isInteger } = readTable(text, config);
        const times = series[0].rows.map((row) => row.time);
        const steps = new Steps([times], isInteger, null);
        const after = window.map((step) => steps.after(times[0], step));
        const count = steps.between(times[0], times.at(-1)) + 1;
        return [count, after, steps.shown(after), after.map((time) => calendar(time, cycles)), steps.cycles,
            [[1, even], [2, even], [1, !even]].map(([factor, has_even_steps]) =>
                steps.isAsInTraining({ step: step && factor * step, has_even_steps, calendar: cycles }))];
    }"""
    page = open_page(MODELS / "forecasting")
    cycles = [name.removesuffix("_sin") for name in names[::2]]
    count, after, shown, waves, own, as_in_training = page.evaluate(
        script, [text, window.tolist(), cycles, config, step, even]
    )
    assert (count, own, as_in_training) == (panel.lengths[0], cycles, [True, is_integer, is_integer])
    np.testing.assert_array_equal(after, expected if is_integer else expected.astype("M8[ms]").astype("int64"))
    assert shown == runner.shown(expected)
    np.testing.assert_allclose(waves, features, atol=1e-6)


def test_windows_of_a_table_are_those_of_training(open_page, tmp_path):
    script = """async ([text, config]) => {
        const { Steps, readTable, windowOf } = await import("./tables.js");
        const { series, isInteger } = readTable(text, config);
        const steps = new Steps(series.map(({ rows }) => rows.map(({ time }) => time)), isInteger, null);
        const windows = series.map(({ rows }) => windowOf(rows, steps, config));
        return windows.map((own) => ({ ...own, times: steps.shown(own.times.slice(config.context)) }));
    }"""
    page = open_page(MODELS / "forecasting")
    for seed in range(20):
        path = tmp_path / f"table-{seed}.csv"
        expected, times, config, panel = read_in_training(random_table(seed, path))
        windows = page.evaluate(script, [path.read_text(encoding="utf-8"), config])
        assert [own["times"] for own in windows] == [runner.shown(own) for own in times]
        for name in ("gaps", "missing", "blank"):
            assert sum(own[name] for own in windows) == getattr(panel.report, name), name
        values = np.array([target for own in windows for target in own["targets"]])
        np.testing.assert_array_equal(np.isfinite(values), expected["observed"])
        np.testing.assert_allclose(np.nan_to_num(values), expected["values"], atol=1e-6)
        for name, means in config["means"].items():
            columns = np.repeat([own[name] for own in windows], len(config["target"]), axis=0)
            np.testing.assert_allclose(np.where(np.isnan(columns), means, columns), expected[name], atol=1e-6)


def test_generation_at_temperature_0_is_that_of_the_python_object(open_page):
    page = open_page(MODELS / "generation")
    model = load(MODELS / "generation")
    for prompt in ("ab", "b", ""):
        (expected,) = model.generate(prompt, sampling=Sampling(temperature=0.0))
        assert ask(page, prompt=prompt, temperature="0") == expected
    texts = [ask(page, prompt="a", temperature="2", samples="6", seed=seed) for seed in ("1", "2", "1")]
    assert texts[0] == texts[2] != texts[1]
    assert page.locator("output p").count() == 6
    assert ask(page, prompt="é") == ""
    assert line(page, "error") == 'The model has never seen the characters "é".'
    page.fill("[name=samples]", "0")
    assert not page.evaluate("document.querySelector('form').checkValidity()")


def test_a_trained_translator_works_offline_and_is_small(saved, data, open_page, site, export):
    page = open_page(saved)
    texts = (data / "test.de").read_text(encoding="utf-8").splitlines()
    answers = load(saved).explain(texts)
    assert_same([run(page, "translation", text) for text in texts], answers)
    assert len({best(answer) for answer in answers}) > 40, "it has learned nothing"
    for text, expected in [*zip(texts, answers, strict=True)][::8]:
        assert ask(page, text=text) == best(expected)
        rows = page.locator("table tr").all()
        (translation, *_), tokens = expected["translations"], expected["source_tokens"]
        assert rows[0].locator("th").all_text_contents() == [shown(token) for token in tokens]
        words = [row.locator("th").text_content() for row in rows[1:]]
        assert words == [shown(token) for token in translation["tokens"]]
        shares = [[int(cell) / 100 for cell in row.locator("td").all_text_contents()] for row in rows[1:]]
        np.testing.assert_allclose(shares, translation["alignment"], atol=0.0051)
        page.click("[aria-pressed=false]")
        assert page.text_content("output") == expected["translations"][1]["text"]
    files = [path.stat().st_size for path in (site[0] / export(saved)).rglob("*") if path.is_file()]
    assert sum(files) <= 15e6


def shown(token):
    return token.replace(runner.JOINER, "")


def test_weights_in_int8_answer_as_in_python(saved, data, open_page, tmp_path):
    page = open_page(saved, "--quantize", "int8")
    write_runtime(tmp_path / "onnx", load(saved), "onnx", "int8")
    texts = (data / "test.de").read_text(encoding="utf-8").splitlines()[::6]
    answers = list(runner.Runner(tmp_path / "onnx").predict(texts))
    assert_same([run(page, "translation", text) for text in texts], answers)


def test_mistakes_are_one_line_and_the_page_goes_on(open_page, picture, tmp_path):
    page = open_page(MODELS / "translation")
    assert ask(page, text=" \n") == ""
    assert line(page, "error") == "The text is empty."
    assert ask(page, text="ein " * 2000) == ""
    assert line(page, "error") == "The text has 2001 tokens; 1000 are the limit."
    ask(page, text="ein Zebra.")
    assert line(page, "warning") == "Unknown words: Zebra"
    assert not line(page, "error")
    page = open_page(MODELS / "classification")
    assert ask(page, text="ein Hund " * 200)
    assert line(page, "warning") == "The text is cut to 199 tokens."
    page = open_page(MODELS / "vqa")
    assert ask(page, question="Is it red?") == ""
    assert line(page, "error") == "Choose a picture."
    (tmp_path / "broken.png").write_bytes(Path(picture).read_bytes()[:100])
    assert ask(page, tmp_path / "broken.png") == ""
    assert line(page, "error").startswith("broken.png: not a readable image")
    assert ask(page, picture, question="") == ""
    assert line(page, "error") == "The text is empty."
    assert ask(page, picture, question="???")
    assert line(page, "warning").endswith("The model knows no word of the question.")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("runtime/ort.wasm.min.js", "ONNX Runtime Web cannot be loaded from "),
        ("runtime/ort-wasm-simd-threaded.wasm.gz", ""),
        ("model.onnx.gz", ""),
        ("target.vocabulary.txt.gz", ""),
    ],
)
def test_a_missing_file_is_one_line(file, message, page, site, export):
    address = f"{site[1]}{export(MODELS / 'translation')}/"
    page.route(f"**/{file}", lambda route: route.fulfill(status=404))
    page.goto(address)
    page.wait_for_selector("#error:not(:empty)")
    assert re.match(f"{message}{address}{file}", line(page, "error"))
    assert not page.locator("form").count()


def test_a_server_may_declare_gzip_as_the_encoding(page, site, export):
    def respond(route):
        """Responds with the content that the script gets from such a server: the browser decompresses it."""
        file = site[0] / route.request.url.removeprefix(site[1])
        route.fulfill(body=gzip.decompress(file.read_bytes()))

    page.route("**/*.gz", respond)
    page.goto(f"{site[1]}{export(MODELS / 'classification')}/")
    page.wait_for_selector("form")
    assert ask(page, text="ein Hund")


def test_without_a_copy_the_runtime_has_a_pinned_address(chromium, site, runtime):
    model, folder = MODELS / "classification", site[0] / "public"
    assert cli.main(["classification", "export", str(model), "--format", "web", "--to", str(folder)]) == 0
    assert not (folder / "runtime").exists()
    addresses = json.loads((folder / "config.json").read_text())["runtime"].values()
    package = json.loads((runtime / "package.json").read_text())
    prefix = f"https://cdn.jsdelivr.net/npm/{package['name']}@{package['version']}/"
    requests = []

    def respond(route):
        """Responds as the public server does, from the package."""
        requests.append(route.request.url)
        file = runtime / route.request.url.removeprefix(prefix)
        kind = "application/wasm" if file.suffix == ".wasm" else "application/javascript"
        route.fulfill(path=file, content_type=kind, headers={"access-control-allow-origin": "*"})

    page = chromium.new_page()
    page.route(f"{prefix}**", respond)
    page.goto(f"{site[1]}public/")
    page.wait_for_selector("form")
    assert ask(page, text="ein Hund") == load(model).classify(["ein Hund"])[0].label
    page.close()
    assert set(requests) == set(addresses)


def test_keys_alone_and_a_screen_reader(open_page):
    page = open_page(MODELS / "translation")
    assert page.evaluate("document.activeElement.id") == "text"
    page.keyboard.type("ein Hund")
    page.keyboard.press("Control+Enter")
    answer(page)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    pressed = page.locator("[aria-pressed=true]").text_content()
    assert pressed == page.evaluate("document.activeElement.textContent")
    assert pressed.startswith(page.text_content("output"))
    assert page.get_attribute("output", "aria-live") == "polite"
    assert page.get_attribute("#error", "role") == "alert"
    for app in APPS:
        page = open_page(MODELS / app)
        unlabelled = "[...document.querySelectorAll('input, textarea, select')].filter((field) => !field.labels.length)"
        assert page.evaluate(f"{unlabelled}.length") == 0


def test_a_dropped_and_a_pasted_picture_are_captioned(open_page, picture):
    page = open_page(MODELS / "captioning")
    expected = best(json.loads(run(page, "captioning", picture)))
    for event, transfer in [("DragEvent", "dataTransfer"), ("ClipboardEvent", "clipboardData")]:
        page.evaluate("document.querySelector('#details').replaceChildren()")
        page.evaluate(
            """([content, event, transfer]) => {
                const files = new DataTransfer();
                files.items.add(new File([Uint8Array.from(atob(content), (c) => c.charCodeAt())], "noise.png"));
                const name = event === "DragEvent" ? "drop" : "paste";
                document.dispatchEvent(new window[event](name, { [transfer]: files, bubbles: true, cancelable: true }));
            }""",
            [encoded(Path(picture).read_bytes()), event, transfer],
        )
        page.wait_for_selector("#details .buttons")
        assert answer(page) == expected
        assert page.is_visible(".picture img")


@pytest.fixture(scope="module")
def module(chromium, site):
    """A page that has the exports of the script as `module`."""
    for file in browser.PAGE.glob("*.js"):
        shutil.copy(file, site[0])
    (site[0] / "empty.html").write_text("<!doctype html>")
    page = chromium.new_page()
    page.goto(f"{site[1]}empty.html")
    page.evaluate("import('./runner.js').then((module) => { globalThis.module = module; })")
    yield page
    page.close()


@pytest.fixture(scope="module", params=[*TOKENIZERS.values(), LiteralCharacterTokenizer])
def tokenizers(request, tmp_path_factory, module):
    """The tokenizers of `runner.py`, and their names on the page."""
    texts = ["Straße, (né) ½ ﬁ! 각 Σς", "a-b e.f İx ▁", "aa ab ßß éé"] * 3
    kind, pairs = KINDS[request.param], {}
    for lowercase in (False, True):
        tokenizer = request.param.fit(texts, 60, lowercase)
        path = tmp_path_factory.mktemp("tokenizer") / f"text.{tokenizer.file}"
        tokenizer.save(path)
        name = f"{kind}{lowercase}"
        module.evaluate(
            """([name, kind, content, lowercase]) => {
                const bytes = Uint8Array.from(atob(content), (c) => c.charCodeAt());
                globalThis[name] = new module.TOKENIZERS[kind](bytes.buffer, lowercase);
            }""",
            [name, kind, encoded(path.read_bytes()), lowercase],
        )
        pairs[name] = runner.TOKENIZERS[kind].read(path, lowercase)
    return pairs


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=TEXTS)
def test_tokenizers_are_those_of_runner_py(tokenizers, module, texts):
    for name, tokenizer in tokenizers.items():
        script = f"""(texts) => texts.map((text) => {{
            const ids = {name}.encode(text);
            return [ids, {name}.split(text), {name}.unknown(text), {name}.decode(ids)];
        }})"""
        expected = []
        for text in texts:
            ids = tokenizer.encode(text)
            expected.append([ids, tokenizer.split(text), tokenizer.unknown(text), tokenizer.decode(ids)])
        assert module.evaluate(script, texts) == expected


def pictures():
    """Encoded pictures of many kinds."""
    noise = np.random.default_rng(0)
    smooth = Image.fromarray(noise.integers(0, 256, (6, 8, 4), "uint8")).resize((80, 60), Image.Resampling.BICUBIC)
    rgb, exif = smooth.convert("RGB"), Image.Exif()
    exif[0x0112] = 6  # rotated by a quarter
    transparent = Image.fromarray(noise.integers(0, 256, (31, 45, 4), "uint8"))
    yield "png", rgb, {}
    yield "png", transparent, {}
    yield "png", smooth.convert("L"), {}
    yield "png", smooth.convert("LA"), {}
    yield "png", rgb.convert("P"), {}
    yield "png", Image.fromarray(noise.integers(0, 2**16, (20, 30), "uint16")), {}
    yield "gif", rgb.convert("P"), {}
    yield "bmp", rgb, {}
    yield "webp", transparent, {"lossless": True, "exact": True}
    yield "jpeg", rgb, {"quality": 95, "subsampling": 0}
    yield "jpeg", rgb, {"exif": exif}
    yield "jpeg", rgb.convert("L"), {}


@pytest.mark.parametrize(("kind", "image", "options"), [*pictures()])
@pytest.mark.parametrize("size", [16, 100])
def test_pictures_are_those_of_runner_py(kind, image, options, size, module, tmp_path):
    content = io.BytesIO()
    image.save(content, kind, **options)
    (tmp_path / "picture").write_bytes(content.getvalue())
    script = """async ([content, size]) => {
        const file = new File([Uint8Array.from(atob(content), (c) => c.charCodeAt())], "picture");
        return [...await module.readImage(file, size)];
    }"""
    pixels = np.reshape(module.evaluate(script, [encoded(content.getvalue()), size]), (size, size, 3))
    difference = np.abs(pixels - runner.read_image(tmp_path / "picture", size).astype(int))
    # A value just between two integers may be rounded to the other one.
    assert difference.max() <= 1 and np.mean(difference > 0) < 0.005


@pytest.mark.parametrize("shape", [(30, 20), (7, 50), (16, 16), (1, 3)])
def test_pictures_are_resized_as_by_runner_py(shape, module):
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), "uint8")
    script = "([pixels, height, width]) => [...module.resize(new Uint8Array(pixels), height, width, 16)]"
    resized = np.reshape(module.evaluate(script, [pixels.ravel().tolist(), *shape]), (16, 16, 3))
    difference = np.abs(resized - runner.resize(pixels, 16).astype(int))
    # A value just between two integers may be rounded to the other one.
    assert difference.max() <= 1 and np.mean(difference != 0) < 0.005


@pytest.fixture(scope="module")
def series_model(tmp_path_factory):
    """An untrained classifier of series of two channels."""
    folder = tmp_path_factory.mktemp("series")
    arrays = Arrays(np.random.default_rng(0).normal(size=(4, 6, 2)).astype("float32"))
    examples = {split: Columns(arrays, Categories("abab")) for split in ("train", "validation")}
    config = Config(
        inputs="series", data="x", convolutions=1, filters=4, pool_convolutions=True, units=4, segment=2, members=2
    )
    classifier, _ = SeriesClassifier.of_examples(config, examples, ["a", "b"])
    classifier.save_assets(folder)
    classifier.model.save(folder / "model.keras")
    return folder


def test_series(series_model, open_page):
    page = open_page(series_model)
    text = "0.5, 1,-2,3,1:?,2,,1e-1,?"
    (expected,) = load(series_model).explain([parse_series(text)])
    assert_same([run(page, "classification", text)], [{"series": text, **expected}])
    assert ask(page, series=text) == expected["label"]
    for wrong, message in (
        ("1,2", "The series has 1 channels; the model reads 2."),
        ("1,2:3", "The channels differ in length."),
        ("1,x:2,3", '"x" is not a number.'),
        ("?:?", "There is no number."),
    ):
        assert ask(page, series=wrong) == ""
        assert line(page, "error") == message
