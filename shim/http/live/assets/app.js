// The page: follows the agent's events, keeps the address in step with filter, order and task.

import { Grid } from "./grid.js";
import { drawOverview } from "./overview.js";
import { TaskPanel } from "./task.js";
import { Tasks } from "./tasks.js";
import { Usage } from "./usage.js";

const RETRY_MS = 3000;
const tasks = new Tasks();
const grid = new Grid(tasks, openTask, () => saveAddress({}));
const usage = new Usage(inSight, () => { grid.draw(); panel.drawUse(); });
const panel = new TaskPanel(usage, closed);
const filter = document.getElementById("filter");
let address = { task: null };
let scheduled = false;
grid.usage = usage;

function inSight() {
  const rows = grid.inSight().filter((row) => !row.isGroup && row.live).map((row) => row.id);
  return panel.id ? [panel.id, ...rows] : rows;
}

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    grid.draw();
    const all = tasks.rows.size;
    const shown = tasks.matching;
    const count = document.getElementById("count");
    const tasksText = all === 1 ? "1 task" : `${all} tasks`;
    const text = shown === all ? tasksText : `${shown} of ${tasksText}`;
    if (count.textContent !== text) count.textContent = text;
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
  tasks.sortBy({ key: sort.replace(/^-/, ""), down: sort.startsWith("-") });
  grid.drawHead();
  address.task = query.get("task") || linkedTask(location.hash);
}

// Mesos' and Marathon's pages link to #/agents/S/frameworks/F/executors/E, with /tasks/T for a task
// of a pod. A command task's executor has the task's id. The master passes such links on.
function linkedTask(hash) {
  const parts = hash.replace(/^#\/?/, "").split("/").map(decoded);
  const after = (name) => (parts.includes(name) ? parts[parts.indexOf(name) + 1] : "");
  const task = after("tasks") || after("executors");
  return task ? `${after("frameworks")}/${task}` : null;
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function openTask(id) {
  saveAddress({ task: id });
  panel.open(id);
}

function closed() {
  saveAddress({ task: null });
  grid.table.focus();
}

// A link names a task by its container, or by its framework and task id ("FRAMEWORK/TASK").
function openLinked() {
  const wanted = address.task;
  if (!wanted || panel.id) return;
  const rows = [...tasks.rows.values()];
  const named = rows.filter((row) => `${row.framework_id}/${row.task}` === wanted || row.task === wanted);
  // A link to an executor opens the first of its tasks.
  const inside = rows.filter((row) => row.pod && `${row.framework_id}/${row.pod}` === wanted);
  const found = tasks.rows.get(wanted) || named.find((row) => row.live) || named.at(-1) || inside.find((row) => row.live);
  if (found) grid.choose(found.id, true);
}

function search(text) {
  tasks.filter = filter.value = text;
  tasks.dirty = true;
  saveAddress({});
  schedule();
}

// --- events ---------------------------------------------------------------------------------

const connection = document.getElementById("connection");
const handlers = {
  reset: () => tasks.reset(),
  agent(summary) {
    tasks.complete();
    grid.now = tasks.now = summary.now;
    const packages = Object.entries(summary.triton?.packages || {});
    tasks.prices = Object.fromEntries(packages.map(([name, used]) => [name, used.price_per_hour]));
    grid.hide([
      ...(summary.signals.some(({ name }) => name === "consul") ? [] : ["service"]),
      ...(summary.triton ? [] : ["package", "machine"]),
      ...(Object.values(tasks.prices).some((price) => price != null) ? [] : ["cost"]),
    ]);
    drawOverview(summary, tasks, search);
    openLinked();
  },
  executors: (rows) => tasks.putExecutors(rows),
  gone: (ids) => tasks.remove(ids),
  tasks(rows) {
    tasks.put(rows);
    for (const row of rows) panel.changed(row);
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
  events.onopen = () => {
    connection.textContent = "";
    document.body.classList.remove("lost");
  };
  events.onerror = async () => {
    // What was well may not be so any more.
    document.body.classList.add("lost");
    if (!document.title.startsWith("▲")) document.title = `▲ ${document.title}`;
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
  if (event.key !== "/" || event.target.closest("input, textarea, select")) return;
  event.preventDefault();
  filter.focus();
});
for (const change of ["popstate", "hashchange"]) {
  window.addEventListener(change, () => { readAddress(); schedule(); openLinked(); });
}
readAddress();
connect();
