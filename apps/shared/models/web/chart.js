// The chart of a series and its forecast: the history, the median, and the intervals as a fan.

const INTERVALS = [0.95, 0.8]; // the widest first
const WIDEST_INTERVAL = 1.5; // how far an interval extends the axis, relative to the range of the values
const HEIGHT = 280;
const MARGIN = { right: 12, top: 10, bottom: 28 }; // of the axes, in pixels
const CHARACTER = 7.5; // width of a character of a label in pixels, at most

/**
 * Returns the median `{ label, values }` of a forecast and its intervals `{ label, low, high }`, the widest first.
 *
 * A forecast has `levels`, ascending, and `quantiles`, the values of all steps for each level. It has an interval of 95
 * or 80 % if it has both of its levels.
 */
export function partsOf({ levels, quantiles }) {
  const at = (level) => quantiles[levels.findIndex((own) => Math.abs(own - level) < 1e-6)];
  const intervals = INTERVALS.map((size) => ({
    label: `${100 * size} % interval`,
    low: at((1 - size) / 2),
    high: at((1 + size) / 2),
  }));
  return { median: { label: "median", values: at(0.5) }, intervals: intervals.filter(({ low, high }) => low && high) };
}

/** Returns a forecast as a sentence: its last time, and the ranges of its median and of its widest interval. */
export function describe(forecast) {
  const { median, intervals } = partsOf(forecast);
  const range = (...values) => [...new Set([Math.min(...values.flat()), Math.max(...values.flat())].map(number))].join(" to ");
  const widest = intervals.slice(0, 1).map(({ label, low, high }) => `, ${label} ${range(low, high)}`);
  const name = forecast.id ? `${forecast.id}, ` : "";
  return `${name}${median.values.length} step${median.values.length > 1 ? "s" : ""} to ${forecast.times.at(-1)}: median ${range(median.values)}${widest}`;
}

/** Returns a number as text, rounded to three significant digits, or to an integer if that has more. */
export function number(value) {
  const digits = Math.max(0, Math.min(20, 2 - Math.floor(Math.log10(Math.abs(value) || 1))));
  return value.toLocaleString("en", { maximumFractionDigits: digits });
}

/**
 * Returns the chart of a forecast as an SVG element.
 *
 * `forecast` has `times`, texts of the history and of the horizon; `history`, null where a value is missing; and what
 * `partsOf` reads. `width` is in pixels.
 */
export function fanChart(forecast, width) {
  const { times, history } = forecast;
  const { median, intervals } = partsOf(forecast);
  const known = history.filter((value) => value !== null);
  const [bottom, top] = rangeOf([...known, ...median.values], intervals);
  const ticks = valueTicks(bottom, top);
  const left = CHARACTER * Math.max(...ticks.map((value) => number(value).length)) + 10;
  const right = width - MARGIN.right;
  const lowest = HEIGHT - MARGIN.bottom;
  const x = (step) => left + ((right - left) * (step + 0.5)) / times.length;
  const y = (value) => lowest - ((lowest - MARGIN.top) * (Math.max(bottom, Math.min(top, value)) - bottom)) / (top - bottom);
  const point = (step, value) => `${x(step).toFixed(1)},${y(value).toFixed(1)}`;
  // Each part of a line begins with a point of its own, so that a value between two missing ones is a dot.
  const line = (name, values, first) => {
    const parts = values.map((value, step) => {
      if (value === null) return "";
      const own = point(first + step, value);
      return (values[step - 1] ?? null) === null ? `M${own}L${own}` : `L${own}`;
    });
    return svg("path", { class: name, d: parts.join("") });
  };
  // The interval of a single step is half as wide as a step, because it would be a line otherwise.
  const offsets = median.values.length > 1 ? [0] : [-0.25, 0.25];
  const area = ({ low, high }, index) => {
    const edge = (values) => values.flatMap((value, step) => offsets.map((offset) => point(history.length + step + offset, value)));
    return svg("path", { class: `interval-${index}`, d: `M${[...edge(high), ...edge(low).reverse()].join("L")}Z` });
  };
  const past = history.length ? `${history.length} values to ${times[history.length - 1]}, and their forecast. ` : "";
  return svg(
    "svg",
    { class: "fan", viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": past + describe(forecast) },
    ...ticks.flatMap((value) => [
      svg("path", { class: "grid", d: `M${left},${y(value).toFixed(1)}H${right}` }),
      svg("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, number(value)),
    ]),
    ...timeTicks(times, right - left).flatMap(([step, label]) => [
      svg("path", { class: "grid", d: `M${x(step).toFixed(1)},${MARGIN.top}V${lowest}` }),
      svg("text", { x: x(step), y: HEIGHT - 8, "text-anchor": "middle" }, label),
    ]),
    ...intervals.map(area),
    line("history", history, 0),
    line("median", median.values, history.length),
  );
}

/** Returns the range of the axis, which neither wide intervals nor tiny differences dominate. */
function rangeOf(values, intervals) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const room = high > low ? WIDEST_INTERVAL * (high - low) : Infinity;
  const bottom = Math.max(low - room, Math.min(low, ...intervals.flatMap((interval) => interval.low)));
  const top = Math.min(high + room, Math.max(high, ...intervals.flatMap((interval) => interval.high)));
  const scale = Math.max(Math.abs(bottom), Math.abs(top));
  const margin = top - bottom <= 1e-9 * scale ? 0.1 * scale || 1 : 0.05 * (top - bottom);
  return [bottom - margin, top + margin];
}

/** Returns three to seven round numbers between two others. */
function valueTicks(bottom, top) {
  const rough = (top - bottom) / 6;
  const power = 10 ** Math.floor(Math.log10(rough));
  const distance = power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const first = Math.ceil(bottom / distance);
  return Array.from({ length: Math.floor(top / distance) - first + 1 }, (_, index) => (first + index) * distance);
}

/** Returns steps with the texts of their times, as many as fit into a width in pixels. */
function timeTicks(times, width) {
  const labels = times.every((time) => /:\d\d:00$/.test(time)) ? times.map((time) => time.slice(0, -3)) : times;
  const longest = CHARACTER * Math.max(...labels.map((label) => label.length)) + 16;
  const count = Math.max(1, Math.min(6, Math.floor(width / longest)));
  const distance = Math.ceil(labels.length / count);
  return labels.map((label, step) => [step, label]).filter(([step]) => step % distance === Math.floor(distance / 2));
}

function svg(name, attributes, ...content) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...content);
  return node;
}
