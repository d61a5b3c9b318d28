// The page of an exported model: the form of its application, and its answers.

import { describe as describeForecast, fanChart, number, partsOf } from "./chart.js";
import { InputError, Runner, clean, display } from "./runner.js";

const MAX_CHARTS = 12;

/** What an application reads from the form's values, and how it shows the answer. */
export const PAGES = {
  translation: {
    ask: (runner, { text }) => runner.translation(required(text)),
    show({ source_tokens, translations }) {
      const table = element("div");
      const choice = buttons(translations.map(describe), (index) => {
        show("output", translations[index].text);
        table.replaceChildren(...alignmentTable(source_tokens, translations[index]));
      });
      show("details", heading("Translations and their scores"), choice, table);
      choice.firstChild?.click();
    },
  },
  captioning: {
    ask: (runner, { picture }) => runner.captioning(chosen(picture)),
    show({ captions }) {
      const words = element("div");
      const choice = buttons(captions.map(describe), (index) => {
        const { text, tokens, alignment } = captions[index];
        show("output", text);
        words.replaceChildren(...attentionButtons(tokens.map(display), alignment));
      });
      show("details", heading("Captions and their scores"), choice, words);
      choice.firstChild?.click();
    },
  },
  vqa: {
    ask: (runner, { picture, question }) => runner.vqa(chosen(picture), required(question)),
    show({ answers, is_unknown, looks }) {
      if (is_unknown) warn("The model knows no word of the question.");
      show("output", answers[0].text);
      const names = looks.map((_, hop) => `look ${hop + 1}`);
      show("details", bars(answers.map(Object.values)), ...attentionButtons(names, looks));
    },
  },
  classification: {
    ask: (runner, { text }) => runner.classification(required(text)),
    show({ label, probabilities, tokens, weights }) {
      show("output", label);
      const highest = Math.max(...weights);
      const words = tokens.map((token, index) => {
        if (!weights.length) return element("span", {}, display(token));
        const style = `--weight: ${weights[index] / highest}`;
        return element("span", { style }, display(token), element("small", {}, percent(weights[index])));
      });
      const title = weights.length ? "Attention to the words" : "Words";
      show("details", bars(Object.entries(probabilities)), heading(title), element("p", { class: "words" }, ...words));
    },
  },
  series: {
    ask: (runner, { series }) => runner.classification(required(series)),
    show({ label, probabilities }) {
      show("output", label);
      show("details", bars(Object.entries(probabilities)));
    },
  },
  forecasting: {
    ask: (runner, { table }) => runner.forecasting(required(table)),
    show({ series, csv, report }) {
      if (report) warn(`The table has ${report}.`);
      const drawn = series.slice(0, MAX_CHARTS);
      if (drawn.length < series.length) warn(`The first ${MAX_CHARTS} of ${series.length} series are shown; the file has all.`);
      show("output", ...drawn.map((forecast) => element("p", {}, describeForecast(forecast))));
      const href = URL.createObjectURL(new Blob([csv], { type: "text/csv" }));
      const file = element("a", { href, download: "forecasts.csv" }, "Save the forecasts as CSV");
      show("details", element("p", {}, file), ...drawn.flatMap(forecastChart));
    },
  },
  generation: {
    ask(runner, { prompt, label, samples, length, temperature, top_p, seed }) {
      return runner.generation(prompt, {
        label: label || null,
        samples: Number(samples),
        length: Number(length) || null,
        temperature: Number(temperature),
        top_p: Number(top_p),
        seed: Number(seed),
      });
    },
    show: (texts) => show("output", ...texts.map(({ text }) => element("p", {}, text))),
  },
};

/** Opens the model in the folder of the page, shows the page of its application, and answers what is entered. */
export async function main() {
  try {
    const runner = await Runner.open(".", warn);
    const { app, inputs = app, labels } = runner.config;
    document.querySelector("main").prepend(document.getElementById(inputs).content);
    const form = document.querySelector("form");
    document.title = document.querySelector("h1").textContent;
    openForm(form, labels, PAGES[inputs], runner);
    form.querySelector("textarea, input").focus();
  } catch (error) {
    show("warning");
    show("error", firstLine(error));
  }
}

/**
 * Answers what is entered into a form, one answer after the other.
 *
 * `page` has `ask(runner, values)`, which resolves to an answer, and `show(answer)`; `labels` are those of the model.
 */
export function openForm(form, labels, page, runner) {
  showLabels(form, labels ?? []);
  acceptPictures(form);
  acceptTables(form);
  let last = Promise.resolve();
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    last = last.then(() => answer(form, page, runner));
  });
  form.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  });
  show("warning");
}

/** Empties what an answer fills. */
export function clear() {
  for (const id of ["error", "warning", "output", "details"]) show(id);
  drawAttention([]);
}

async function answer(form, page, runner) {
  clear();
  document.body.setAttribute("aria-busy", "true");
  await new Promise((resolve) => setTimeout(resolve)); // the browser draws the page
  try {
    page.show(await page.ask(runner, Object.fromEntries(new FormData(form))));
  } catch (error) {
    show("error", firstLine(error));
  }
  document.body.removeAttribute("aria-busy");
}

function firstLine(error) {
  return String(error.message ?? error).split("\n")[0]; // the runtime throws numbers, too
}

export function show(id, ...content) {
  document.getElementById(id).replaceChildren(...content);
}

export function warn(message) {
  document.getElementById("warning").append(`${message} `);
}

export function required(text) {
  if (!clean(text, false)) throw new InputError("The text is empty.");
  return text;
}

function chosen(picture) {
  if (!picture.name) throw new InputError("Choose a picture.");
  return picture;
}

function showLabels(form, labels) {
  const choice = form.elements.namedItem("label");
  if (!choice) return;
  choice.append(...labels.map((label) => new Option(label)));
  choice.parentElement.hidden = !labels.length;
}

/** Puts files that are dropped or pasted into a form's input of files. */
function acceptFiles(form, input) {
  const accept = (event, files) => {
    if (!files.length || !form.isConnected) return; // the demo keeps the forms that it does not show
    event.preventDefault();
    input.files = files;
    input.dispatchEvent(new Event("change"));
  };
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => accept(event, event.dataTransfer.files));
  document.addEventListener("paste", (event) => accept(event, event.clipboardData.files));
}

/** Shows the picture that is chosen, dropped or pasted, and asks for an answer unless a text is missing. */
function acceptPictures(form) {
  const input = form.elements.namedItem("picture");
  if (!input) return;
  acceptFiles(form, input);
  input.addEventListener("change", () => {
    const picture = form.querySelector(".picture");
    picture.hidden = !input.files.length;
    if (picture.hidden) return;
    const image = picture.querySelector("img");
    URL.revokeObjectURL(image.src);
    image.src = URL.createObjectURL(input.files[0]);
    const question = form.elements.namedItem("question");
    if (!question || clean(question.value, false)) form.requestSubmit();
  });
}

/** Shows the table in the file that is chosen, dropped or pasted, and asks for an answer. */
function acceptTables(form) {
  const [input, table] = ["file", "table"].map((name) => form.elements.namedItem(name));
  if (!input) return;
  acceptFiles(form, input);
  input.addEventListener("change", async () => {
    if (!input.files.length) return;
    table.value = await input.files[0].text();
    form.requestSubmit();
  });
}

/** Darkens the picture where a grid of weights is low. No weights show the picture. */
function drawAttention(weights) {
  const canvas = document.querySelector(".picture canvas");
  if (!canvas) return;
  const side = Math.floor(Math.sqrt(weights.length)) || 1;
  const highest = Math.max(...weights);
  canvas.width = canvas.height = side;
  const shade = new ImageData(side, side);
  weights.forEach((weight, cell) => (shade.data[4 * cell + 3] = 200 * (1 - weight / highest)));
  canvas.getContext("2d").putImageData(shade, 0, 0);
}

/** Buttons that draw the attention of words or looks over the picture, if there is attention to a grid. */
function attentionButtons(names, attention) {
  if (!attention.some((weights) => weights.length > 1 && Math.sqrt(weights.length) % 1 === 0)) return [];
  const choice = buttons(names, (index) => drawAttention(attention[index]));
  return [heading("Attention to the picture"), choice];
}

function alignmentTable(sourceTokens, { tokens, alignment }) {
  if (!alignment.some((weights) => weights.length)) return [];
  const cell = (weight) => element("td", { style: `--weight: ${weight}` }, percent(weight));
  const rows = tokens.map((token, step) =>
    element("tr", {}, element("th", { scope: "row" }, display(token)), ...alignment[step].map(cell)),
  );
  const columns = sourceTokens.map((token) => element("th", { scope: "col" }, element("span", {}, display(token))));
  const title = "Attention of each word (row) to the words of the text (column), in percent";
  const table = element("table", {}, element("tr", {}, element("td"), ...columns), ...rows);
  return [heading(title), element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, table)];
}

/** The chart of a forecast, its legend, and its numbers as a table. */
function forecastChart(forecast) {
  const { median, intervals } = partsOf(forecast);
  const width = Math.max(320, document.querySelector("main").clientWidth - 32);
  const names = [["history", "history"], ["median", "median"], ...intervals.map(({ label }, index) => [`interval-${index}`, label])];
  const legend = names.map(([name, label]) => element("span", { class: `key ${name}` }, label));
  const columns = [median.label, ...intervals.flatMap(({ label }) => [`${label}, from`, "to"])];
  const values = [median.values, ...intervals.flatMap(({ low, high }) => [low, high])];
  const head = element("tr", {}, ...["time", ...columns].map((label) => element("th", { scope: "col" }, label)));
  const rows = forecast.times.slice(forecast.history.length).map((time, step) =>
    element("tr", {}, element("th", { scope: "row" }, time), ...values.map((column) => element("td", {}, number(column[step])))),
  );
  const title = `Forecast${forecast.id && ` of ${forecast.id}`}`;
  const table = element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": title }, element("table", {}, head, ...rows));
  return [
    heading(title),
    fanChart(forecast, width),
    element("p", { class: "legend", "aria-hidden": true }, ...legend),
    element("details", {}, element("summary", {}, "The numbers"), table),
  ];
}

/** A list of names with probabilities. */
function bars(entries) {
  const items = entries.map(([name, probability]) => {
    const meter = element("meter", { value: probability, "aria-hidden": true });
    return element("li", {}, meter, ` ${percent(probability, 1)} % ${name}`);
  });
  return element("ul", { class: "bars" }, ...items);
}

/** Buttons of which one is pressed. */
function buttons(labels, action) {
  const group = element("div", { class: "buttons", role: "group" });
  labels.forEach((label, index) => {
    const button = element("button", { type: "button", "aria-pressed": false }, label);
    button.addEventListener("click", () => {
      for (const other of group.children) other.setAttribute("aria-pressed", other === button);
      action(index);
    });
    group.append(button);
  });
  return group;
}

function describe({ text, score }) {
  return `${text || "(nothing)"} ${score.toFixed(2)}`;
}

function percent(fraction, digits = 0) {
  return (100 * fraction).toFixed(digits);
}

export function heading(text) {
  return element("h2", {}, text);
}

export function element(name, attributes = {}, ...content) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...content);
  return node;
}
