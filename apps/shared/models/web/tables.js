// Tables of time series: CSV in the long form, with a row for each series and time.
//
// Names and results are those of runner.py, which the other exports contain.

import { InputError } from "./errors.js";

const MISSING = new Set(["", "NA", "N/A", "n/a", "#N/A", "<NA>", "NaN", "nan", "NULL", "null", "None"]);
const TRUTH = { True: 1, true: 1, TRUE: 1, False: 0, false: 0, FALSE: 0 };
const LARGEST = 1e18; // whose square is finite in float32
const DAY = 86_400_000; // milliseconds
const CYCLES = { day: DAY, week: 7 * DAY, year: 365 * DAY }; // of the calendar
const TIME = /^(\d{4})-?(\d\d)-?(\d\d)(?:[T ](\d\d)(?::?(\d\d)(?::?(\d\d)(?:[.,](\d{1,6}))?)?)?)?(Z|[+-]\d\d(?::?\d\d)?)?$/;

/** The cells of a table as an array of `{ line, cells }`. */
function readCells(text) {
  const rows = [];
  let [row, cell, line, first] = [[], "", 1, 1];
  let isQuoted = false;
  const endRow = () => {
    row.push(cell);
    if (row.length > 1 || cell) rows.push({ line: first, cells: row });
    [row, cell, first] = [[], "", line + 1];
  };
  for (let position = 0; position < text.length; position++) {
    const character = text[position];
    if (isQuoted) {
      if (character === '"' && text[position + 1] === '"') cell += text[++position];
      else if (character === '"') isQuoted = false;
      else cell += character;
    } else if (character === '"' && cell === "") {
      isQuoted = true;
    } else if (character === ",") {
      row.push(cell);
      cell = "";
    } else if (character === "\n") {
      endRow();
    } else if (character !== "\r" && (character !== " " || cell)) {
      cell += character;
    }
    if (character === "\n") line++;
  }
  endRow();
  return rows;
}

/** Whether a cell of a table, a number or a text, is not missing. */
function isPresent(value) {
  return typeof value === "string" ? !MISSING.has(value) : !Number.isNaN(value);
}

/** The number in a cell of a table; NaN if it is missing. */
function readNumber(cell, where) {
  const text = cell.trim();
  if (MISSING.has(text)) return NaN;
  if (text in TRUTH) return TRUTH[text];
  if (!/^[+-]?((\d+\.?\d*|\.\d+)(e[+-]?\d+)?|inf(inity)?)$/i.test(text)) {
    throw new InputError(`${where}: '${text}' is not a number`);
  }
  if (!(Math.abs(Number(text)) <= LARGEST)) {
    throw new InputError(`${where}: '${text}' is too large; numbers have at most the magnitude 1e+18`);
  }
  return Number(text);
}

/** The time in a cell of a table: `{ isInteger, time }`, an integer or milliseconds since 1970 in UTC. */
function readTime(cell, where) {
  const text = cell.trim();
  if (/^[+-]?\d+$/.test(text) && !/^[12]\d{7}$/.test(text)) return { isInteger: true, time: Number(text) };
  const [, year, month, day, hour = 0, minute = 0, second = 0, fraction = "", offset = "Z"] = TIME.exec(text) ?? [];
  const midnight = Date.UTC(year, month - 1, day);
  const isDay = new Date(midnight || 0).getUTCDate() === Number(day);
  if (!isDay || hour > 23 || minute > 59 || second > 59) {
    throw new InputError(`${where}: '${text}' is neither a time such as 2024-01-31 12:00 nor an integer`);
  }
  const [sign, hours, minutes] = offset === "Z" ? [1, 0, 0] : [`${offset[0]}1`, offset.slice(1, 3), offset.slice(3).replace(":", "")];
  const seconds = 3600 * (hour - sign * hours) + 60 * (minute - sign * minutes) + Number(second);
  return { isInteger: false, time: midnight + 1000 * seconds + Number(`0.${fraction || 0}`) * 1000 };
}

function isNumber(cell) {
  return cell.trim() !== "" && Number.isFinite(Number(cell));
}

/**
 * Reads a table: in the long form with a row for each series and time, or in the wide one with a row for each series.
 *
 * `config` is that of a forecaster. Returns `{ series, isInteger, wideId, unknown }`. `series` is an array of `{ name, rows }`:
 * the name, undefined without a column of names, and the rows in the order of their times, each `{ time, values }` with
 * a number, or a text where the model knows categories, for each column. `unknown` has the texts of no known category.
 */
export function readTable(text, config) {
  let [head, ...lines] = readCells(text.replace(/^\ufeff/, ""));
  let header = (head?.cells ?? []).map((name) => name.trim());
  const [firstName = "", ...first] = lines[0]?.cells ?? [];
  const numbers = first.filter((cell) => !MISSING.has(cell.trim())).map(isNumber);
  const names = [config.time, ...config.target];
  const areMost = numbers.filter(Boolean).length > 0.9 * numbers.length;
  const isWide = areMost && !isNumber(firstName) && !names.some((own) => header.includes(own));
  const wideId = isWide ? header[0] : null;
  if (isWide) {
    header = [config.id, ...names];
    lines = lines.flatMap(({ line, cells: [own, ...values] }) => {
      return values.map((cell, step) => ({ line, cells: [own, String(step + 1), cell] }));
    });
  }
  const columns = [...config.target, ...config.static, ...config.past, ...config.known];
  for (const name of columns) {
    if (!header.includes(name)) throw new InputError(`no column '${name}'; the columns are ${header.join(", ")}`);
  }
  const [id, time] = [config.id, config.time].map((name) => header.indexOf(name));
  const series = new Map();
  const kinds = new Set();
  const unknown = new Set();
  for (const { line, cells } of lines) {
    const where = `line ${line}`;
    if (cells.length > header.length) throw new InputError(`${where}: more than ${header.length} values`);
    const name = id < 0 ? undefined : (cells[id] ?? "");
    if (!series.has(name)) series.set(name, new Map());
    const own = series.get(name);
    const moment = time < 0 ? { isInteger: true, time: own.size + 1 } : readTime(cells[time] ?? "", `${where}, column '${config.time}'`);
    const values = {};
    for (const column of columns) {
      const cell = cells[header.indexOf(column)] ?? "";
      const categories = config.categories[column];
      values[column] = categories ? cell : readNumber(cell, `${where}, column '${column}'`);
      if (categories && isPresent(cell) && !categories.includes(cell)) unknown.add(cell);
    }
    kinds.add(moment.isInteger);
    const before = own.get(moment.time);
    if (before && !columns.every((column) => Object.is(before[column], values[column]))) {
      throw new InputError(`${where}: another row of the time ${cells[time].trim()}`);
    }
    own.set(moment.time, values);
  }
  if (!series.size) throw new InputError("no rows below the header");
  if (kinds.size > 1) throw new InputError("some times are integers and others are not");
  const sorted = [...series].map(([name, own]) => ({
    name,
    rows: [...own].sort(([a], [b]) => a - b).map(([moment, values]) => ({ time: moment, values })),
  }));
  return { series: sorted, isInteger: kinds.has(true), wideId, unknown: [...unknown].sort() };
}

// What differs in length: its index from a day, counted from 1970, and the day from the index.
const UNITS = {
  "month starts": { index: monthOf, day: startOfMonth },
  "month ends": { index: monthOf, day: (month) => startOfMonth(month + 1) - 1 },
  "business days": {
    index: (day) => 5 * Math.floor((day + 3) / 7) + modulo(day + 3, 7), // day 0 is a Thursday
    day: (index) => 7 * Math.floor(index / 5) + modulo(index, 5) - 3,
  },
};

function monthOf(day) {
  const date = new Date(day * DAY);
  return 12 * date.getUTCFullYear() + date.getUTCMonth();
}

function startOfMonth(month) {
  return Date.UTC(Math.floor(month / 12), modulo(month, 12)) / DAY;
}

function modulo(a, b) {
  return ((a % b) + b) % b;
}

/** The regular steps of series. `times` has for each series an array of its times, ascending. */
export class Steps {
  constructor(times, isInteger, milliseconds) {
    this.isInteger = isInteger;
    const differences = times.flatMap((own) => own.slice(1).map((time, index) => time - own[index]));
    if (isInteger) {
      this.count = differences.reduce(greatestDivisor, 0) || 1;
    } else if (milliseconds !== null) {
      this.count = milliseconds;
    } else {
      if (!differences.length) throw new InputError("no series has two times");
      this.infer(times.flat(), differences);
    }
  }

  infer(times, differences) {
    this.count = commonest(differences);
    if (new Set(times.map((time) => modulo(time, DAY))).size > 1) return;
    const days = times.map((time) => Math.floor(time / DAY));
    for (const name of ["month starts", "month ends"]) {
      const unit = UNITS[name];
      if (days.every((day) => unit.day(unit.index(day)) === day)) {
        const months = [...new Set(days.map(monthOf))].sort((a, b) => a - b);
        this.unit = unit;
        this.count = commonest(months.slice(1).map((month, index) => month - months[index])) || 1;
        return;
      }
    }
    const areWeekdays = days.every((day) => modulo(day + 3, 7) < 5);
    if (this.count === DAY && areWeekdays && differences.includes(3 * DAY)) {
      [this.unit, this.count] = [UNITS["business days"], 1];
    }
  }

  /** Milliseconds of a step, infinite for integers. Each month has 31 days. */
  get length() {
    if (this.isInteger) return Infinity;
    return this.unit === UNITS["business days"] ? DAY : this.unit ? 31 * DAY * this.count : this.count;
  }

  /** The cycles of the calendar that are longer than a step. */
  get cycles() {
    return Object.keys(CYCLES).filter((name) => this.length < CYCLES[name]);
  }

  /** Whether the steps have about the length of those of the training data, and the same part of the calendar. */
  isAsInTraining({ step, has_even_steps: hasEvenSteps, calendar }) {
    const ratio = (1000 * this.length) / step;
    const isSimilar = !this.unit === hasEvenSteps && ratio > 0.8 && ratio < 1.25;
    return (step === null || this.isInteger || isSimilar) && (!calendar.length || String(this.cycles) === String(calendar));
  }

  /** The number of steps from a time to another one. Throws an `InputError` if it is no whole number. */
  between(start, time) {
    const index = (own) => (this.unit ? this.unit.index(Math.floor(own / DAY)) : own);
    const steps = Math.floor((index(time) - index(start)) / this.count);
    if (this.after(start, steps) !== time) {
      const [wrong, first] = [time, start].map((own) => this.shown([own]));
      throw new InputError(`${wrong} is no whole number of steps after ${first}`);
    }
    return steps;
  }

  /** The time that is a number of steps after another one. */
  after(start, steps) {
    if (!this.unit) return start + steps * this.count;
    const day = Math.floor(start / DAY);
    return (this.unit.day(this.unit.index(day) + steps * this.count) - day) * DAY + start;
  }

  /** Times as text: timestamps without the time of day if that is always midnight. */
  shown(times) {
    if (this.isInteger) return times.map(String);
    const end = times.every((time) => modulo(time, DAY) === 0) ? 10 : 19;
    return times.map((time) => new Date(time).toISOString().replace("T", " ").slice(0, end));
  }
}

function greatestDivisor(a, b) {
  return b ? greatestDivisor(b, a % b) : a;
}

/** The commonest of positive integers; the smallest of several, 0 of none. */
function commonest(values) {
  const counts = new Map();
  for (const value of values.filter((own) => own > 0)) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts].sort(([a, m], [b, n]) => n - m || a - b)[0]?.[0] ?? 0;
}

/** Sine and cosine of where a time is in the cycles day, week and year. */
export function calendar(time, cycles) {
  const day = Math.floor(time / DAY);
  const year = new Date(time).getUTCFullYear();
  const [first, last] = [startOfMonth(12 * year), startOfMonth(12 * (year + 1))];
  const positions = {
    day: modulo(time, DAY) / DAY,
    week: modulo(day + 3, 7) / 7,
    year: (day - first) / (last - first),
  };
  return cycles.flatMap((name) => [Math.sin(2 * Math.PI * positions[name]), Math.cos(2 * Math.PI * positions[name])]);
}

/**
 * What the model reads of a series, with the rows of its window.
 *
 * Returns `{ times, targets, past, known, history, gaps, missing, blank }`: the times of the window and of the horizon;
 * the values of each target in the window, NaN where they are missing; the columns of each step, NaN where they are
 * missing; how many of the steps belong to the series; and how many steps of the series have no row, how many values and
 * how many numbers in other columns are missing.
 */
export function windowOf(rows, steps, config) {
  const { context, horizon } = config;
  const start = rows[0].time;
  const positions = rows.map(({ time }) => steps.between(start, time));
  for (const target of config.target) {
    if (!rows.some(({ values }) => isPresent(values[target]))) throw new InputError(`no value in the column '${target}'`);
  }
  const hasValue = ({ values }) => config.target.some((name) => isPresent(values[name]));
  const isComplete = ({ values }) => config.known.every((name) => isPresent(values[name]));
  const [first, last] = [positions[rows.findIndex(hasValue)], positions[rows.findLastIndex(hasValue)]];
  const knownEnd = Math.max(last, positions[rows.findLastIndex(isComplete)] ?? last);
  if (config.known.length && knownEnd < last + horizon) {
    throw new InputError(
      `the columns known ahead end ${knownEnd - last} steps after its last value; a forecast needs ${horizon}`,
    );
  }
  const byStep = new Map(rows.map(({ values }, index) => [positions[index], values]));
  const window = Array.from({ length: context + horizon }, (_, index) => last + 1 - context + index);
  const numbers = (names, step, end) => numbersOf(names, byStep.get(step), first <= step && step <= end, config);
  const times = window.map((step) => steps.after(start, step));
  const fixed = numbersOf(config.static, constants(rows, config), true, config);
  const past = window.slice(0, context);
  const between = (end) => rows.filter((_, index) => first <= positions[index] && positions[index] <= end);
  const own = between(last);
  const missingOf = (part, names) => part.flatMap(({ values }) => names.filter((name) => !isPresent(values[name]))).length;
  const numeric = (names) => names.filter((name) => !config.categories[name]);
  return {
    times,
    targets: config.target.map((target) => past.map((step) => numbers([target], step, last)[0])),
    past: past.map((step) => numbers(config.past, step, last)),
    known: times.map((time, index) => [
      ...numbers(config.known, window[index], knownEnd),
      ...fixed,
      ...calendar(time, config.calendar),
    ]),
    history: Math.min(context, last + 1 - first),
    gaps: last + 1 - first - own.length,
    missing: missingOf(own, config.target),
    blank: missingOf(own, numeric(config.past)) + missingOf(between(knownEnd), numeric(config.known)),
  };
}

/** The values of the columns that are constant for a series. */
function constants(rows, config) {
  return Object.fromEntries(
    config.static.map((name) => {
      const values = new Set(rows.map(({ values: own }) => own[name]).filter(isPresent));
      if (values.size > 1) throw new InputError(`the static column '${name}' has several values`);
      return [name, [...values, NaN][0]];
    }),
  );
}

/** The numbers of columns at a step: NaN outside of the series, and where one is missing. */
function numbersOf(names, row, isInside, { categories }) {
  return names.flatMap((name) => {
    const own = categories[name]?.map((category) => Number(row?.[name] === category)) ?? [row?.[name] ?? NaN];
    return isInside ? own : own.map(() => NaN);
  });
}

/** A row of CSV. */
export function csvRow(cells) {
  return `${cells.map((cell) => (/[",\r\n]/.test(cell) ? `"${cell.replaceAll('"', '""')}"` : cell)).join(",")}\n`;
}
