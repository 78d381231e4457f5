// A command in a task's container, over the operator API as Mesos' CLI does it: its output is the
// answer of the call that launches it, its input comes in further calls.

const API = "api/v1";
const RECORDIO = "application/recordio";
const LENGTH_MAX = 20;
const RECORD_MAX = 16 * 1024 * 1024;
const WAITING_MAX = 1024 * 1024;
const TURN_MS = 30;
const SIGNALS = { 2: "SIGINT", 3: "SIGQUIT", 6: "SIGABRT", 9: "SIGKILL", 11: "SIGSEGV", 13: "SIGPIPE", 15: "SIGTERM" };

export async function call(type, body, more = {}) {
  const answer = await fetch(API, {
    method: "POST",
    headers: { "Content-Type": "application/json", ...more.headers },
    body: JSON.stringify({ type, [type.toLowerCase()]: body }),
    signal: more.signal,
  });
  if (!answer.ok) throw new Error((await answer.text()) || `the agent answers ${answer.status}`);
  return answer;
}

// Splits bytes into records, each after its length and a line break, wherever they are cut.
export class Records {
  constructor() {
    this.bytes = new Uint8Array(0);
  }

  feed(piece) {
    const all = new Uint8Array(this.bytes.length + piece.length);
    all.set(this.bytes);
    all.set(piece, this.bytes.length);
    const found = [];
    let at = 0;
    for (;;) {
      const end = all.indexOf(10, at);
      if (end < 0 && all.length - at > LENGTH_MAX) throw new Error("the answer is not RecordIO");
      if (end < 0) break;
      const length = Number(new TextDecoder().decode(all.subarray(at, end)));
      if (!(length >= 0 && length <= RECORD_MAX)) throw new Error("the answer is not RecordIO");
      if (all.length < end + 1 + length) break;
      found.push(JSON.parse(new TextDecoder().decode(all.subarray(end + 1, end + 1 + length))));
      at = end + 1 + length;
    }
    this.bytes = all.slice(at);
    return found;
  }
}

export class ExecSession {
  // `output` gets text as it comes, `problem` a sentence when input is lost.
  constructor(container, output, problem) {
    const value = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    this.id = { value, parent: container };
    this.output = output;
    this.problem = problem;
    this.aborting = new AbortController();
    this.decoders = {};
    this.waiting = [];
    this.waitingSize = 0;
    this.sending = false;
    this.ended = false;
  }

  // How it ended, as a sentence. Raises what the agent says when it does not begin.
  async run(argv, size) {
    const body = {
      container_id: this.id,
      command: { value: argv[0], arguments: argv, shell: false },
      container: { type: "MESOS", tty_info: { window_size: size } },
    };
    const headers = { Accept: RECORDIO, "Message-Accept": "application/json" };
    const answer = await call("LAUNCH_NESTED_CONTAINER_SESSION", body, { headers, signal: this.aborting.signal });
    try {
      await this.read(answer.body.getReader());
    } catch (error) {
      if (this.aborting.signal.aborted) return "The command was ended.";
      return `The connection to the agent is gone (${error.message}): the agent ends the command.`;
    } finally {
      this.ended = true;
    }
    const status = await (await call("WAIT_CONTAINER", { container_id: this.id })).json();
    return ending(status.wait_container.exit_status);
  }

  async read(reader) {
    const records = new Records();
    let begun = performance.now();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      for (const record of records.feed(value)) {
        if (record.type === "DATA") this.show(record.data);
        // Much output at once leaves the page its turns.
        if (performance.now() - begun < TURN_MS) continue;
        await new Promise((resolve) => { setTimeout(resolve); });
        begun = performance.now();
      }
    }
  }

  show({ type, data }) {
    const decoder = (this.decoders[type] ||= new TextDecoder());
    this.output(decoder.decode(Uint8Array.from(atob(data), (character) => character.charCodeAt(0)), { stream: true }));
  }

  send(text) {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += 16384) {
      const data = btoa(String.fromCharCode(...bytes.subarray(at, at + 16384)));
      this.push({ type: "DATA", data: { type: "STDIN", data } }, data.length);
    }
  }

  resize(size) {
    this.push({ type: "CONTROL", control: { type: "TTY_INFO", tty_info: { window_size: size } } }, 0);
  }

  push(process_io, size) {
    if (this.ended) return;
    if (this.waitingSize + size > WAITING_MAX) {
      this.problem("The command does not read its input: what was typed is lost.");
      return;
    }
    this.waitingSize += size;
    this.waiting.push({ type: "PROCESS_IO", process_io });
    if (!this.sending) this.sendAll();
  }

  // One request at a time keeps the order; what is typed meanwhile goes with the next.
  async sendAll() {
    this.sending = true;
    while (this.waiting.length && !this.ended) {
      const records = [{ type: "CONTAINER_ID", container_id: this.id }, ...this.waiting];
      this.waiting = [];
      this.waitingSize = 0;
      const headers = { "Content-Type": RECORDIO, "Message-Content-Type": "application/json" };
      try {
        const answer = await fetch(API, { method: "POST", headers, body: records.map(record).join(""), signal: this.aborting.signal });
        if (!answer.ok && !this.ended) this.problem(await answer.text());
      } catch (error) {
        if (!this.ended) this.problem(`Input is lost: ${error.message}`);
      }
    }
    this.sending = false;
  }

  // The agent ends the command of a client that has gone.
  close() {
    this.ended = true;
    this.aborting.abort();
  }
}

// Everything in a record is ASCII, so its length in characters is that in bytes.
function record(attach_container_input) {
  const text = JSON.stringify({ type: "ATTACH_CONTAINER_INPUT", attach_container_input });
  return `${text.length}\n${text}`;
}

export function ending(status) {
  const signal = status & 0x7f;
  if (signal) return `The command was ended by ${SIGNALS[signal] || `signal ${signal}`}.`;
  return `The command has ended with exit status ${status >> 8}.`;
}

// "sh -c 'a b'" -> ["sh", "-c", "a b"]: quotes keep spaces, a backslash keeps what follows.
export function words(text) {
  const found = [];
  for (const [whole] of text.matchAll(/(?:\\.|'[^']*'|"(?:\\.|[^"\\])*"|[^\s'"\\])+/gs)) {
    found.push(whole.replace(/\\(.)|'([^']*)'|"((?:\\.|[^"\\])*)"/gs, (_, escaped, single, double) =>
      escaped ?? single ?? double.replace(/\\(["\\$`])/g, "$1")));
  }
  return found;
}
