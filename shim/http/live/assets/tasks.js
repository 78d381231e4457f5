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
  service: (row) => (row.services || []).join(" "),
  package: (row) => row.package || "",
  id: (row) => row.id,
  message: (row) => row.message || "",
};

const IS = {
  live: (row) => row.live,
  ended: (row) => !row.live,
  launching: (row) => Boolean(row.stage),
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
  service: (row) => row.services?.[0] || "",
  package: (row) => row.package || "",
  machine: (row, tasks) => tasks.machineSeconds(row) ?? -1,
  cost: (row, tasks) => tasks.cost(row) ?? -1,
  since: (row) => -(row.since || row.accepted),
  message: (row) => row.stage || row.message || "",
};

// "web state:running message:"exit status"" -> a test of one row. Words may be anywhere in it.
export function predicate(text) {
  const found = text.toLowerCase().matchAll(/(?:([a-z]+):)?(?:"([^"]*)"?|(\S+))/g);
  const tests = Array.from(found, ([whole, key, quoted, plain]) => {
    const value = quoted ?? plain;
    if (key === "is" && IS[value]) return IS[value];
    if (key && FIELDS[key]) return (row) => FIELDS[key](row).toLowerCase().includes(value);
    const word = key ? whole.replaceAll('"', "") : value;
    return (row) => row.words.includes(word);
  });
  return (row) => tests.every((test) => test(row));
}

const total = (rows, of) => rows.map(of).reduce((sum, one) => (one == null ? sum : (sum ?? 0) + one), null);

export class Tasks {
  constructor() {
    this.rows = new Map();
    this.executors = new Map();
    this.closed = new Set();
    // Rows of an earlier stream that the present one has not sent yet.
    this.old = new Set();
    this.filter = "";
    this.sort = { key: "task", down: false };
    // All rows as they were sorted last.
    this.sorted = [];
    this.unsorted = false;
    this.shown = [];
    this.matching = 0;
    this.dirty = true;
    // Seconds since the epoch, and prices of packages by the hour.
    this.now = 0;
    this.prices = {};
  }

  // All rows come again. Those shown stay until then, so that the table does not jump.
  reset() {
    this.old = new Set([...this.rows.keys(), ...this.executors.keys()]);
  }

  // All rows have come.
  complete() {
    if (this.old.size) this.remove(this.old);
    this.old = new Set();
  }

  put(rows) {
    for (const row of rows) {
      row.words = Object.values(FIELDS).map((field) => field(row)).join(" ").toLowerCase();
      row.order = `${row.pod || row.task} ${row.task}`;
      this.rows.set(row.id, row);
      this.old.delete(row.id);
    }
    this.unsorted = this.dirty = true;
  }

  putExecutors(rows) {
    for (const row of rows) {
      this.executors.set(row.id, row);
      this.old.delete(row.id);
    }
    this.dirty = true;
  }

  remove(ids) {
    for (const id of ids) {
      this.rows.delete(id);
      this.executors.delete(id);
    }
    this.unsorted = this.dirty = true;
  }

  sortBy(sort) {
    this.sort = sort;
    this.unsorted = this.dirty = true;
  }

  toggle(id, open) {
    if (open === undefined ? this.closed.has(id) : open) this.closed.delete(id);
    else this.closed.add(id);
    this.dirty = true;
  }

  // What a task's machine has been paid for until now; of an executor with those of its tasks.
  machineSeconds(row) {
    if (row.machines) return total(row.machines, (one) => this.machineSeconds(one));
    if (row.machine_seconds == null) return null;
    return row.machine_seconds + (row.machine_at == null ? 0 : Math.max(0, this.now - row.machine_at));
  }

  // null without a price.
  cost(row) {
    if (row.machines) return total(row.machines, (one) => this.cost(one));
    const price = this.prices[row.package];
    const seconds = this.machineSeconds(row);
    return price == null || seconds == null ? null : (seconds / 3600) * price;
  }

  // Filters and sorts, if anything changed since the last call. Tasks of an executor stay together,
  // under a row of their executor, where the first of them would stand.
  update() {
    if (!this.dirty) return this.shown;
    this.dirty = false;
    if (this.unsorted) this.sortRows();
    const found = this.filter.trim() ? this.sorted.filter(predicate(this.filter)) : this.sorted;
    this.matching = found.length;
    this.shown = this.grouped(found);
    return this.shown;
  }

  // From the order of the last time, which is nearly the new one after a change of a few rows.
  sortRows() {
    this.unsorted = false;
    const rows = [];
    for (const { id } of this.sorted) {
      const row = this.rows.get(id);
      if (row) rows.push(row);
    }
    if (rows.length < this.rows.size) {
      const known = new Set(rows);
      for (const row of this.rows.values()) if (!known.has(row)) rows.push(row);
    }
    const key = KEYS[this.sort.key] || KEYS.task;
    const sign = this.sort.down ? -1 : 1;
    const keyed = rows.map((row) => [key(row, this), row]);
    keyed.sort(([a, one], [b, other]) => {
      if (a < b) return -sign;
      if (a > b) return sign;
      if (one.order !== other.order) return one.order < other.order ? -1 : 1;
      return one.id < other.id ? -1 : 1;
    });
    this.sorted = keyed.map(([, row]) => row);
  }

  grouped(rows) {
    const groups = new Map();
    const shown = [];
    for (const row of rows) {
      if (!row.pod) {
        shown.push(row);
        continue;
      }
      const id = row.parent || `${row.framework_id}/${row.pod}`;
      if (!groups.has(id)) {
        groups.set(id, []);
        shown.push({ id, members: groups.get(id) });
      }
      groups.get(id).push(row);
    }
    if (!groups.size) return shown;
    return shown.flatMap((row) => {
      if (!row.members) return row;
      const open = !this.closed.has(row.id);
      const group = { ...groupRow(row.id, row.members, this.executors.get(row.id)), open };
      return open ? [group, ...row.members] : group;
    });
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

// The row of an executor: what its own record says, else what its tasks have in common.
function groupRow(id, members, executor) {
  const counts = new Map();
  for (const { state } of members) counts.set(shortState(state), (counts.get(shortState(state)) || 0) + 1);
  const machines = executor ? [executor, ...members] : members;
  const packages = new Set(machines.map((one) => one.package).filter(Boolean));
  const sum = (name) => members.reduce((total, row) => total + (row.live ? row[name] : 0), executor?.live ? executor[name] : 0);
  return {
    id,
    isGroup: true,
    states: [...counts].sort().map(([state, count]) => `${count} ${state}`).join(", "),
    bad: members.some(isFailed),
    task: members[0].pod,
    framework: members[0].framework,
    type: { DEFAULT: "pod", CUSTOM: "custom executor" }[executor?.type] || "ended executor",
    phase: executor?.phase || "",
    cpus: Math.round(1000 * sum("cpus")) / 1000,
    mem: sum("mem"),
    addresses: executor?.addresses || [],
    machines,
    package: [...packages].sort().join(", "),
    accepted: Math.min(...members.map((row) => row.accepted), executor?.accepted ?? Infinity),
  };
}
