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

export class Tasks {
  constructor() {
    this.rows = new Map();
    this.executors = new Map();
    this.closed = new Set();
    this.filter = "";
    this.sort = { key: "task", down: false };
    this.shown = [];
    this.matching = 0;
    this.dirty = true;
  }

  reset() {
    this.rows.clear();
    this.executors.clear();
    this.dirty = true;
  }

  put(rows) {
    for (const row of rows) {
      row.words = Object.values(FIELDS).map((field) => field(row)).join(" ").toLowerCase();
      this.rows.set(row.id, row);
    }
    this.dirty = true;
  }

  putExecutors(rows) {
    for (const row of rows) this.executors.set(row.id, row);
    this.dirty = true;
  }

  remove(ids) {
    for (const id of ids) {
      this.rows.delete(id);
      this.executors.delete(id);
    }
    this.dirty = true;
  }

  toggle(id, open) {
    if (open === undefined ? this.closed.has(id) : open) this.closed.delete(id);
    else this.closed.add(id);
    this.dirty = true;
  }

  // Filters and sorts, if anything changed since the last call. Tasks of an executor stay together,
  // under a row of their executor, where the first of them would stand.
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
    this.matching = found.length;
    this.shown = this.grouped(found.map(([, row]) => row));
    return this.shown;
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
    accepted: Math.min(...members.map((row) => row.accepted), executor?.accepted ?? Infinity),
  };
}
