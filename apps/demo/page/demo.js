// The page of `keras-recurrent demo`: one tab per task, with the forms and the answers of the page of an export. The
// models run in the server.

import { PAGES, clear, element, heading, openForm, required, show, warn } from "./web/page.js";
import { display } from "./web/runner.js";

const TABS = {
  translation: "Translate",
  captioning: "Caption",
  vqa: "Ask",
  classification: "Classify",
  forecasting: "Forecast",
  generation: "Write",
  inspection: "Look inside",
};

/** A model of the server, with the methods of `Runner`. */
class RemoteModel {
  constructor(name) {
    this.name = name;
  }

  async ask(task, form) {
    const request = { method: "POST", body: JSON.stringify(form) };
    const response = await fetch(`${task}/${this.name}`, request).catch(() => {
      throw new Error("The server does not answer. Is `keras-recurrent demo` running?");
    });
    const { answer, error, unknown } = await response.json();
    if (error) throw new Error(error);
    if (unknown.length) warn(`Unknown words: ${unknown.map(display).join(" ")}`);
    return answer;
  }

  translation(text) {
    return this.ask("translation", { text });
  }

  async captioning(file) {
    return this.ask("captioning", { picture: await base64(file) });
  }

  async vqa(file, question) {
    return this.ask("vqa", { picture: await base64(file), question });
  }

  classification(text) {
    return this.ask("classification", { text });
  }

  forecasting(table) {
    return this.ask("forecasting", { table });
  }

  generation(prompt, options) {
    return this.ask("generation", { prompt, ...options });
  }

  inspection(text) {
    return this.ask("inspection", { text });
  }
}

function base64(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.split(",")[1] ?? "");
    reader.onerror = () => reject(new Error(`${file.name} cannot be read`));
    reader.readAsDataURL(file);
  });
}

const INSPECTION = {
  ask: (model, { text }) => model.inspection(required(text)),
  show({ label, tokens, gates, norms, gradient }) {
    show("output", label);
    const words = tokens.map(display);
    const charts = Object.entries(gates).map(([name, values]) => gateChart(name, words, values));
    const rows = { ...Object.fromEntries(Object.entries(norms).map(([name, values]) => [`norm of ${name}`, values])), gradient };
    show("details", heading("State and gradient after each word, in percent of the largest"), stepTable(words, rows), ...charts);
  },
};

/** A heat map of a gate: one column per word, one row per unit; dark is 0 or -1, light is 1. */
function gateChart(name, words, values) {
  const [steps, units] = [values.length, values[0].length];
  const canvas = element("canvas", {
    class: "heat",
    role: "img",
    width: steps,
    height: units,
    style: `height: ${Math.max(6, Math.min(16, units / 8))}rem`,
    "aria-label": `${name}: ${units} units over ${steps} steps; mean ${words.map((word, step) => `${word} ${mean(values[step]).toFixed(2)}`).join(", ")}`,
  });
  const lowest = Math.min(0, ...values.flat());
  const pixels = new ImageData(steps, units);
  values.forEach((row, step) =>
    row.forEach((value, unit) => {
      const light = 255 * ((value - lowest) / (1 - lowest));
      pixels.data.set([light, light, 255 - (255 - light) / 2, 255], 4 * (unit * steps + step));
    }),
  );
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  const labels = element("div", { class: "steps", "aria-hidden": true }, ...words.map((word) => element("span", {}, word)));
  return element("figure", { style: "margin: 0" }, heading(`${name}: one row per unit, from ${lowest < 0 ? -1 : 0} (blue) to 1 (white)`), canvas, labels);
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function stepTable(words, rows) {
  const header = element("tr", {}, element("td"), ...words.map((word) => element("th", { scope: "col" }, word)));
  const body = Object.entries(rows).map(([name, values]) => {
    const highest = Math.max(...values) || 1;
    const cells = values.map((value) => element("td", { style: `--weight: ${value / highest}` }, (100 * value / highest).toFixed(0)));
    return element("tr", {}, element("th", { scope: "row" }, name), ...cells);
  });
  const label = "Norms of the states and the gradient after each word";
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": label }, element("table", {}, header, ...body));
}

/** Shows the tabs, and the first of them. */
export async function main() {
  try {
    const [models, templates] = await Promise.all([
      fetch("models").then((response) => response.json()),
      fetch("web/index.html").then(async (response) => new DOMParser().parseFromString(await response.text(), "text/html")),
    ]);
    const forms = new Map(); // a form keeps what is entered while another is shown
    const open = (task, model) => {
      const key = `${task}/${model.name}`;
      if (!forms.has(key)) forms.set(key, makePanel(task, model, models, templates, open));
      clear();
      document.getElementById("panel").replaceChildren(...forms.get(key));
    };
    showTabs(models, open);
  } catch (error) {
    show("warning");
    show("error", `The page cannot be loaded: ${error.message}`);
  }
}

function showTabs(models, open) {
  const list = document.getElementById("tabs");
  for (const [task, title] of Object.entries(TABS)) {
    const able = models.filter(({ tasks }) => tasks.includes(task));
    if (!able.length) continue;
    const tab = element("button", { role: "tab", id: `tab-${task}`, "aria-controls": "panel" }, title);
    tab.addEventListener("click", () => {
      for (const other of list.children) {
        other.setAttribute("aria-selected", other === tab);
        other.tabIndex = other === tab ? 0 : -1;
      }
      document.getElementById("panel").setAttribute("aria-labelledby", tab.id);
      open(task, able[0]);
    });
    list.append(tab);
  }
  list.addEventListener("keydown", (event) => {
    const move = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!move) return;
    const tabs = [...list.children];
    const next = tabs.at((tabs.indexOf(document.activeElement) + move) % tabs.length);
    next.focus();
    next.click();
  });
  list.firstChild.click();
}

/** The content of a tab: the choice of a model, examples, and the form. */
function makePanel(task, model, models, templates, open) {
  const template = document.getElementById(task) ?? templates.getElementById(task);
  const form = document.importNode(template.content, true).querySelector("form");
  form.querySelector(".note")?.remove(); // about the random numbers of a browser
  openForm(form, model.labels, task === "inspection" ? INSPECTION : PAGES[task], new RemoteModel(model.name));
  if (task === "forecasting") form.elements.namedItem("table").value = model.examples[0]?.table ?? "";
  const able = models.filter(({ tasks }) => tasks.includes(task));
  const choice = element("select", {}, ...able.map(({ name }) => new Option(name, name, false, name === model.name)));
  choice.addEventListener("change", () => {
    const chosen = able.find(({ name }) => name === choice.value);
    choice.value = model.name; // of this form, when it is shown again
    open(task, chosen);
  });
  const examples = model.examples.map((example) => exampleButton(model, form, example));
  return [
    element("p", {}, element("label", {}, "Model ", choice)),
    element("p", { class: "note" }, model.summary),
    element("div", { class: "buttons examples", role: "group", "aria-label": "Examples" }, ...examples),
    form,
  ];
}

/** A button that fills the form with an example and submits it. */
function exampleButton(model, form, { picture, title: name, ...fields }) {
  const url = picture && `examples/${model.name}/${picture}`;
  const text = name ?? fields.text ?? fields.question ?? fields.prompt ?? "";
  const title = text || fields.label || "";
  const content = url ? [element("img", { src: url, alt: title ? "" : `Example ${picture}` }), title] : [title || "(no prompt)"];
  const button = element("button", { type: "button" }, ...content);
  button.addEventListener("click", async () => {
    for (const [name, value] of Object.entries(fields)) {
      const control = form.elements.namedItem(name);
      if (control) control.value = value;
    }
    if (!url) return form.requestSubmit();
    const blob = await fetch(url).then((response) => response.blob());
    const files = new DataTransfer();
    files.items.add(new File([blob], picture, { type: blob.type }));
    const input = form.elements.namedItem("picture");
    input.files = files.files;
    input.dispatchEvent(new Event("change")); // submits the form
  });
  return button;
}
