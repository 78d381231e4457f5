// The table of tasks, each executor's under a row of its own. Only the rows in sight are elements of
// the document.

import { age, chart, element, machineTime, megabytes, money, shortState, stateClass } from "./text.js";

const HEIGHT = 28;
const SPARE = 10;

// Their least width in rem, and their share of the room that is left.
const COLUMNS = [
  { key: "state", title: "State", width: 7.5, text: (row) => (row.isGroup ? row.states : shortState(row.state) + (row.healthy === false ? ", unhealthy" : "")) },
  { key: "task", title: "Task", width: 11, share: 1.6, text: (row) => row.task },
  { key: "framework", title: "Framework", width: 6.5, share: 0.7, text: (row) => row.framework },
  { key: "image", title: "Image", width: 7, share: 0.8, text: (row) => (row.isGroup ? row.type : row.image) },
  { key: "cpus", title: "CPUs", width: 9.5, number: true, chart: "cpu", text: (row, { use }) => (use?.cpus == null ? String(row.cpus) : `${use.cpus.toFixed(2)} of ${row.cpus}`) },
  { key: "mem", title: "Memory", width: 11, number: true, chart: "memory", text: (row, { use }) => (use ? `${used(use.mem, row.mem)} of ${megabytes(row.mem)}` : megabytes(row.mem)) },
  { key: "address", title: "Address", width: 8.5, share: 0.8, text: (row) => row.addresses.join(", ") },
  { key: "service", title: "Service", width: 7, text: (row) => (row.services || []).join(", ") },
  { key: "package", title: "Package", width: 7, text: (row) => row.package || "" },
  { key: "machine", title: "Machine time", width: 8, number: true, text: (row, { tasks }) => machineTime(tasks.machineSeconds(row)) },
  { key: "cost", title: "Cost", width: 6.5, number: true, text: (row, { tasks }) => money(tasks.cost(row)) },
  { key: "since", title: "Since", width: 4, text: (row, { now }) => age(now - (row.since || row.accepted)) },
  { key: "message", title: "What happens", width: 14, share: 2, text: happens },
];
const OPTIONAL = ["service", "package", "machine", "cost"];

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
    this.none = document.getElementById("none");
    this.usage = { of: () => null };
    this.chosen = null;
    this.now = 0;
    this.columns = COLUMNS;
    // Elements of the rows from `first` on, in their order.
    this.pool = [];
    this.first = 0;
    this.part = [];
    this.height = this.table.clientHeight;
    this.table.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.table.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => {
      this.height = this.table.clientHeight;
      this.draw();
    }).observe(this.table);
    this.hide(OPTIONAL);
  }

  // Columns that this agent has nothing for are left out.
  hide(names) {
    const columns = COLUMNS.filter(({ key }) => !names.includes(key));
    if (this.head.childElementCount && columns.length === this.columns.length) return;
    this.columns = columns;
    this.pool = [];
    const tracks = columns.map(({ width, share }) => (share ? `minmax(${width}rem, ${share}fr)` : `${width}rem`));
    this.table.style.setProperty("--columns", tracks.join(" "));
    this.table.style.setProperty("--width", `${columns.reduce((sum, { width }) => sum + width, 0)}rem`);
    this.drawHead();
    this.draw();
  }

  drawHead() {
    const focused = document.activeElement?.closest("#head button")?.dataset.key;
    this.head.replaceChildren(...this.columns.map(({ key, title, number }) => {
      const { sort } = this.tasks;
      const order = sort.key !== key ? "none" : sort.down ? "descending" : "ascending";
      const button = element("button", { type: "button", "data-key": key, onclick: () => this.sortBy(key) }, title);
      return element("span", { role: "columnheader", "aria-sort": order, class: number ? "number" : null }, button);
    }));
    if (focused) this.head.querySelector(`[data-key=${focused}]`)?.focus();
  }

  sortBy(key) {
    const { sort } = this.tasks;
    this.tasks.sortBy({ key, down: sort.key === key && !sort.down });
    this.drawHead();
    this.draw();
    this.sorted();
  }

  inSight() {
    return this.part;
  }

  // Everything in sight, anew.
  draw() {
    const shown = this.tasks.update();
    this.rows.style.height = `${shown.length * HEIGHT}px`;
    set(this.table, "aria-rowcount", shown.length + 1);
    this.place(shown);
    this.part.forEach((row, i) => this.fill(this.pool[i], row, this.first + i));
    this.none.hidden = shown.length > 0 || !this.now;
    this.none.textContent = this.tasks.rows.size ? "No task matches the filter." : "There are no tasks.";
  }

  // The rows that come into sight; the others only move.
  scrolled() {
    const before = new Map(this.part.map((row, i) => [this.pool[i], row]));
    this.place(this.tasks.update());
    this.part.forEach((row, i) => {
      if (before.get(this.pool[i]) !== row) this.fill(this.pool[i], row, this.first + i);
    });
  }

  // Which rows are in sight, and an element for each of them: one that shows its row already, if
  // there is one. The elements stay in the order of the rows, for those who have the page read out.
  place(shown) {
    const count = Math.ceil(this.height / HEIGHT) + 2 * SPARE;
    const top = Math.floor(this.table.scrollTop / HEIGHT) - SPARE;
    const first = Math.max(0, Math.min(top, shown.length - count));
    this.part = shown.slice(first, first + count);
    const moved = first - this.first;
    this.first = first;
    if (moved > 0 && moved < this.pool.length) {
      const left = this.pool.splice(0, moved);
      this.rows.append(...left);
      this.pool.push(...left);
    } else if (moved < 0 && -moved < this.pool.length) {
      const left = this.pool.splice(moved);
      this.rows.prepend(...left);
      this.pool.unshift(...left);
    }
    this.pool.length = Math.min(this.pool.length, this.part.length);
    while (this.pool.length < this.part.length) this.pool.push(this.newRow());
    const { children } = this.rows;
    const differs = children.length !== this.pool.length || this.pool.some((made, i) => children[i] !== made);
    if (differs) this.rows.replaceChildren(...this.pool);
  }

  newRow() {
    const cells = this.columns.map(({ number }) => element("span", { role: "gridcell", class: number ? "number" : null }));
    const made = element("div", { role: "row", class: "row", onclick: () => this.click(made.dataset.id) }, ...cells);
    return made;
  }

  fill(made, row, index) {
    const shown = { now: this.now, tasks: this.tasks, use: row.isGroup ? null : this.usage.of(row.id) };
    made.dataset.id = row.id;
    made.id = `row-${row.id}`;
    made.style.top = `${index * HEIGHT}px`;
    set(made, "aria-rowindex", index + 2);
    set(made, "aria-level", row.pod ? 2 : 1);
    set(made, "aria-selected", row.id === this.chosen);
    if (row.isGroup) set(made, "aria-expanded", row.open);
    else made.removeAttribute("aria-expanded");
    made.classList.toggle("chosen", row.id === this.chosen);
    made.classList.toggle("member", Boolean(row.pod));
    made.classList.toggle("group", Boolean(row.isGroup));
    this.columns.forEach(({ key, text, chart: charted }, i) => {
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
    const page = Math.max(1, Math.floor(this.height / HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.target.closest("#head")) return;
    if (event.key === "Enter" && this.chosen) return this.click(this.chosen);
    if (event.key === "ArrowLeft" || event.key === "ArrowRight") return this.fold(event);
    if (!(event.key in steps) || !shown.length) return;
    event.preventDefault();
    const now = shown.findIndex((row) => row.id === this.chosen);
    const index = Math.min(shown.length - 1, Math.max(0, (now < 0 && steps[event.key] > 0 ? -1 : now) + steps[event.key]));
    const top = index * HEIGHT;
    const room = this.height - this.head.offsetHeight - HEIGHT;
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

// Another value only: the browser looks at styles and tells screen readers at each.
function set(made, name, value) {
  const text = String(value);
  if (made.getAttribute(name) !== text) made.setAttribute(name, text);
}
