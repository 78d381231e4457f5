// A terminal in the page: shows a Screen, passes keys to a session, follows the size of its place.

import { ExecSession, words } from "./exec.js";
import { SCROLLBACK, Screen } from "./screen.js";
import { element, printable } from "./text.js";

const SPOKEN = 1000;
const SPEAK_MS = 400;
const PASTE_MAX = 256 * 1024;
const SPANS_MAX = 50000;
const PAUSES = 3;

const CURSOR_KEYS = { ArrowUp: "A", ArrowDown: "B", ArrowRight: "C", ArrowLeft: "D", Home: "H", End: "F" };
const KEYS = {
  Enter: "\r", Backspace: "\x7f", Tab: "\t", Escape: "\x1b", Insert: "\x1b[2~", Delete: "\x1b[3~", PageUp: "\x1b[5~", PageDown: "\x1b[6~",
  F1: "\x1bOP", F2: "\x1bOQ", F3: "\x1bOR", F4: "\x1bOS", F5: "\x1b[15~", F6: "\x1b[17~", F7: "\x1b[18~", F8: "\x1b[19~",
  F9: "\x1b[20~", F10: "\x1b[21~", F11: "\x1b[23~", F12: "\x1b[24~",
};

// What a key sends; null for keys that the browser keeps, and for text, which comes as input.
export function keySequence(event, modes) {
  if (event.isComposing || event.metaKey) return null;
  const { key, ctrlKey, altKey, shiftKey } = event;
  if (key === "Tab" && shiftKey) return null;
  const prefix = altKey ? "\x1b" : "";
  if (key in CURSOR_KEYS) {
    const modifier = 1 + (shiftKey ? 1 : 0) + (altKey ? 2 : 0) + (ctrlKey ? 4 : 0);
    if (modifier > 1) return `\x1b[1;${modifier}${CURSOR_KEYS[key]}`;
    return `\x1b${modes.applicationKeys ? "O" : "["}${CURSOR_KEYS[key]}`;
  }
  if (key in KEYS) return ctrlKey ? null : prefix + KEYS[key];
  if (ctrlKey && shiftKey) return null;
  if (ctrlKey && key.length === 1) {
    if (key === " ") return `${prefix}\0`;
    const code = key.toUpperCase().charCodeAt(0);
    return code >= 0x40 && code <= 0x5f ? prefix + String.fromCharCode(code - 0x40) : null;
  }
  return altKey && key.length === 1 ? prefix + key : null;
}

export class Terminal {
  constructor(container, title) {
    this.container = container;
    this.title = title;
    this.session = null;
    this.elements = new WeakMap();
    this.unspoken = "";
    this.spans = 0;
    this.pause = 0;
    this.scrollback = element("div", {});
    this.lines = element("div", {});
    this.input = element("textarea", {
      class: "keys", rows: "1", autocapitalize: "off", autocomplete: "off", spellcheck: "false",
      "aria-label": `Terminal of ${title}. Shift and Tab leave it.`,
    });
    this.view = element("div", { class: "screen", hidden: true }, this.scrollback, this.lines, this.input);
    this.spoken = element("div", { class: "spoken", role: "log", "aria-live": "polite" });
    this.status = element("p", { class: "status", role: "status" });
    this.command = element("input", { type: "text", value: "sh", spellcheck: "false", autocomplete: "off", "aria-label": "Command" });
    this.start = element("button", { type: "submit" }, "Run");
    this.stop = element("button", { type: "button", hidden: true, onclick: () => this.session?.close() }, "End");
    const form = element("form", { class: "command", onsubmit: (event) => this.run(event) }, this.command, this.start, this.stop);
    this.section = element("section", { class: "terminal", "aria-label": "Terminal" },
      element("h3", {}, "Terminal"), form, this.view, this.status, this.spoken);
    this.listen();
  }

  listen() {
    this.view.addEventListener("mouseup", () => { if (!String(getSelection())) this.input.focus({ preventScroll: true }); });
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("input", (event) => { if (!event.isComposing) this.type(); });
    this.input.addEventListener("compositionend", () => this.type());
    this.input.addEventListener("paste", (event) => this.paste(event));
    for (const name of ["focus", "blur"]) this.input.addEventListener(name, () => this.draw());
    this.resizing = new ResizeObserver(() => this.fit());
  }

  // --- a session ----------------------------------------------------------------------------

  async run(event) {
    event.preventDefault();
    const argv = words(this.command.value);
    if (!argv.length || this.session) return;
    this.view.hidden = false;
    this.scrollback.replaceChildren();
    this.spans = 0;
    this.screen = new Screen(24, 80, (answer) => this.session?.send(answer));
    this.session = new ExecSession(this.container, (text) => this.write(text), (text) => this.say(text));
    const size = this.measure();
    this.screen.resize(size.rows, size.columns);
    this.running(true);
    this.resizing.observe(this.view);
    this.draw();
    this.input.focus({ preventScroll: true });
    try {
      this.say(await this.session.run(argv, size));
    } catch (error) {
      this.say(`Not run: ${error.message}`);
    }
    this.session = null;
    this.resizing.disconnect();
    this.running(false);
    this.draw();
  }

  running(is) {
    this.start.hidden = this.command.disabled = is;
    this.stop.hidden = !is;
    if (is) this.say("Running. Shift and Tab leave the terminal.");
    else if (document.activeElement === this.input) this.command.focus();
  }

  say(text) {
    this.status.textContent = printable(text);
  }

  close() {
    this.session?.close();
    this.resizing.disconnect();
  }

  // --- input --------------------------------------------------------------------------------

  key(event) {
    if (!this.session) return;
    if (event.ctrlKey && event.key === "c" && String(getSelection())) return;
    const text = keySequence(event, this.screen.modes);
    // Also the keys of the page itself, such as Escape, belong to the command.
    event.stopPropagation();
    if (text === null) return;
    event.preventDefault();
    this.session.send(text);
  }

  type() {
    this.session?.send(this.input.value.replaceAll("\n", "\r"));
    this.input.value = "";
  }

  paste(event) {
    event.preventDefault();
    let text = event.clipboardData.getData("text").slice(0, PASTE_MAX).replace(/\r?\n/g, "\r");
    // Pasted text is not typed: it cannot end the brackets around it.
    if (this.screen?.modes.bracketedPaste) text = `\x1b[200~${text.replaceAll("\x1b", "")}\x1b[201~`;
    this.session?.send(text);
  }

  // --- output -------------------------------------------------------------------------------

  write(text) {
    this.screen.write(text);
    this.draw();
    this.unspoken = (this.unspoken + printable(text)).slice(-SPOKEN);
    this.speaking ||= setTimeout(() => {
      this.spoken.textContent = this.unspoken;
      this.unspoken = "";
      this.speaking = 0;
    }, SPEAK_MS);
  }

  draw() {
    if (this.drawing || !this.screen) return;
    this.drawing = true;
    // A screen of many colours takes long to draw: the rest of the page has its turn between.
    setTimeout(() => requestAnimationFrame(() => {
      this.drawing = false;
      const begun = performance.now();
      this.drawNow();
      this.pause = PAUSES * (performance.now() - begun);
    }), this.pause);
  }

  drawNow() {
    const { screen, view } = this;
    const atEnd = view.scrollTop + view.clientHeight >= view.scrollHeight - 4;
    this.keep(screen.takeScrolled().map((line) => this.lineElement(line, -1)));
    if (this.cursorLine) this.cursorLine.dirty = true;
    this.cursorLine = screen.lines[screen.row];
    this.cursorLine.dirty = true;
    const cursor = screen.modes.cursor && this.session ? screen.column : -1;
    this.lines.replaceChildren(...screen.lines.map((line) => this.lineElement(line, line === this.cursorLine ? cursor : -1)));
    // Input methods show what is being typed at the cursor.
    this.input.style.top = `${this.lines.children[screen.row].offsetTop}px`;
    if (atEnd) view.scrollTop = view.scrollHeight;
  }

  // Lines that left the screen, the newest ones: fewer of many colours.
  keep(lines) {
    const { scrollback } = this;
    scrollback.append(...lines);
    for (const line of lines) this.spans += line.childElementCount;
    while (scrollback.childElementCount > SCROLLBACK || this.spans > SPANS_MAX) {
      this.spans -= scrollback.firstChild.childElementCount;
      scrollback.firstChild.remove();
    }
  }

  lineElement(line, cursor) {
    let made = this.elements.get(line);
    if (made && !line.dirty) return made;
    if (!made) this.elements.set(line, (made = element("div", {})));
    line.dirty = false;
    made.replaceChildren(...runs(line.cells, cursor).map(({ text, style, isCursor }) => span(text, style, isCursor)));
    return made;
  }

  // --- size ---------------------------------------------------------------------------------

  measure() {
    const text = element("span", {}, "W".repeat(100));
    const probe = element("div", {}, text);
    this.lines.append(probe);
    const { width } = text.getBoundingClientRect();
    const { height } = probe.getBoundingClientRect();
    probe.remove();
    const style = getComputedStyle(this.view);
    const inside = (side) => parseFloat(style[`padding${side}`]) || 0;
    const columns = Math.floor(((this.view.clientWidth - inside("Left") - inside("Right")) * 100) / (width || 800));
    const rows = Math.floor((this.view.clientHeight - inside("Top") - inside("Bottom")) / (height || 17));
    return { rows: Math.max(2, Math.min(200, rows)), columns: Math.max(10, Math.min(500, columns)) };
  }

  fit() {
    const size = this.measure();
    if (size.rows === this.screen.rows && size.columns === this.screen.columns) return;
    this.screen.resize(size.rows, size.columns);
    this.session?.resize(size);
    this.draw();
  }
}

// Neighbouring cells of one style; the cursor's cell is by itself.
export function runs(cells, cursor) {
  const found = [];
  cells.forEach(({ text, style }, column) => {
    const before = found.at(-1);
    const isCursor = column === cursor;
    if (before && before.style === style && !isCursor && !before.isCursor) before.text += text;
    else found.push({ text, style, isCursor });
  });
  const last = found.at(-1);
  if (last && !last.isCursor && last.style.bg === null && !last.style.inverse) last.text = last.text.trimEnd();
  return found;
}

function span(text, style, isCursor) {
  const names = ["bold", "dim", "italic", "underline", "strike"].filter((name) => style[name]);
  if (isCursor) names.push("cursor");
  if (style.inverse) names.push("inverse");
  const made = element("span", names.length ? { class: names.join(" ") } : {}, text);
  const [fg, bg] = style.inverse ? [style.bg, style.fg] : [style.fg, style.bg];
  if (fg !== null) made.style.color = css(fg);
  if (bg !== null) made.style.backgroundColor = css(bg);
  return made;
}

function css(colour) {
  if (typeof colour === "string") return colour;
  if (colour < 16) return `var(--ansi-${colour})`;
  if (colour > 231) {
    const grey = 8 + (colour - 232) * 10;
    return `rgb(${grey},${grey},${grey})`;
  }
  const level = (part) => (part ? 55 + 40 * part : 0);
  const index = colour - 16;
  return `rgb(${level(Math.floor(index / 36))},${level(Math.floor(index / 6) % 6)},${level(index % 6)})`;
}
