// Runs an exported model in a browser, with ONNX Runtime Web.
//
// page.js shows the page of the model's application. Another page can use this file as a module:
//
//     import { Runner } from "./runner.js";
//     const runner = await Runner.open("folder/of/the/export/");
//     const answer = await runner.translation("Ein Mann schläft.");
//
// Names and results are those of runner.py, which the other exports contain.

import { InputError } from "./errors.js";
import { Steps, csvRow, readTable, windowOf } from "./tables.js";

export { InputError };

const [PADDING, UNKNOWN, START, END] = [0, 1, 2, 3];
const SPECIAL = ["", "[UNK]", "<start>", "<end>"];
const JOINER = "￭"; // marks the side of a punctuation token that had no space
const IMPOSSIBLE = -1e7; // scores of hypotheses that do not exist are below
const TOP_ANSWERS = 5;
const MAX_SERIES = 1000; // of a table
const MAX_TOKENS = 1000; // of a text; the time and the memory of a search grow with it

// Tokenizers: texts to token ids and back.

/** Unicode's form NFC, single spaces, and lower case if the model was trained so. */
export function clean(text, lowercase) {
  text = text.normalize("NFC").replace(/[\s\x00\x1c-\x1f\x85\ufeff]+/g, " ").replace(/^ | $/g, "");
  return lowercase ? text.toLowerCase() : text;
}

/** A token without the marks of joined punctuation and of spaces. */
export function display(token) {
  return token.replaceAll(JOINER, "").replaceAll("▁", "") || " ";
}

/** Words and punctuation marks, one vocabulary entry per line of the file. */
class Words {
  /** `content` is the file's, an ArrayBuffer. */
  constructor(content, lowercase) {
    this.tokens = [...SPECIAL, ...this.entries(content)];
    this.lowercase = lowercase;
    this.ids = new Map(this.tokens.map((token, index) => [token, index]).slice(START));
  }

  entries(content) {
    return decodeText(content).split(/\r\n?|\n/).slice(0, -1);
  }

  /** The tokens of a text. A punctuation mark has a joiner on each side that had no space. */
  split(text) {
    return clean(text, this.lowercase)
      .replaceAll(JOINER, "")
      .replace(/[\p{P}\p{S}]/gu, "\x01$&\x02")
      .replaceAll("\x02\x01", ` ${JOINER}`)
      .replace(/^\x01/, "")
      .replace(/\x02$/, "")
      .replaceAll("\x02 ", " ")
      .replaceAll(" \x01", " ")
      .replaceAll("\x01", ` ${JOINER}`)
      .replaceAll("\x02", `${JOINER} `)
      .split(" ")
      .filter((token) => token);
  }

  encode(text) {
    return this.split(text).map((token) => this.ids.get(token) ?? UNKNOWN);
  }

  unknown(text) {
    return this.split(text).filter((token) => !this.ids.has(token));
  }

  decode(ids) {
    const tokens = ids.filter((index) => ![PADDING, START, END].includes(index)).map((index) => this.tokens[index]);
    return this.join(tokens);
  }

  join(tokens) {
    return tokens.join(" ").replace(new RegExp(` ?${JOINER} ?`, "g"), "");
  }
}

/** Characters, spaces included. */
class Characters extends Words {
  split(text) {
    return [...clean(text, this.lowercase)];
  }

  join(tokens) {
    return tokens.join("");
  }
}

/** Characters as they are, line breaks included, in a file of JSON. */
class LiteralCharacters extends Characters {
  entries(content) {
    return JSON.parse(decodeText(content));
  }

  split(text) {
    text = text.replaceAll("\0", "");
    return [...(this.lowercase ? text.toLowerCase() : text)];
  }
}

/**
 * Byte-pair encoding from the model file of SentencePiece.
 *
 * The file is a message of Protocol Buffers: field 1 has the pieces with their scores, field 3 the normalizer.
 */
class Subwords extends Words {
  constructor(content, lowercase) {
    super(content, lowercase);
    this.tokens = [];
    this.scores = new Map();
    let characters = new Uint8Array(4); // no trie
    for (const [field, value] of fields(new Uint8Array(content))) {
      if (field === 1) {
        const piece = new Map(fields(value));
        const token = decodeText(piece.get(1));
        // A normal piece is neither unknown nor a control symbol.
        if ((piece.get(3) ?? 1) === 1) this.scores.set(token, view(piece.get(2)).getFloat32(0, true));
        this.tokens.push(token);
      } else if (field === 3) {
        const map = new Map(fields(value)).get(2);
        if (map?.length) characters = map;
      }
    }
    this.ids = new Map(this.tokens.map((token, index) => [token, index]));
    const units = view(characters);
    const end = 4 + units.getUint32(0, true);
    this.trie = [];
    for (let position = 4; position < end; position += 4) this.trie.push(units.getUint32(position, true));
    this.replacements = characters.subarray(end);
  }

  entries() {
    return [];
  }

  /** The pieces of a text: the best pair of neighbours is merged until no pair is a piece. */
  split(text) {
    text = this.normalize(clean(text, this.lowercase)).replace(/ +/g, " ").replace(/^ | $/g, "");
    const pieces = text ? [..."▁" + text.replaceAll(" ", "▁")] : [];
    for (;;) {
      let [best, bestScore] = [-1, -Infinity];
      for (let index = 0; index + 1 < pieces.length; index++) {
        const score = this.scores.get(pieces[index] + pieces[index + 1]) ?? -Infinity;
        if (score > bestScore) [best, bestScore] = [index, score];
      }
      if (best < 0) return this.mergeUnknown(pieces);
      pieces.splice(best, 2, pieces[best] + pieces[best + 1]);
    }
  }

  /** Joins each run of unknown pieces to one. */
  mergeUnknown(pieces) {
    const merged = [];
    let previousIsKnown = true;
    for (const piece of pieces) {
      const isKnown = this.ids.has(piece);
      if (isKnown || previousIsKnown) merged.push(piece);
      else merged[merged.length - 1] += piece;
      previousIsKnown = isKnown;
    }
    return merged;
  }

  /** Replaces the longest sequences of bytes that the normalizer's trie has. */
  normalize(text) {
    if (!this.trie.length) return text;
    const content = new TextEncoder().encode(text);
    const result = [];
    for (let position = 0; position < content.length; ) {
      let [length, replacement] = this.longestMatch(content.subarray(position));
      if (!length) {
        const first = content[position];
        length = first < 0x80 ? 1 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4; // of the character in UTF-8
        replacement = content.subarray(position, position + length);
      }
      result.push(...replacement);
      position += length;
    }
    return decodeText(new Uint8Array(result));
  }

  /** The length of the longest key at the beginning, and its replacement; the trie is a double array. */
  longestMatch(content) {
    let node = offset(this.trie[0]);
    let [length, replacement] = [0, []];
    for (let count = 1; count <= content.length; count++) {
      const byte = content[count - 1];
      node ^= byte;
      const unit = this.trie[node];
      if ((unit & ((1 << 31) | 0xff)) !== byte) break;
      node ^= offset(unit);
      if ((unit >>> 8) & 1) {
        const start = this.trie[node] & 0x7fffffff;
        [length, replacement] = [count, this.replacements.subarray(start, this.replacements.indexOf(0, start))];
      }
    }
    return [length, replacement];
  }

  decode(ids) {
    const pieces = ids
      .filter((index) => index > END || index === UNKNOWN)
      .map((index) => (index === UNKNOWN ? " ⁇ " : this.tokens[index]));
    return pieces.join("").replaceAll("▁", " ").replace(/^ /, "");
  }
}

function offset(unit) {
  return (unit >>> 10) << ((unit & (1 << 9)) >> 6);
}

/** Yields `[number, value]` of a message of Protocol Buffers; numbers are integers, other values Uint8Arrays. */
function* fields(content) {
  let position = 0;
  const number = () => {
    for (let result = 0, scale = 1; ; scale *= 128) {
      const byte = content[position++];
      result += (byte & 127) * scale;
      if (byte < 128) return result;
    }
  };
  while (position < content.length) {
    const key = number();
    const [field, kind] = [key >>> 3, key & 7];
    if (kind === 0) {
      yield [field, number()];
    } else {
      const length = { 1: 8, 5: 4 }[kind] ?? number();
      yield [field, content.subarray(position, position + length)];
      position += length;
    }
  }
}

function view(content) {
  return new DataView(content.buffer, content.byteOffset, content.byteLength);
}

function decodeText(content) {
  return new TextDecoder("utf-8", { ignoreBOM: true }).decode(content);
}

export const TOKENIZERS = { words: Words, characters: Characters, literal: LiteralCharacters, subwords: Subwords };

// Images.

/** Reads an image file, a Blob, as uint8 RGB `size * size * 3`: rotated by its EXIF orientation, blended with white. */
export async function readImage(file, size) {
  const options = { imageOrientation: "from-image", premultiplyAlpha: "none", colorSpaceConversion: "none" };
  try {
    const bitmap = await createImageBitmap(file, options);
    const { width, height } = bitmap;
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    bitmap.close();
    return resize(blend(context.getImageData(0, 0, width, height).data), height, width, size);
  } catch (error) {
    throw new InputError(`${file.name ?? "image"}: not a readable image (${error.message})`);
  }
}

/** Blends RGBA pixels with white. */
function blend(rgba) {
  const pixels = new Uint8Array((rgba.length / 4) * 3);
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    const opacity = rgba[from + 3];
    const white = 255 * (255 - opacity) + 127;
    for (let channel = 0; channel < 3; channel++) {
      pixels[to++] = Math.floor((rgba[from + channel] * opacity + white) / 255);
    }
  }
  return pixels;
}

/** Bilinear interpolation with antialiasing of RGB pixels to a square, as `tf.image.resize` computes it. */
export function resize(pixels, height, width, size) {
  if (height === size && width === size) return pixels;
  const rows = resizeAxis(pixels, 1, height, width * 3, size); // (size, width, 3)
  const squares = resizeAxis(rows, size, width, 3, size); // (size, size, 3)
  return Uint8Array.from(squares, (value) => Math.min(255, Math.max(0, roundHalfToEven(value))));
}

/** Resizes the middle axis of `(outer, before, inner)`. */
function resizeAxis(values, outer, before, inner, after) {
  const result = new Float32Array(outer * after * inner);
  const sums = new Float64Array(inner);
  resizeWeights(before, after).forEach(({ first, weights }, index) => {
    for (let block = 0; block < outer; block++) {
      sums.fill(0);
      weights.forEach((weight, tap) => {
        const start = (block * before + first + tap) * inner;
        for (let position = 0; position < inner; position++) sums[position] += weight * values[start + position];
      });
      result.set(sums, (block * after + index) * inner);
    }
  });
  return result;
}

/** For each new pixel, the weights of the old ones: a triangle around its centre, at least one old pixel wide. */
function resizeWeights(before, after) {
  const scale = before / after;
  const radius = Math.max(scale, 1);
  return Array.from({ length: after }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - radius));
    const last = Math.min(before, Math.ceil(centre + radius));
    const weights = [];
    for (let old = first; old < last; old++) weights.push(Math.max(0, 1 - Math.abs(old + 0.5 - centre) / radius));
    const total = weights.reduce((sum, weight) => sum + weight);
    return { first, weights: weights.map((weight) => Math.fround(weight / total)) };
  });
}

function roundHalfToEven(value) {
  const floor = Math.floor(value);
  return value - floor === 0.5 ? floor + (floor % 2) : Math.round(value);
}

// Random numbers.

/** A function that draws from [0, 1). Marsaglia's xorshift: the numbers are not those of numpy with the same seed. */
function generator(seed) {
  let state = Math.imul(seed + 1, 0x9e3779b1) || 1;
  const draw = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 8) / 2 ** 24; // below 1 as float32, too
  };
  for (let skipped = 0; skipped < 8; skipped++) draw();
  return draw;
}

// The model.

/** Resolves to the content of a file, an ArrayBuffer. A gzip file is decompressed. */
async function fetchFile(url) {
  const response = await fetch(url).catch(() => ({ statusText: "no connection" }));
  if (!response.ok) throw new Error(`${url} cannot be read (${response.statusText || response.status})`);
  const content = await response.arrayBuffer();
  // The content decides, not the name: with some file servers, the browser has decompressed the file already.
  if (content.byteLength < 2 || view(new Uint8Array(content)).getUint16(0) !== 0x1f8b) return content;
  return new Response(new Blob([content]).stream().pipeThrough(new DecompressionStream("gzip"))).arrayBuffer();
}

/** Returns a function from `[type, values, shape]`, by name, to the model's outputs, which have `data` and `dims`. */
async function openModel(folder, runtime) {
  const urls = Object.fromEntries(Object.entries(runtime).map(([name, file]) => [name, new URL(file, folder).href]));
  const module = import(urls.module).catch(() => {
    throw new Error(`ONNX Runtime Web cannot be loaded from ${urls.module}`);
  });
  const files = [fetchFile(urls.wasm), fetchFile(new URL("model.onnx.gz", folder))];
  const [ort, wasm, model] = await Promise.all([module, ...files]);
  ort.env.wasm.wasmPaths = { mjs: urls.mjs };
  ort.env.wasm.wasmBinary = wasm;
  ort.env.wasm.numThreads = 1; // several need headers that plain file servers do not send
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["wasm"],
    graphOptimizationLevel: "basic", // more optimizations take longer than they save
    extra: { session: { disable_quant_qdq: "1" } }, // weights in int8 are converted once, on loading
  });
  return (inputs) => {
    const tensors = Object.entries(inputs).map(([name, tensor]) => [name, new ort.Tensor(...tensor)]);
    return session.run(Object.fromEntries(tensors));
  };
}

// The applications.

/** An exported model with what surrounds it. Each application has a method, which resolves to what `predict` prints. */
export class Runner {
  /** Opens the export in a folder. `warn` is called with a line about an input that is answered nevertheless. */
  static async open(folder, warn = console.warn) {
    folder = new URL(folder, document.baseURI);
    const runner = new Runner();
    runner.warn = warn;
    runner.config = JSON.parse(decodeText(await fetchFile(new URL("config.json", folder))));
    const { runtime, tokenizer, tokenizers, lowercase } = runner.config;
    const open = async ([name, file]) => {
      return [name, new TOKENIZERS[tokenizer](await fetchFile(new URL(file, folder)), lowercase)];
    };
    const [run, ...entries] = await Promise.all([
      openModel(folder, runtime),
      ...Object.entries(tokenizers).map(open),
    ]);
    runner.run = run;
    runner.tokenizers = Object.fromEntries(entries);
    return runner;
  }

  /** The ids of a text, with the end token, cut to the length that the model takes. */
  ids(name, text) {
    const tokenizer = this.tokenizers[name];
    const { longest } = this.config;
    let ids = this.encode(tokenizer, text);
    if (ids.includes(UNKNOWN)) this.warn(`Unknown words: ${tokenizer.unknown(text).map(display).join(" ")}`);
    if (longest !== null && ids.length >= longest) {
      this.warn(`The text is cut to ${longest - 1} tokens.`);
      ids = ids.slice(0, longest - 1);
    }
    return checkLength([...ids, END]);
  }

  encode(tokenizer, text) {
    if (!text.isWellFormed()) throw new InputError("The text is not valid Unicode.");
    return tokenizer.encode(text);
  }

  async translation(text) {
    const ids = this.ids("source", text);
    const outputs = await this.run({ ids: row(ids) });
    const tokens = ids.map((index) => this.tokenizers.source.tokens[index]);
    return { source_tokens: tokens, translations: this.hypotheses("target", outputs, tokens.length) };
  }

  async captioning(file) {
    const outputs = await this.run({ pixels: await this.pixels(file) });
    return { image: file.name, captions: this.hypotheses("captions", outputs, undefined) };
  }

  async pixels(file) {
    const size = this.config.image_size;
    return ["uint8", await readImage(file, size), [1, size, size, 3]];
  }

  hypotheses(name, { tokens, lengths, scores, alignments }, positions) {
    const tokenizer = this.tokenizers[name];
    const [, beams, steps] = tokens.dims;
    const width = alignments.dims[3];
    const results = [];
    for (let beam = 0; beam < beams; beam++) {
      if (scores.data[beam] <= IMPOSSIBLE) continue;
      const ids = [...tokens.data.subarray(beam * steps, beam * steps + lengths.data[beam])];
      results.push({
        text: tokenizer.decode(ids),
        score: scores.data[beam],
        tokens: ids.map((index) => tokenizer.tokens[index]),
        alignment: ids.map((_, step) => rounded(alignments.data, beam * steps + step, width).slice(0, positions)),
      });
    }
    return results;
  }

  async vqa(file, question) {
    const ids = this.ids("questions", question);
    const outputs = await this.run({ pixels: await this.pixels(file), ids: row(ids) });
    const probabilities = [...outputs.probabilities.data];
    const best = [...probabilities.keys()].sort((a, b) => probabilities[b] - probabilities[a]).slice(0, TOP_ANSWERS);
    const [, hops, cells] = outputs.attention.dims;
    const { tokens } = this.tokenizers.questions;
    return {
      image: file.name,
      question,
      answers: best.map((index) => ({ text: this.config.answers[index], probability: probabilities[index] })),
      is_unknown: !ids.some((index) => index > END && /[\p{L}\p{N}]/u.test(tokens[index])),
      looks: Array.from({ length: hops }, (_, hop) => rounded(outputs.attention.data, hop, cells)),
    };
  }

  /** Classifies a text, or a series such as "1,2:3,?", channels separated by colons. */
  async classification(text) {
    const { inputs, channels, labels, longest } = this.config;
    const answer = {};
    let outputs;
    if (inputs === "series") {
      outputs = await this.run({ numbers: readSeries(text, channels) });
      answer.series = text;
    } else {
      outputs = await this.run({ ids: row(this.ids("text", text)) });
      answer.text = text;
    }
    const probabilities = [...outputs.probabilities.data];
    answer.label = labels[probabilities.indexOf(Math.max(...probabilities))];
    answer.probabilities = Object.fromEntries(labels.map((label, index) => [label, probabilities[index]]));
    if (inputs !== "series") answer.tokens = [...this.tokenizers.text.split(text).slice(0, longest - 1), SPECIAL[END]];
    answer.weights = rounded(outputs.weights.data, 0, outputs.weights.data.length);
    return answer;
  }

  /**
   * Forecasts the steps after the last value of each series of a table, CSV with a row for each value.
   *
   * Returns `{ series, csv, report }`: for each series its `id`, the `times` of its history and of its forecast as text,
   * the `history`, null where a value is missing, and `quantiles` for all `levels`; the table that `predict` prints; and
   * what was missing.
   */
  async forecasting(text) {
    const { id, time, target, levels, context, microseconds } = this.config;
    const { series, isInteger, wideId, unknown } = readTable(text, this.config);
    if (unknown.length) this.warn(`The model does not know ${unknown.join(", ")}.`);
    if (series.length > MAX_SERIES) throw new InputError(`The table has ${series.length} series; ${MAX_SERIES} are the limit.`);
    const steps = new Steps(series.map(({ rows }) => rows.map((row) => row.time)), isInteger, microseconds && microseconds / 1000);
    if (!steps.isAsInTraining(this.config)) throw new InputError("The times have another frequency than in training.");
    const order = [0.5, ...levels.filter((level) => level !== 0.5)].map((level) => levels.indexOf(level)); // the median first
    const columns = target.flatMap((name) => order.map((index) => name + (levels[index] === 0.5 ? "" : `-${levels[index]}`)));
    const hasNames = series[0].name !== undefined;
    const answers = [];
    const horizon = Array.from({ length: this.config.horizon }, (_, step) => `F${step + 1}`);
    let csv = wideId !== null ? csvRow([wideId, ...horizon]) : csvRow([...(hasNames ? [id] : []), time, ...columns]);
    const report = { "steps without a row": 0, "missing values": 0, "missing numbers in other columns": 0 };
    for (const { name, rows } of series) {
      const own = named(hasNames ? `the series '${name}'` : "the series", () => windowOf(rows, steps, this.config));
      report["steps without a row"] += own.gaps;
      report["missing values"] += own.missing;
      report["missing numbers in other columns"] += own.blank;
      const quantiles = [];
      for (const values of own.targets) quantiles.push(await this.quantiles(values, own));
      const future = steps.shown(own.times.slice(context));
      const times = steps.shown(own.times.slice(context - own.history));
      const numbersAt = (step) => quantiles.flatMap((own) => order.map((index) => own[index][step]));
      const cells = wideId !== null
        ? [[name, ...quantiles[0][order[0]]]]
        : future.map((moment, step) => [...(hasNames ? [name] : []), moment, ...numbersAt(step)]);
      csv += cells.map((row) => csvRow(row.map(String))).join("");
      target.forEach((column, index) => {
        const history = own.targets[index].slice(context - own.history).map((value) => (Number.isNaN(value) ? null : value));
        const several = target.length > 1 && hasNames ? `${name}/${column}` : undefined;
        answers.push({ id: several ?? name ?? column, times, history, levels, quantiles: quantiles[index] });
      });
    }
    const counted = Object.entries(report).filter(([, count]) => count);
    return { series: answers, csv, report: counted.map(([what, count]) => `${what}: ${count.toLocaleString("en")}`).join(", ") };
  }

  /** The quantiles of the steps after `values`, an array for each level, with seven digits; NaN is a missing value. */
  async quantiles(values, columns) {
    const { means, context, horizon, levels } = this.config;
    const tensor = (numbers, shape) => ["float32", Float32Array.from(numbers), [1, ...shape]];
    const inputs = {
      values: tensor(values.map((value) => (Number.isNaN(value) ? 0 : value)), [context]),
      observed: tensor(values.map((value) => Number(!Number.isNaN(value))), [context]),
    };
    for (const [name, own] of Object.entries(means)) {
      const numbers = columns[name].flatMap((row) => row.map((value, index) => (Number.isNaN(value) ? own[index] : value)));
      inputs[name] = tensor(numbers, [columns[name].length, own.length]);
    }
    const { data } = (await this.run(inputs)).quantiles;
    const row = (index) => data.subarray(index * horizon, (index + 1) * horizon);
    return levels.map((_, index) => Array.from(row(index), (value) => Number(value.toPrecision(7))));
  }

  /** Continues a prompt. With the temperature 0 the texts are those of `keras-recurrent generation generate`. */
  async generation(prompt, { label = null, samples = 1, length = null, temperature = 1, top_p = 1, seed = 0 } = {}) {
    const { labels, label_probabilities, max_length, has_end } = this.config;
    const tokenizer = this.tokenizers.text;
    const unknown = [...new Set(tokenizer.unknown(prompt))].sort().join("");
    if (unknown) throw new InputError(`The model has never seen the characters ${JSON.stringify(unknown)}.`);
    const ids = checkLength(this.encode(tokenizer, prompt));
    const draw = generator(seed);
    const rows = Array.from({ length: samples }, () => {
      const chosen = label === null ? pick(label_probabilities, draw) : labels.indexOf(label);
      return labels.length ? [tokenizer.tokens.length + chosen, ...ids] : ids;
    });
    const steps = rows[0].length + (length ?? max_length);
    const outputs = await this.run({
      ids: ["int32", rows.flatMap((ids) => [...ids, 0]), [samples, rows[0].length + 1]], // at least one position
      draws: ["float32", Float32Array.from({ length: samples * (steps + has_end) }, draw), [samples, 1, steps + has_end]],
      temperature: ["float32", [temperature], []],
      top_p: ["float32", [top_p], []],
    });
    const { data, dims } = outputs.tokens;
    return rows.map((_, index) => {
      const tokens = [...data.subarray(index * dims[1], (index + 1) * dims[1])].slice(0, steps);
      return { text: tokenizer.decode(tokens.filter((token) => token < tokenizer.tokens.length)) };
    });
  }
}

/** What a function returns; a name is put before the message of an `InputError`. */
function named(name, action) {
  try {
    return action();
  } catch (error) {
    throw error instanceof InputError ? new InputError(`${name}: ${error.message}`) : error;
  }
}

function row(ids) {
  return ["int32", ids, [1, ids.length]];
}

/** The tensor `(1, steps, channels)` of a series, NaN where a number is missing. */
function readSeries(text, channels) {
  const rows = text.split(":").map((channel) => channel.split(",").map(readNumber));
  const steps = 1 + Math.max(...rows.map((numbers) => numbers.findLastIndex((number) => !Number.isNaN(number))));
  if (rows.some((numbers) => numbers.length !== rows[0].length)) throw new InputError("The channels differ in length.");
  if (rows.length !== channels) {
    throw new InputError(`The series has ${rows.length} channels; the model reads ${channels}.`);
  }
  if (!steps) throw new InputError("There is no number.");
  if (steps > MAX_TOKENS) throw new InputError(`The series has ${steps} steps; ${MAX_TOKENS} are the limit.`);
  const numbers = Array.from({ length: steps }, (_, step) => rows.map((channel) => channel[step])).flat();
  return ["float32", Float32Array.from(numbers), [1, steps, channels]];
}

function readNumber(cell) {
  const text = cell.trim();
  if (text === "" || text === "?") return NaN;
  if (!Number.isFinite(Number(text))) throw new InputError(`${JSON.stringify(text)} is not a number.`);
  return Number(text);
}

function checkLength(ids) {
  if (ids.length > MAX_TOKENS) throw new InputError(`The text has ${ids.length} tokens; ${MAX_TOKENS} are the limit.`);
  return ids;
}

/** Row `index` of a matrix, as numbers with four digits. */
function rounded(data, index, width) {
  return Array.from(data.subarray(index * width, (index + 1) * width), (value) => Math.round(value * 1e4) / 1e4);
}

/** Draws an index with the given probabilities. */
function pick(probabilities, draw) {
  let rest = draw();
  const index = probabilities.findIndex((probability) => (rest -= probability) < 0);
  return index < 0 ? probabilities.length - 1 : index;
}
