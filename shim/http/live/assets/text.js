// Text for people: ages, amounts, and elements. Every value becomes text, never markup.

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

export function age(seconds) {
  if (!(seconds >= 0)) return "";
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} d`;
}

export function megabytes(amount) {
  return amount >= 1024 ? `${(amount / 1024).toFixed(1)} GB` : `${Math.round(amount)} MB`;
}

export function machineTime(seconds) {
  if (seconds == null) return "";
  return seconds < 3600 ? `${Math.floor(seconds)} s` : `${(seconds / 3600).toFixed(2)} h`;
}

export const money = (amount) => (amount == null ? "" : amount.toFixed(amount < 100 ? 4 : 2));

export const shortState = (state) => state.replace(/^TASK_/, "").toLowerCase();

const FAILED = new Set(["failed", "lost", "error", "dropped", "gone", "gone_by_operator", "unreachable"]);

export function stateClass(row) {
  const state = shortState(row.state);
  if (FAILED.has(state) || row.healthy === false) return "bad";
  if (state === "running" || state === "finished") return "good";
  return state === "killed" ? "soft" : "wait";
}

// Of a task's row; never of an executor's.
export const isFailed = (row) => FAILED.has(shortState(row.state));

// Terminal control sequences of a task's output are removed; other control characters are shown.
const SEQUENCE = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])/g;

export function printable(output) {
  return output
    .replace(SEQUENCE, "")
    .replace(/\r\n/g, "\n")
    .replace(/[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");
}

export function chart(values, label) {
  const high = Math.max(1e-9, ...values);
  const step = 100 / Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${(i * step).toFixed(1)},${(28 - (26 * value) / high).toFixed(1)}`);
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "chart");
  svg.setAttribute("viewBox", "0 0 100 30");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", label);
  const line = document.createElementNS(space, "polyline");
  line.setAttribute("points", points.join(" "));
  svg.append(line);
  return svg;
}
