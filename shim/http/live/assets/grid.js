// The table of tasks. Only the rows in sight are elements of the document.

import { age, element, megabytes, shortState, stateClass } from "./text.js";

const HEIGHT = 28;
const SPARE = 10;

const COLUMNS = [
  ["state", "State", (row) => shortState(row.state) + (row.healthy === false ? ", unhealthy" : "")],
  ["task", "Task", (row) => row.task],
  ["framework", "Framework", (row) => row.framework],
  ["image", "Image", (row) => row.image],
  ["cpus", "CPUs", (row) => String(row.cpus)],
  ["mem", "Memory", (row) => megabytes(row.mem)],
  ["address", "Address", (row) => row.addresses.join(", ")],
  ["since", "Since", (row, now) => age(now - (row.since || row.accepted))],
  ["message", "What happens", (row) => row.stage || row.message || ""],
];

export class Grid {
  constructor(tasks, open, sorted) {
    this.tasks = tasks;
    this.open = open;
    this.sorted = sorted;
    this.table = document.getElementById("table");
    this.rows = document.getElementById("rows");
    this.head = document.getElementById("head");
    this.chosen = null;
    this.now = 0;
    this.pool = [];
    this.table.addEventListener("scroll", () => this.draw(), { passive: true });
    this.table.addEventListener("keydown", (event) => this.key(event));
    new ResizeObserver(() => this.draw()).observe(this.table);
    this.drawHead();
  }

  drawHead() {
    this.head.replaceChildren(...COLUMNS.map(([key, title]) => {
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

  draw() {
    const shown = this.tasks.update();
    this.rows.style.height = `${shown.length * HEIGHT}px`;
    this.table.setAttribute("aria-rowcount", shown.length + 1);
    const first = Math.max(0, Math.floor(this.table.scrollTop / HEIGHT) - SPARE);
    const count = Math.ceil(this.table.clientHeight / HEIGHT) + 2 * SPARE;
    const part = shown.slice(first, first + count);
    while (this.pool.length < part.length) this.pool.push(this.newRow());
    part.forEach((row, i) => this.fill(this.pool[i], row, first + i));
    this.rows.replaceChildren(...this.pool.slice(0, part.length));
  }

  newRow() {
    const cells = COLUMNS.map(([key]) => {
      const number = key === "cpus" || key === "mem" ? "number" : null;
      return element("span", { role: "gridcell", class: number });
    });
    const made = element("div", { role: "row", class: "row", onclick: () => this.choose(made.dataset.id, true) }, ...cells);
    return made;
  }

  fill(made, row, index) {
    made.dataset.id = row.id;
    made.id = `row-${row.id}`;
    made.style.transform = `translateY(${index * HEIGHT}px)`;
    made.setAttribute("aria-rowindex", index + 2);
    made.setAttribute("aria-selected", row.id === this.chosen);
    made.classList.toggle("chosen", row.id === this.chosen);
    made.classList.toggle("member", Boolean(row.pod));
    COLUMNS.forEach(([key, , text], i) => {
      const cell = made.children[i];
      const value = text(row, this.now);
      if (cell.textContent !== value) {
        cell.textContent = value;
        cell.title = value;
      }
      if (key === "state") cell.className = stateClass(row);
    });
  }

  choose(id, open) {
    this.chosen = id;
    this.table.setAttribute("aria-activedescendant", `row-${id}`);
    this.draw();
    if (open) this.open(id);
  }

  key(event) {
    const shown = this.tasks.shown;
    const page = Math.max(1, Math.floor(this.table.clientHeight / HEIGHT) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity };
    if (event.key === "Enter" && this.chosen) return this.open(this.chosen);
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
}
