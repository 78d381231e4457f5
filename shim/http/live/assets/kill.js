// Sends a signal to the process of a task, after a question.

import { call } from "./exec.js";
import { element } from "./text.js";

const SIGNALS = [["15", "SIGTERM: it may end by itself"], ["9", "SIGKILL: it ends at once"], ["2", "SIGINT"], ["1", "SIGHUP"]];

// A button, and a place where its outcome is said.
export function killButton(task) {
  const status = element("span", { role: "status" });
  const button = element("button", { type: "button", class: "kill", onclick: () => ask(task, status, button) }, "Kill …");
  return element("p", { class: "kill" }, button, " ", status);
}

function ask(task, status, button) {
  const choice = element("select", { "aria-label": "Signal" }, ...SIGNALS.map(([value, text]) => element("option", { value }, text)));
  const dialog = element("dialog", { class: "ask", "aria-label": "Kill the task?" },
    element("form", { method: "dialog" },
      element("p", {}, `Send a signal to the process of ${task.task}? Its framework sees how it ends, and may start it again.`),
      choice, element("p", {}, element("button", { value: "send" }, "Send"), " ", element("button", { value: "", autofocus: true }, "Cancel"))));
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  dialog.addEventListener("close", async () => {
    dialog.remove();
    button.focus();
    if (dialog.returnValue !== "send") return;
    try {
      await call("KILL_CONTAINER", { container_id: task.exec_in, signal: Number(choice.value) });
      status.textContent = "The signal was sent.";
    } catch (error) {
      status.textContent = `Not sent: ${error.message}`;
    }
  });
  document.body.append(dialog);
  dialog.showModal();
}
