// The table of tasks, each executor's under a row of its own. Only the rows in sight are elements of
// the document.

import { age, chart, element, megabytes, shortState, stateClass } from "./text.js";

const HEIGHT = 28;
const SPARE = 10;

const COLUMNS = [
  ["state", "State", (row) => (row.isGroup ? row.states : shortState(row.state) + (row.healthy === false ? ", unhealthy" : ""))],
  ["task", "Task", (row) => row.task],
  ["framework", "Framework", (row) => row.framework],
  ["image", "Image", (row) => (row.isGroup ? row.type : row.image)],
  ["cpus", "CPUs", (row, { use }) => (use?.cpus == null ? String(row.cpus) : `${use.cpus.toFixed(2)} of ${row.cpus}`), "cpu"],
  ["mem", "Memory", (row, { use }) => (use ? `${used(use.mem, row.mem)} of ${megabytes(row.mem)}` : megabytes(row.mem)), "memory"],
  ["address", "Address", (row) => row.addresses.join(", ")],
  ["service", "Service", (row) => (row.services || []).join(", ")],
  ["package", "Package", (row) => row.package || ""],
  ["since", "Since", (row, { now }) => age(now - (row.since || row.accepted))],
  ["message", "What happens", happens],
];

// The unit once, where both amounts have the same.
function used(amount, of) {
  return of < 1024 && amount < 1024 ? String(Math.round(amount)) : megabytes(amount);
}

function happens(row, { now }) {
  if (row.isGroup) return row.phase;
  return row.stage ? `${row.stage}, ${age(now - row.stage_since)}` : row.message || "";
}

export class Grid {
  constructor(tasks, open, sorted) {
    this.tasks = tasks;
    this.open = open;
    this.sorted = sorted;
    this.table = document.getElementById("table");
    this.rows = document.getElementById("rows");
    this.head = document.getElementById("head");
    this.usage = { of: () => null };
    this.chosen = null;
    this.now = 0;
    this.pool = [];
    this.columns = COLUMNS;
    this.table.addEventListener("scroll", () => this.draw(), { passive: true });
    this.table.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.table);
    this.hide(["service", "package"]);
  }

  // Columns that this agent has nothing for are left out.
  hide(names) {
    const columns = COLUMNS.filter(([key]) => !names.includes(key));
    if (this.head.childElementCount && columns.length === this.columns.length) return;
    this.columns = columns;
    this.pool = [];
    for (const name of ["service", "package"]) this.table.classList.toggle(`no-${name}`, names.includes(name));
    this.drawHead();
    this.draw();
  }

  drawHead() {
    this.head.replaceChildren(...this.columns.map(([key, title]) => {
      const { sort } = this.tasks;
      const order = sort.key !== key ? "none" : sort.down ? "descending" : "ascending";
      const button = element("button", { type: "button", onclick: () => this.sortBy(key) }, title);
      return element("span", { role: "columnheader", "aria-sort": order }, button);
    }));
  }

  sortBy(key) {
    const { sort } = this.tasks;
    this.tasks.sort = { key, down: sort.key === key && !sort.down };
    this.tasks.dirty = true;
    this.drawHead();
    this.draw();
    this.sorted();
  }

  inSight() {
    return this.part || [];
  }

  draw() {
    const shown = this.tasks.update();
    this.rows.style.height = `${shown.length * HEIGHT}px`;
    this.table.setAttribute("aria-rowcount", shown.length + 1);
    const first = Math.max(0, Math.floor(this.table.scrollTop / HEIGHT) - SPARE);
    const count = Math.ceil(this.table.clientHeight / HEIGHT) + 2 * SPARE;
    this.part = shown.slice(first, first + count);
    while (this.pool.length < this.part.length) this.pool.push(this.newRow());
    this.part.forEach((row, i) => this.fill(this.pool[i], row, first + i));
    const wanted = this.pool.slice(0, this.part.length);
    if (this.rows.childElementCount !== wanted.length || this.rows.firstChild !== wanted[0]) this.rows.replaceChildren(...wanted);
  }

  newRow() {
    const cells = this.columns.map(([, , , charted]) => element("span", { role: "gridcell", class: charted ? "number" : null }));
    const made = element("div", { role: "row", class: "row", onclick: () => this.click(made.dataset.id) }, ...cells);
    return made;
  }

  fill(made, row, index) {
    const shown = { now: this.now, use: row.isGroup ? null : this.usage.of(row.id) };
    made.dataset.id = row.id;
    made.id = `row-${row.id}`;
    made.style.transform = `translateY(${index * HEIGHT}px)`;
    made.setAttribute("aria-rowindex", index + 2);
    made.setAttribute("aria-level", row.pod ? 2 : 1);
    made.setAttribute("aria-selected", row.id === this.chosen);
    if (row.isGroup) made.setAttribute("aria-expanded", row.open);
    else made.removeAttribute("aria-expanded");
    made.classList.toggle("chosen", row.id === this.chosen);
    made.classList.toggle("member", Boolean(row.pod));
    made.classList.toggle("group", Boolean(row.isGroup));
    this.columns.forEach(([key, , text, charted], i) => {
      const cell = made.children[i];
      const value = text(row, shown);
      if (cell.title !== value) {
        cell.textContent = value;
        cell.title = value;
        cell.charted = null;
      }
      if (charted) this.chart(cell, row.id, shown.use?.[charted], `${key} over the last minutes`);
      if (key === "state") cell.className = row.isGroup ? (row.bad ? "bad" : "") : stateClass(row);
    });
  }

  chart(cell, id, values, label) {
    const charted = `${id} ${values?.length} ${values?.at(-1)}`;
    if (cell.charted === charted) return;
    cell.charted = charted;
    cell.querySelector("svg")?.remove();
    if (values?.length > 1) cell.prepend(chart(values, label));
  }

  row(id) {
    return this.tasks.shown.find((row) => row.id === id);
  }

  click(id) {
    if (this.row(id)?.isGroup) {
      this.tasks.toggle(id);
      this.choose(id, false);
    } else this.choose(id, true);
  }

  choose(id, open) {
    this.chosen = id;
    this.table.setAttribute("aria-activedescendant", `row-${id}`);
    this.draw();
    if (open) this.open(id);
  }

  key(event) {
    const { shown } = this.tasks;
    const page = Math.max(1, Math.floor(this.table.clientHeight / HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.target.closest("#head")) return;
    if (event.key === "Enter" && this.chosen) return this.click(this.chosen);
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") return this.fold(event);
    if (!(event.key in steps) || !shown.length) return;
    event.preventDefault();
    const now = shown.findIndex((row) => row.id === this.chosen);
    const index = Math.min(shown.length - 1, Math.max(0, (now < 0 && steps[event.key] > 0 ? -1 : now) + steps[event.key]));
    const top = index * HEIGHT;
    const room = this.table.clientHeight - this.head.offsetHeight - HEIGHT;
    if (top < this.table.scrollTop) this.table.scrollTop = top;
    else if (top > this.table.scrollTop + room) this.table.scrollTop = top - room;
    this.choose(shown[index].id, false);
  }

  // Left closes the tasks of an executor, right opens them.
  fold(event) {
    const row = this.row(this.chosen);
    const group = row?.isGroup ? row.id : row?.parent;
    if (!group) return;
    event.preventDefault();
    this.tasks.toggle(group, event.key === "ArrowRight");
    this.choose(event.key === "ArrowLeft" ? group : this.chosen, false);
  }
}
