// stdout or stderr of a task, as it grows, and the files of its sandbox.

import { element, printable } from "./text.js";

const KEPT = 512 * 1024;

export class Output {
  constructor(directory, name) {
    this.path = `${directory}/${name}`;
    this.offset = null;
    this.pre = element("pre", { tabindex: "0", "aria-label": name });
    const link = element("a", { href: `files/download?path=${encodeURIComponent(this.path)}` }, "download");
    this.section = element("section", {}, element("h3", {}, `${name} `, link), this.pre);
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

// Directories open in place; a file is a download.
export class Files {
  constructor(directory) {
    this.root = directory;
    this.section = element("section", { "aria-label": "Files" });
    this.open(directory);
  }

  async open(directory, focus = false) {
    const answer = await fetch(`files/browse?path=${encodeURIComponent(directory)}`).catch(() => null);
    if (!answer?.ok) return;
    const files = await answer.json();
    const rows = files.map((file) => this.row(directory, file));
    if (directory !== this.root) {
      const parent = directory.slice(0, directory.lastIndexOf("/"));
      rows.unshift(element("tr", {}, element("td", {}), element("td", {}), element("td", {}, this.button("..", parent))));
    }
    this.section.replaceChildren(element("h3", {}, `Files ${directory.slice(this.root.length)}`), element("table", {}, ...rows));
    if (focus) this.section.querySelector("button, a")?.focus();
  }

  row(directory, file) {
    const name = file.path.slice(directory.length + 1);
    const link = file.mode.startsWith("d")
      ? this.button(`${printable(name)}/`, file.path)
      : element("a", { href: `files/download?path=${encodeURIComponent(file.path)}` }, printable(name));
    return element("tr", {}, element("td", {}, file.mode), element("td", { class: "number" }, String(file.size)), element("td", {}, link));
  }

  button(text, path) {
    return element("button", { type: "button", class: "link", onclick: () => this.open(path, true) }, text);
  }
}
