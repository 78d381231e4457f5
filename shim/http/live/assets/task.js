// One task: what it is, what became of it, its output live, its files, a terminal in it.

import { killButton } from "./kill.js";
import { Files, Output } from "./output.js";
import { Terminal } from "./terminal.js";
import { age, chart, element, megabytes, money, shortState, stateClass } from "./text.js";

const NO_RIGHT = "Read only: commands and signals need --http_credentials with --authenticate_http_readwrite, or --unsafe_exec.";

export class TaskPanel {
  constructor(usage, closed) {
    this.panel = document.getElementById("task");
    this.usage = usage;
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
    const answer = await fetch(`live/task?id=${encodeURIComponent(id)}`).catch(() => null);
    if (this.id !== id) return;
    this.panel.hidden = false;
    if (!answer?.ok) {
      const text = answer?.status === 404 ? "The agent does not know this task any more." : "The agent does not answer.";
      this.panel.replaceChildren(this.closer(), text);
      this.panel.querySelector(".close").focus();
      return;
    }
    const task = await answer.json();
    if (this.id !== id) return;
    this.outputs = ["stdout", "stderr"].map((name) => new Output(task.directory, name));
    this.facts = element("div", {});
    this.use = element("div", {});
    this.touch = element("div", {});
    this.panel.replaceChildren(
      this.closer(),
      element("h2", {}, task.task),
      this.facts,
      this.use,
      element("div", { class: "outputs" }, ...this.outputs.map((output) => output.section)),
      this.touch,
      new Files(task.directory).section,
      element("details", {}, element("summary", {}, "TaskInfo"), element("pre", { tabindex: "0" }, JSON.stringify(task.info, null, 2))),
    );
    this.panel.querySelector(".close").focus();
    this.fill(task);
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
    this.terminal?.close();
    this.terminal = null;
    this.touched = "";
    this.id = null;
  }

  changed(row) {
    if (row.id === this.id) this.refresh(row.id);
  }

  async refresh(id) {
    const answer = await fetch(`live/task?id=${encodeURIComponent(id)}`).catch(() => null);
    if (answer?.ok && this.id === id) this.fill(await answer.json());
  }

  async poll(id) {
    if (this.id !== id) return;
    for (const output of this.outputs) {
      await output.poll().catch((error) => {
        if (!output.pre.textContent) output.pre.textContent = `cannot be read: ${error.message}`;
      });
    }
    if (this.id === id) this.timer = setTimeout(() => this.poll(id), 1000);
  }

  // --- what the agent says of it --------------------------------------------------------------

  fill(task) {
    const { cpus, mem, disk } = task.resources;
    const health = task.statuses.at(-1)?.healthy;
    const pairs = {
      State: element("span", { class: stateClass(task) }, shortState(task.state), task.stage ? `: ${task.stage}` : ""),
      Health: health == null ? "" : element("span", { class: health ? "good" : "bad" }, health ? "healthy" : "unhealthy"),
      Container: task.container,
      Framework: task.framework_id,
      Executor: task.executor,
      Addresses: task.addresses.join(", "),
      Ports: task.ports.join(", "),
      Services: task.services.join(", "),
      Resources: `${cpus} cpus, ${megabytes(mem)}, disk ${megabytes(disk)}`,
      Triton: task.triton ? bill(task.triton) : "",
      Accepted: new Date(task.accepted * 1000).toISOString(),
    };
    const list = Object.entries(pairs).filter(([, value]) => value !== "").flatMap(([name, value]) =>
      [element("dt", {}, name), element("dd", {}, value)]);
    this.facts.replaceChildren(element("dl", {}, ...list), history(task), ...(task.launch.length ? [launch(task.launch)] : []));
    this.fillTouch(task);
  }

  // Kept as it is while nothing changes: a terminal may run in it.
  fillTouch(task) {
    const what = JSON.stringify([task.may_touch, task.exec_in, task.live]);
    if (what === this.touched || this.terminal?.session) return;
    this.touched = what;
    if (!task.exec_in) return void this.touch.replaceChildren();
    if (!task.may_touch) return void this.touch.replaceChildren(element("p", { class: "soft" }, NO_RIGHT));
    this.terminal = new Terminal(task.exec_in, task.task);
    // A container that several tasks share is not killed for one of them.
    const own = task.exec_in.value === task.id;
    this.touch.replaceChildren(this.terminal.section, ...(own ? [killButton(task)] : []));
  }

  drawUse() {
    const use = this.id && this.usage.of(this.id);
    if (!use) return;
    this.use.replaceChildren(
      "memory ", chart(use.memory, "memory over the last minutes"), ` ${megabytes(use.mem)} of ${megabytes(use.memLimit)}, cpu `,
      chart(use.cpu, "cpus over the last minutes"), use.cpus === null ? "" : ` ${use.cpus.toFixed(2)} of ${use.cpusLimit}`,
      `, ${use.processes} processes`,
    );
  }
}

function history(task) {
  const waiting = new Set(task.unacknowledged);
  const head = element("tr", {}, ...["State", "At", "After", "Update", "Reason"].map((name) => element("th", { scope: "col" }, name)));
  return element("table", { "aria-label": "History of states" }, head, ...task.statuses.map((status, i) => element("tr", {},
    element("td", { class: stateClass({ state: status.state, healthy: status.healthy }) }, shortState(status.state)),
    element("td", {}, new Date(status.timestamp * 1000).toISOString()),
    element("td", {}, i ? `+${age(status.timestamp - task.statuses[i - 1].timestamp)}` : ""),
    element("td", {}, waiting.has(status.state) ? "waits for its acknowledgement" : "acknowledged"),
    element("td", {}, [status.reason.replace(/^REASON_/, ""), status.message].filter(Boolean).join(": ")),
  )));
}

function launch(stages) {
  const head = element("tr", {}, ...["Launch", "Took", ""].map((name) => element("th", { scope: "col" }, name)));
  return element("table", { "aria-label": "Stages of the launch" }, head, ...stages.map(({ stage, seconds, detail }) => element("tr", {},
    element("td", {}, stage), element("td", { class: "number" }, seconds === null ? "under way" : `${seconds.toFixed(1)} s`),
    element("td", {}, detail))));
}

function bill({ package: name, machine_seconds: seconds, cost }) {
  const paid = cost == null ? "" : `, ${money(cost)} so far`;
  return `package ${name}, ${Math.round(seconds)} machine-seconds${paid}`;
}
