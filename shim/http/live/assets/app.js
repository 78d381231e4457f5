// The page: follows the agent's events, keeps the address in step with filter, order and task.

import { Grid } from "./grid.js";
import { TaskPanel } from "./task.js";
import { Tasks } from "./tasks.js";
import { age, chart, element, megabytes } from "./text.js";

const KEPT = 120;
const RETRY_MS = 3000;
const tasks = new Tasks();
const panel = new TaskPanel(() => saveAddress({ task: null }));
const grid = new Grid(tasks, openTask, () => saveAddress({}));
const filter = document.getElementById("filter");
const history = [];
let address = { task: null };
let scheduled = false;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    grid.draw();
    const all = tasks.rows.size;
    const shown = tasks.shown.length;
    document.getElementById("count").textContent = shown === all ? `${all} tasks` : `${shown} of ${all} tasks`;
  });
}

// --- the address ----------------------------------------------------------------------------

function saveAddress(change) {
  address = { ...address, ...change };
  const query = new URLSearchParams();
  if (tasks.filter) query.set("filter", tasks.filter);
  if (tasks.sort.key !== "task" || tasks.sort.down) query.set("sort", (tasks.sort.down ? "-" : "") + tasks.sort.key);
  if (address.task) query.set("task", address.task);
  const text = query.toString();
  window.history.replaceState(null, "", text ? `?${text}` : location.pathname);
}

function readAddress() {
  const query = new URLSearchParams(location.search);
  const sort = query.get("sort") || "task";
  tasks.filter = filter.value = query.get("filter") || "";
  tasks.sort = { key: sort.replace(/^-/, ""), down: sort.startsWith("-") };
  tasks.dirty = true;
  grid.drawHead();
  address.task = query.get("task");
}

function openTask(id) {
  saveAddress({ task: id });
  panel.open(id);
}

// A link names a task by its container, or by its framework and task id ("FRAMEWORK/TASK").
function openLinked() {
  const wanted = address.task;
  if (!wanted || panel.id) return;
  const found = tasks.rows.get(wanted)
    || [...tasks.rows.values()].find((row) => `${row.framework_id}/${row.task}` === wanted || row.task === wanted);
  if (found) grid.choose(found.id, true);
}

function search(text) {
  tasks.filter = filter.value = text;
  tasks.dirty = true;
  saveAddress({});
  schedule();
}

// --- the head -------------------------------------------------------------------------------

function fill(id, title, content) {
  const place = document.getElementById(id);
  place.replaceChildren(...(content ? [element("h2", {}, title), content] : []));
}

function drawSummary(summary) {
  grid.now = summary.now;
  document.title = `${summary.signals.every((signal) => signal.well) ? "" : "▲ "}${summary.hostname} – mesos-shim`;
  document.getElementById("agent").textContent =
    `${summary.hostname}, agent ${summary.agent_id || "without an id yet"}, up ${age(summary.now - summary.started)}`;
  document.getElementById("signals").replaceChildren(...summary.signals.map((signal) =>
    element("li", { class: signal.well ? null : "ill" }, signal.name, element("small", {}, signal.text))));
  history.push(summary.resources);
  history.splice(0, history.length - KEPT);
  fill("resources", "Resources", element("table", {}, ...Object.entries(summary.resources).map(resourceRow)));
  fill("states", "Tasks", element("ul", {}, ...tasks.countByState().map(([state, count]) =>
    element("li", {}, link(`${count} ${state}`, `state:${state}`)))));
  fill("frameworks", "Frameworks", summary.frameworks.length ? element("ul", {}, ...summary.frameworks.map((framework) =>
    element("li", {}, link(`${framework.tasks} ${framework.name}`, `framework:${framework.id}`)))) : null);
  fill("failures", "Failures of the last hour", summary.failures.length ? element("ul", {}, ...summary.failures.map((failure) =>
    element("li", { title: failure.message }, link(`${failure.count} × `, "is:failed"), failure.message || failure.state))) : null);
  fill("costs", "Triton", summary.triton ? element("pre", {}, JSON.stringify(summary.triton, null, 1)) : null);
}

function link(text, query) {
  return element("button", { type: "button", onclick: () => search(query) }, text);
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

// --- events ---------------------------------------------------------------------------------

const connection = document.getElementById("connection");
const handlers = {
  reset: () => tasks.reset(),
  agent: drawSummary,
  gone: (ids) => tasks.remove(ids),
  tasks(rows) {
    tasks.put(rows);
    for (const row of rows) panel.changed(row);
    openLinked();
  },
};

function connect() {
  const events = new EventSource("live/events");
  for (const [name, handle] of Object.entries(handlers)) {
    events.addEventListener(name, (event) => {
      handle(JSON.parse(event.data));
      schedule();
    });
  }
  events.onopen = () => { connection.textContent = ""; };
  events.onerror = async () => {
    connection.textContent = "No connection to the agent. What follows may be old; trying again.";
    // A browser tries again by itself only after a broken connection, not after a refusal.
    if (events.readyState !== EventSource.CLOSED) return;
    setTimeout(connect, RETRY_MS);
    const health = await fetch("health").catch(() => null);
    if (health) connection.textContent = (await health.text()) || "The agent has not finished its recovery.";
  };
}

// --- input ----------------------------------------------------------------------------------

filter.addEventListener("input", () => search(filter.value));
document.getElementById("search").addEventListener("submit", (event) => event.preventDefault());
document.getElementById("home").addEventListener("click", (event) => {
  event.preventDefault();
  if (panel.id) panel.close();
  search("");
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === filter) return;
  event.preventDefault();
  filter.focus();
});
window.addEventListener("popstate", () => { readAddress(); schedule(); openLinked(); });
readAddress();
connect();
