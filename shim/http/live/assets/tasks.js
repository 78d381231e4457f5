// All tasks, which of them are shown, and in which order. No part of the document is used here.

import { isFailed, shortState } from "./text.js";

const FIELDS = {
  state: (row) => shortState(row.state),
  task: (row) => row.task,
  name: (row) => row.name,
  framework: (row) => `${row.framework} ${row.framework_id}`,
  image: (row) => row.image,
  pod: (row) => row.pod || "",
  address: (row) => row.addresses.join(" "),
  package: (row) => row.package || "",
  id: (row) => row.id,
  message: (row) => row.message || "",
};

const IS = {
  live: (row) => row.live,
  ended: (row) => !row.live,
  failed: isFailed,
  healthy: (row) => row.healthy === true,
  unhealthy: (row) => row.healthy === false,
};

const KEYS = {
  state: (row) => shortState(row.state),
  task: (row) => row.task,
  framework: (row) => row.framework,
  image: (row) => row.image,
  cpus: (row) => row.cpus,
  mem: (row) => row.mem,
  address: (row) => row.addresses[0] || "",
  since: (row) => -(row.since || row.accepted),
  message: (row) => row.stage || row.message || "",
};

// "web state:running is:healthy" -> a test of one row. Words may be anywhere in it.
export function predicate(text) {
  const tests = text.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
    const [, key, value] = /^([a-z]+):(.*)$/.exec(word) || [];
    if (key === "is" && IS[value]) return IS[value];
    if (key && FIELDS[key]) return (row) => FIELDS[key](row).toLowerCase().includes(value);
    return (row) => row.words.includes(word);
  });
  return (row) => tests.every((test) => test(row));
}

export class Tasks {
  constructor() {
    this.rows = new Map();
    this.filter = "";
    this.sort = { key: "task", down: false };
    this.shown = [];
    this.dirty = true;
  }

  reset() {
    this.rows.clear();
    this.dirty = true;
  }

  put(rows) {
    for (const row of rows) {
      row.words = Object.values(FIELDS).map((field) => field(row)).join(" ").toLowerCase();
      this.rows.set(row.id, row);
    }
    this.dirty = true;
  }

  remove(ids) {
    for (const id of ids) this.rows.delete(id);
    this.dirty = true;
  }

  // Filters and sorts, if anything changed since the last call. Tasks of a pod stay together.
  update() {
    if (!this.dirty) return this.shown;
    this.dirty = false;
    const test = predicate(this.filter);
    const key = KEYS[this.sort.key] || KEYS.task;
    const sign = this.sort.down ? -1 : 1;
    const found = [];
    for (const row of this.rows.values()) if (test(row)) found.push([key(row), row]);
    found.sort(([a, one], [b, other]) => {
      if (a < b) return -sign;
      if (a > b) return sign;
      const left = `${one.pod || one.task} ${one.task}`;
      const right = `${other.pod || other.task} ${other.task}`;
      return left < right ? -1 : left > right ? 1 : one.id < other.id ? -1 : 1;
    });
    this.shown = found.map(([, row]) => row);
    return this.shown;
  }

  countByState() {
    const counts = new Map();
    for (const row of this.rows.values()) {
      const state = shortState(row.state);
      counts.set(state, (counts.get(state) || 0) + 1);
    }
    return [...counts].sort();
  }
}
