// The head of the page: is the agent well, what is in use, what failed lately, what it costs.

import { age, chart, element, machineTime, megabytes, money } from "./text.js";

const KEPT = 120;
const SAMPLE_S = 5;
const history = [];

export function drawOverview(summary, tasks, search) {
  const link = (text, query) => element("button", { type: "button", onclick: () => search(query) }, text);
  const item = (...content) => element("li", {}, ...content);
  const ill = summary.signals.some((signal) => !signal.well);
  document.title = `${ill ? "▲ " : ""}${summary.hostname} – mesos-shim`;
  const right = summary.may_touch ? "" : ", read only";
  document.getElementById("agent").textContent =
    `${summary.hostname}, agent ${summary.agent_id || "without an id yet"}, up ${age(summary.now - summary.started)}${right}`;
  fill("signals", summary.signals, ({ name, well, text }) =>
    element("li", { class: well ? null : "ill" }, name, element("span", { class: "spoken" }, well ? "well:" : "ill:"), element("small", {}, text)));
  if (!history.length || summary.now - history.at(-1).at >= SAMPLE_S) history.push({ at: summary.now, ...summary.resources });
  history.splice(0, history.length - KEPT);
  part("resources", "Resources", element("table", {}, ...Object.entries(summary.resources).map(resourceRow)));
  part("states", "Tasks", list(tasks.countByState().map(([state, count]) => item(link(`${count} ${state}`, `state:${state}`)))));
  part("frameworks", "Frameworks", list(summary.frameworks.map(({ id, name, tasks: count, cpus, mem }) =>
    item(link(`${count} ${name}`, `framework:${id}`), ` ${cpus} cpus, ${megabytes(mem)}`))));
  part("failures", "Failures of the last hour", list(summary.failures.map(({ count, message, state }) =>
    element("li", { title: message }, link(`${count} ×`, failed(message)), ` ${message || state}`))));
  part("costs", "Triton", summary.triton && costs(summary.triton));
}

const failed = (message) => (message ? `is:failed message:"${message.split('"')[0].trim()}"` : "is:failed");

const list = (items) => (items.length ? element("ul", {}, ...items) : null);

// A part that shows the same as before stays: focus and selection are in it.
function fill(id, values, draw) {
  const place = document.getElementById(id);
  const text = JSON.stringify(values);
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  place.replaceChildren(...values.map(draw));
}

function part(id, title, content) {
  const place = document.getElementById(id);
  const made = content ? [element("h2", {}, title), content] : [];
  const text = made.map((each) => each.outerHTML).join("");
  if (place.dataset.shown === text) return;
  place.dataset.shown = text;
  const focused = [...place.querySelectorAll("button")].indexOf(document.activeElement);
  place.replaceChildren(...made);
  if (focused >= 0) place.querySelectorAll("button")[focused]?.focus();
}

function resourceRow([name, { used, total }]) {
  const share = total ? Math.min(100, (100 * used) / total) : 0;
  const bar = element("i", {});
  bar.style.width = `${share}%`;
  const show = name === "cpus" ? (amount) => String(amount) : megabytes;
  return element("tr", {}, element("td", {}, name), element("td", {}, element("span", { class: "bar", "aria-hidden": "true" }, bar)),
    element("td", {}, `${show(used)} of ${show(total)}`),
    element("td", {}, chart(history.map((sample) => sample[name].used), `${name} over the last minutes`)));
}

function costs(triton) {
  const row = (...cells) => element("tr", {}, ...cells.map((cell, i) => element("td", { class: i ? "number" : null }, cell)));
  const head = (...names) => element("tr", {}, ...names.map((name) => element("th", { scope: "col" }, name)));
  const packages = Object.entries(triton.packages).map(([name, used]) =>
    row(name, String(used.machines), machineTime(used.machine_seconds), money(used.price_per_hour)));
  const frameworks = Object.entries(triton.frameworks).map(([name, cost]) => row(name, money(cost)));
  const lost = triton.containers_without_task.length;
  return element("div", {},
    element("table", {}, head("Package", "Machines", "Machine time", "Price an hour"), ...packages),
    frameworks.length ? element("table", {}, head("Framework", "Cost so far"), ...frameworks) : "",
    element("p", {}, `${money(triton.cost_per_hour)} an hour`, lost ? `; ${lost} containers without a task` : ""));
}
