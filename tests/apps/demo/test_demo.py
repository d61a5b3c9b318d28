"""The page of the demo: what the server answers, and a browser that clicks through it."""

import base64
import http.client
import json
import re
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from keras_recurrent.apps import cli, load
from keras_recurrent.apps.demo import answers, server
from keras_recurrent.apps.shared.models import packaged
from keras_recurrent.apps.shared.text.writing import Sampling

from ..data import write

MODELS = Path(write.__file__).parent
APPS = ["captioning", "classification", "forecasting", "generation", "translation", "vqa"]
PICTURE = {"picture": "scene.png"}
EXAMPLES = {
    "captioning": PICTURE,
    "classification": {"text": "cat cat"},
    "forecasting": {"title": "two shops", "table": write.series()},
    "generation": {"prompt": "", "temperature": 0},
    "translation": {"text": "ein Hund"},
    "vqa": {**PICTURE, "question": "is it red ?"},
}

MANY_SERIES = "unique_id,ds,y,promotion,kind\n" + "".join(
    f"{index},2024-01-{day:02},5,0,small\n" for index in range(13) for day in (1, 2)
)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """A server of tiny models of all apps, one of each, named as its app with an x."""
    root = tmp_path_factory.mktemp("package")
    for app in APPS:
        folder = root / f"{app}-x"
        shutil.copytree(MODELS / app, folder)
        (folder / "README.md").write_text(f"# {app}-x\n\nShows {app}.\n")
        (folder / "examples.json").write_text(json.dumps([EXAMPLES[app]]))
        (folder / "examples").mkdir()
        (folder / "examples" / "scene.png").write_bytes(write.image())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(packaged, "FOLDER", root)
        demo = server.DemoServer(0)
        threading.Thread(target=demo.serve_forever, daemon=True).start()
        yield demo
        demo.shutdown()
        demo.server_close()


def request(demo, method, path, body=None, **headers):
    """Returns the status and the content of a response."""
    connection = http.client.HTTPConnection("127.0.0.1", demo.server_port, timeout=60)
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    content = response.read()
    connection.close()
    return response.status, content


def post(demo, path, form):
    status, content = request(demo, "POST", path, json.dumps(form))
    return status, json.loads(content)


def test_the_answers_are_those_of_the_python_objects(demo):
    models = {app: load(MODELS / app) for app in APPS}
    picture = write.image()
    encoded = {"picture": base64.b64encode(picture).decode()}
    text, question = "ein Hund", EXAMPLES["vqa"]["question"]
    sampled = models["generation"].generate("", sampling=Sampling(2, 0.5, seed=3))
    expected = {
        "translation": ({"text": text}, models["translation"].explain([text])[0]),
        "captioning": (encoded, {"captions": models["captioning"].explain([picture])[0]}),
        "vqa": ({**encoded, "question": question}, models["vqa"].explain([picture], [question])[0]),
        "classification": ({"text": "cat cat"}, models["classification"].explain(["cat cat"])[0]),
        "generation": ({"samples": 2, "temperature": 0.5, "seed": 3}, [{"text": text} for text in sampled]),
    }
    for app, (form, answer) in expected.items():
        status, response = post(demo, f"/{app}/{app}-x", form)
        assert (status, response["answer"]) == (200, json.loads(json.dumps(answer))), app


def test_a_forecast_is_that_of_the_python_object(demo, tmp_path):
    header, *rows = write.series().splitlines()
    rows[19] = "a,2024-01-20,,1,small"
    table = "\n".join([header, *rows])
    (tmp_path / "table.csv").write_text(table)
    forecaster = load(MODELS / "forecasting")
    panel, _ = forecaster.read(str(tmp_path / "table.csv"))
    status, response = post(demo, "/forecasting/forecasting-x", {"table": table})
    assert status == 200
    assert response["answer"]["report"] == "missing values: 1"
    drawn = response["answer"]["series"]
    assert response["answer"]["csv"].splitlines()[0].startswith("unique_id,ds,y,y-0.025")
    assert len(response["answer"]["csv"].splitlines()) == 1 + 2 * forecaster.config.horizon
    assert [series["id"] for series in drawn] == ["a", "bb"]
    assert drawn[0]["history"] == [4, 5, None, 7]
    assert drawn[0]["times"] == [f"2024-01-{day}" for day in range(18, 24)]
    for series, forecast in zip(drawn, forecaster.forecast(panel), strict=True):
        assert series["levels"] == [*forecaster.config.levels]
        assert series["quantiles"] == pytest.approx(forecast.quantiles, rel=1e-6)


def test_gates_norms_and_gradients(demo):
    status, response = post(demo, "/inspection/classification-x", {"text": "cat cat"})
    answer = response["answer"]
    assert status == 200
    steps, units = 3, load(MODELS / "classification").config.units
    assert len(answer["tokens"]) == len(answer["gradient"]) == steps  # with the end token
    assert all(len(norms) == steps for norms in answer["norms"].values())
    assert answer["gates"]
    assert all([len(gate), len(gate[0])] == [steps, units] for gate in answer["gates"].values())
    assert sum(answer["gradient"]) > 0


def test_unknown_words_are_named(demo):
    assert post(demo, "/classification/classification-x", {"text": "katze zebra"})[1]["unknown"] == ["zebra"]
    form = {"picture": base64.b64encode(write.image()).decode(), "question": "is zebra is"}
    assert post(demo, "/vqa/vqa-x", form)[1]["unknown"] == ["zebra"]
    assert post(demo, "/generation/generation-x", {})[1]["unknown"] == []


@pytest.mark.parametrize(
    ("path", "form", "error"),
    [
        ("/translation/translation-x", {"text": " "}, "the text is empty"),
        ("/captioning/captioning-x", {"picture": "AAAA"}, "image"),
        ("/captioning/captioning-x", {"picture": "no base64!"}, "base64"),
        ("/captioning/captioning-x", {}, "the picture is empty"),
        ("/vqa/vqa-x", {"picture": base64.b64encode(write.image()).decode()}, "the question is empty"),
        ("/forecasting/forecasting-x", {}, "the table is empty"),
        ("/forecasting/forecasting-x", {"table": "unique_id,ds,y\na,2024-01-01,3\n"}, "the table: no column 'kind'"),
        ("/forecasting/forecasting-x", {"table": write.series().replace(",1,", ",x,", 1)}, "the table, line "),
        ("/forecasting/forecasting-x", {"table": write.series().rsplit("\n", 2)[0]}, "the columns known ahead"),
        ("/forecasting/forecasting-x", {"table": MANY_SERIES}, "at most 12 series"),
        ("/generation/generation-x", {"temperature": -1}, "temperature"),
        ("/generation/generation-x", {"samples": 21}, "at most 20 texts"),
        ("/generation/generation-x", {"prompt": "\u0416"}, "characters"),
        ("/translation/vqa-x", {"text": "ein Hund"}, "vqa-x is no model for translation"),
        ("/translation/unknown", {"text": "ein Hund"}, "there is no model 'unknown'"),
        ("/translation/translation-x", {"words": "ein Hund"}, "unknown option"),
        ("/translation/translation-x", [], "not an object"),
    ],
)
def test_a_form_that_cannot_be_used_is_one_line(demo, path, form, error):
    status, response = post(demo, path, form)
    assert status == 400
    assert error in response["error"]
    assert "\n" not in response["error"]


def test_only_this_machine_and_only_files_of_the_page_are_served(demo):
    assert request(demo, "GET", "/", Host="evil.example")[0] == 403
    assert request(demo, "POST", "/translation/translation-x", "{}", Host="evil.example")[0] == 403
    assert request(demo, "POST", "/translation/translation-x", "", **{"Content-Length": str(2**30)})[0] == 413
    assert request(demo, "POST", "/nothing/translation-x", "{}")[0] == 403
    for size in ("-1", "many"):
        assert request(demo, "POST", "/translation/translation-x", "", **{"Content-Length": size})[0] == 403
    assert request(demo, "POST", "/translation/translation-x", "{")[0] == 400
    for path in ("/nothing", "/web/../browser.py", "/examples/vqa-x/../config.yaml", "/examples/../vqa-x/config.yaml"):
        assert request(demo, "GET", path)[0] == 404
    assert request(demo, "GET", "/examples/vqa-x/scene.png")[1] == write.image()


def test_a_port_in_use_and_no_models_are_one_line(demo, capsys, monkeypatch, tmp_path):
    assert cli.main(["demo", "--port", str(demo.server_port), "--no-browser"]) == 2
    assert "--port chooses another" in capsys.readouterr().err
    assert cli.main(["demo", "--port", "70000"]) == 2
    monkeypatch.setattr(packaged, "FOLDER", tmp_path)
    assert cli.main(["demo", "--port", "0", "--no-browser"]) == 2
    assert "has no models" in capsys.readouterr().err


def test_each_app_has_an_answer():
    assert sorted(answers.ANSWERS) == sorted([*APPS, "inspection"])


@pytest.fixture
def page(chromium, demo):
    """The page, which may request nothing from other servers and raise no exception."""
    page = chromium.new_page()
    page.set_default_timeout(30_000)
    failures = []
    local = (demo.url, "blob:", "data:")
    page.on("request", lambda request: None if request.url.startswith(local) else failures.append(request.url))
    page.on("pageerror", lambda error: failures.append(error))
    page.goto(demo.url)
    page.wait_for_selector("[role=tab]")
    yield page
    page.close()
    assert not failures


TABS = ["translation", "captioning", "vqa", "classification", "forecasting", "generation", "inspection"]


def settle(page):
    """Waits until the page has answered."""
    page.wait_for_function("!document.body.hasAttribute('aria-busy')")
    page.wait_for_function("['output', 'error'].some((id) => document.getElementById(id).hasChildNodes())")


@pytest.mark.deploy
def test_every_tab_answers_its_example(page):
    for task in TABS:
        page.click(f"#tab-{task}")
        assert page.get_attribute(f"#tab-{task}", "aria-selected") == "true"
        page.click(".examples button")
        settle(page)
        assert page.text_content("#error") == ""
        assert page.evaluate("document.getElementById('details').hasChildNodes()") == (task != "generation")
    assert page.locator("canvas.heat").count() > 0
    assert page.locator("canvas.heat").first.get_attribute("aria-label")


@pytest.mark.deploy
def test_every_tab_says_what_is_wrong(page):
    for task in TABS[:4]:
        page.click(f"#tab-{task}")
        page.click("form [type=submit]")
        page.wait_for_function("document.querySelector('#error').textContent")
    page.click("#tab-generation")
    page.fill("[name=prompt]", "\u0416")
    page.click("form [type=submit]")
    page.wait_for_function("document.querySelector('#error').textContent.includes('characters')")


@pytest.mark.deploy
def test_a_forecast_is_drawn_with_its_intervals(page, demo):
    page.click("#tab-forecasting")
    assert page.input_value("[name=table]") == write.series()  # the example is there before it is chosen
    page.fill("[name=table]", write.series().replace("a,2024-01-20,6,", "a,2024-01-20,,"))
    page.click("form [type=submit]")
    settle(page)
    assert "missing values: 1" in page.text_content("#warning")
    answer = post(demo, "/forecasting/forecasting-x", {"table": page.input_value("[name=table]")})[1]["answer"]
    charts = page.locator("svg.fan").all()
    for chart, series in zip(charts, answer["series"], strict=True):
        label = chart.get_attribute("aria-label")
        assert label.startswith("4 values to 2024-01-21, and their forecast.")
        assert f"{series['id']}, 2 steps to 2024-01-23: median" in label
        heights = {part: path_heights(chart, part) for part in ("interval-0", "interval-1", "median", "history")}
        _, first, second, *_ = heights["history"]  # the first point of a line is there twice
        start, following, *_ = series["history"]
        median = series["quantiles"][series["levels"].index(0.5)]
        expected = [first + (second - first) * (y - start) / (following - start) for y in median]
        assert heights["median"][1:] == pytest.approx(expected, abs=0.3)
        outer, inner = heights["interval-0"], heights["interval-1"]  # the upper edge, and the lower one backwards
        inside = [outer[:2], inner[:2], heights["median"][1:], inner[:1:-1], outer[:1:-1]]
        assert inside == [[*step] for step in np.sort(inside, axis=0)]  # y-coordinates grow downwards
    assert charts[0].locator(".history").get_attribute("d").count("M") == 2  # a gap
    page.focus("summary")
    page.keyboard.press("Enter")
    cell = page.locator("details[open] td").first.text_content()
    assert float(cell) == pytest.approx(answer["series"][0]["quantiles"][3][0], rel=5e-3)


def path_heights(chart, part):
    """The y-coordinates of the points of a path."""
    return [float(y) for y in re.findall(r",([-\d.]+)", chart.locator(f".{part}").get_attribute("d"))]


@pytest.mark.deploy
def test_unknown_words_of_a_question_are_shown(page):
    page.click("#tab-vqa")
    page.click(".examples button")
    settle(page)
    page.fill("[name=question]", "is zebra is")
    page.click("form [type=submit]")
    page.wait_for_function("document.querySelector('#warning').textContent.trim() == 'Unknown words: zebra'")


@pytest.mark.deploy
def test_keys_alone(page):
    page.focus("#tab-translation")
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("#tab-inspection", "aria-selected") == "true"
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("#tab-translation", "aria-selected") == "true"
    page.focus("[name=text]")
    page.keyboard.type("ein Hund")
    page.keyboard.press("Control+Enter")
    settle(page)
    page.click("#tab-vqa")
    page.click("#tab-translation")
    assert page.input_value("[name=text]") == "ein Hund"  # a tab keeps what was entered
    unlabelled = "[...document.querySelectorAll('input, textarea, select')].filter((field) => !field.labels.length)"
    for task in TABS:
        page.click(f"#tab-{task}")
        assert page.evaluate(f"{unlabelled}.length") == 0


@pytest.mark.deploy
def test_a_server_that_has_ended_is_one_line(page, demo):
    page.route("**/translation/*", lambda route: route.abort())
    page.click(".examples button")
    page.wait_for_function("document.querySelector('#error').textContent.includes('does not answer')")
