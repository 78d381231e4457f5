// One task: what it is, what became of it, its output live, its files.

import { age, chart, element, megabytes, printable, shortState, stateClass } from "./text.js";

const KEPT = 512 * 1024;
const USAGE_MS = 5000;
const USAGE_KEPT = 60;

class Output {
  constructor(directory, name) {
    this.path = `${directory}/${name}`;
    this.offset = null;
    this.pre = element("pre", { tabindex: "0", "aria-label": name });
    const link = element("a", { href: `files/download?path=${encodeURIComponent(this.path)}` }, "download");
    this.section = element("section", {}, element("h2", {}, `${name} `, link), this.pre);
  }

  async poll() {
    if (this.offset === null) {
      const { offset } = await this.read(-1);
      this.offset = Math.max(0, offset - KEPT / 8);
    }
    for (let i = 0; i < 20; i += 1) {
      const { data } = await this.read(this.offset);
      if (!data) return;
      this.offset += new TextEncoder().encode(data).length;
      const atEnd = this.pre.scrollTop + this.pre.clientHeight >= this.pre.scrollHeight - 4;
      this.pre.textContent = (this.pre.textContent + printable(data)).slice(-KEPT);
      if (atEnd) this.pre.scrollTop = this.pre.scrollHeight;
    }
  }

  async read(offset) {
    const answer = await fetch(`files/read?path=${encodeURIComponent(this.path)}&offset=${offset}`);
    if (!answer.ok) throw new Error(`${answer.status} ${await answer.text()}`);
    return answer.json();
  }
}

export class TaskPanel {
  constructor(closed) {
    this.panel = document.getElementById("task");
    this.closed = closed;
    this.id = null;
    this.timer = 0;
    document.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && this.id) this.close();
    });
  }

  async open(id) {
    this.stop();
    this.id = id;
    this.usage = [];
    this.usageAt = 0;
    const answer = await fetch(`live/task?id=${encodeURIComponent(id)}`);
    if (this.id !== id) return;
    this.panel.hidden = false;
    if (!answer.ok) {
      this.panel.replaceChildren(this.closer(), "The agent does not know this task any more.");
      return;
    }
    const task = await answer.json();
    this.outputs = ["stdout", "stderr"].map((name) => new Output(task.directory, name));
    this.facts = element("div", {});
    this.use = element("div", {});
    this.files = element("div", {});
    this.panel.replaceChildren(
      this.closer(),
      element("h2", {}, task.task),
      this.facts,
      this.use,
      element("div", { class: "outputs" }, ...this.outputs.map((output) => output.section)),
      this.files,
      element("details", {}, element("summary", {}, "TaskInfo"), element("pre", {}, JSON.stringify(task.info, null, 2))),
    );
    this.panel.querySelector(".close").focus();
    this.fill(task);
    this.browse(task.directory);
    this.poll(id);
  }

  closer() {
    return element("button", { class: "close", type: "button", "aria-label": "Close", onclick: () => this.close() }, "×");
  }

  close() {
    this.stop();
    this.panel.hidden = true;
    this.closed();
  }

  stop() {
    clearTimeout(this.timer);
    this.id = null;
  }

  changed(row) {
    if (row.id === this.id) this.refresh(row.id);
  }

  async refresh(id) {
    const answer = await fetch(`live/task?id=${encodeURIComponent(id)}`);
    if (answer.ok && this.id === id) this.fill(await answer.json());
  }

  async poll(id) {
    if (this.id !== id) return;
    for (const output of this.outputs) {
      await output.poll().catch((error) => {
        if (!output.pre.textContent) output.pre.textContent = `cannot be read: ${error.message}`;
      });
    }
    if (this.live && Date.now() - this.usageAt > USAGE_MS) await this.sample(id).catch(() => {});
    if (this.id === id) this.timer = setTimeout(() => this.poll(id), 1000);
  }

  fill(task) {
    this.live = task.live;
    const waiting = new Set(task.unacknowledged);
    const pairs = [
      ["State", element("span", { class: stateClass(task) }, shortState(task.state), task.stage ? `: ${task.stage}` : "")],
      ["Container", task.container],
      ["Framework", task.framework_id],
      ["Addresses", task.addresses.join(", ")],
      ["Resources", `${task.resources.cpus} cpus, ${megabytes(task.resources.mem)}, disk ${megabytes(task.resources.disk)}`],
      ["Accepted", new Date(task.accepted * 1000).toISOString()],
    ];
    if (task.triton) pairs.push(["Triton", Object.entries(task.triton).map(([key, value]) => `${key} ${value}`).join(", ")]);
    const list = pairs.filter(([, value]) => value !== "").flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
    const history = task.statuses.map((status, i) => element("tr", {},
      element("td", { class: stateClass({ state: status.state, healthy: status.healthy }) }, shortState(status.state)),
      element("td", {}, new Date(status.timestamp * 1000).toISOString()),
      element("td", {}, i ? `+${age(status.timestamp - task.statuses[i - 1].timestamp)}` : ""),
      element("td", {}, waiting.has(status.state) ? "waits for its acknowledgement" : "acknowledged"),
      element("td", {}, [status.reason.replace(/^REASON_/, ""), status.message].filter(Boolean).join(": ")),
    ));
    this.facts.replaceChildren(element("dl", {}, ...list), element("table", {}, ...history));
  }

  async sample(id) {
    this.usageAt = Date.now();
    const answer = await fetch(`containers?container_id=${encodeURIComponent(id)}`);
    if (!answer.ok || this.id !== id) return;
    const [found] = await answer.json();
    if (!found) return;
    this.usage.push(found.statistics);
    this.usage.splice(0, this.usage.length - USAGE_KEPT);
    const last = found.statistics;
    const cpu = this.usage.slice(1).map((one, i) => {
      const before = this.usage[i];
      const used = one.cpus_user_time_secs + one.cpus_system_time_secs - before.cpus_user_time_secs - before.cpus_system_time_secs;
      return used / Math.max(0.001, one.timestamp - before.timestamp);
    }).filter(Number.isFinite);
    const memory = this.usage.map((one) => one.mem_rss_bytes / 1048576);
    this.use.replaceChildren(
      "memory ", chart(memory, "memory over the last minutes"), ` ${megabytes(memory.at(-1))} of ${megabytes(last.mem_limit_bytes / 1048576)}`,
      "  cpu ", chart(cpu, "cpus over the last minutes"), cpu.length ? ` ${cpu.at(-1).toFixed(2)} of ${last.cpus_limit}` : "",
    );
  }

  async browse(directory) {
    const answer = await fetch(`files/browse?path=${encodeURIComponent(directory)}`);
    if (!answer.ok) return;
    const files = (await answer.json()).map((file) => {
      const name = file.path.slice(directory.length + 1);
      const isFile = file.mode.startsWith("-");
      const link = element("a", { href: `files/download?path=${encodeURIComponent(file.path)}` }, name);
      return element("tr", {}, element("td", {}, file.mode), element("td", { class: "number" }, String(file.size)), element("td", {}, isFile ? link : `${name}/`));
    });
    this.files.replaceChildren(element("h2", {}, "Files"), element("table", {}, ...files));
  }
}
