// What containers use: samples of those in sight, kept for charts over the last minutes.

const FIRST_MS = 500;
const POLL_MS = 5000;
const KEPT = 60;
const CONTAINERS = 500;

export class Usage {
  // `wanted` gives the ids of containers in sight; `changed` is called after new samples.
  constructor(wanted, changed) {
    this.wanted = wanted;
    this.changed = changed;
    this.samples = new Map();
    setTimeout(() => this.poll(), FIRST_MS);
  }

  async poll() {
    const ids = document.hidden ? [] : [...new Set(this.wanted())].slice(0, 100);
    if (ids.length) {
      const answer = await fetch(`live/usage?ids=${ids.map(encodeURIComponent).join(",")}`).catch(() => null);
      if (answer?.ok) this.take(await answer.json());
    }
    setTimeout(() => this.poll(), POLL_MS);
  }

  take(found) {
    for (const [id, sample] of Object.entries(found)) {
      const kept = this.samples.get(id) || [];
      this.samples.delete(id);
      this.samples.set(id, kept);
      if (kept.at(-1)?.at !== sample.at) kept.push(sample);
      kept.splice(0, kept.length - KEPT);
    }
    for (const id of this.samples.keys()) {
      if (this.samples.size <= CONTAINERS) break;
      this.samples.delete(id);
    }
    this.changed();
  }

  // {mem, memLimit, cpus, cpusLimit, memory: [...], cpu: [...]}; null without a sample.
  of(id) {
    const kept = this.samples.get(id);
    if (!kept?.length) return null;
    const last = kept.at(-1);
    const cpu = kept.slice(1).map((one, i) => Math.max(0, one.cpu - kept[i].cpu) / Math.max(0.001, one.at - kept[i].at));
    return {
      mem: last.mem, memLimit: last.mem_limit, cpus: cpu.at(-1) ?? null, cpusLimit: last.cpus_limit,
      processes: last.processes, memory: kept.map((one) => one.mem), cpu,
    };
  }
}
