// The screen of a terminal: lines of cells, a cursor, and what control sequences do to them. No part
// of the document is used here.

import { Parser, PLAIN } from "./sequences.js";

export const SCROLLBACK = 1000;
const COMBINED = 8;

const LINES = Object.fromEntries(Array.from("`◆a▒f°g±j┘k┐l┌m└n┼o⎺p⎻q─r⎼s⎽t├u┤v┴w┬x│y≤z≥{π|≠}£~·".matchAll(/(.)(.)/gu), ([, from, to]) => [from, to]));
const BIDI = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
const ZERO_WIDTH = /[\p{Mn}\p{Me}\p{Cf}]/u;
const WIDE = /[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{1f64f}\u{1f680}-\u{1f6ff}\u{1f900}-\u{1faff}\u{20000}-\u{3fffd}]/u;

const cell = (text, style) => ({ text, style });

class Line {
  constructor(columns, style = PLAIN) {
    this.cells = Array.from({ length: columns }, () => cell(" ", style));
    this.dirty = true;
  }

  fill(from, to, style) {
    for (let i = Math.max(0, from); i < Math.min(to, this.cells.length); i += 1) this.cells[i] = cell(" ", style);
    this.dirty = true;
  }

  get text() {
    return this.cells.map(({ text }) => text).join("").trimEnd();
  }
}

export class Screen {
  // `reply` sends an answer of the terminal to the program, such as the position of the cursor.
  constructor(rows, columns, reply = () => {}) {
    this.rows = rows;
    this.columns = columns;
    this.reply = reply;
    this.scrolled = [];
    this.reset();
  }

  reset() {
    this.lines = this.blank();
    this.row = this.column = 0;
    this.style = PLAIN;
    this.top = 0;
    this.bottom = this.rows - 1;
    this.saved = { row: 0, column: 0, style: PLAIN };
    this.modes = { wrap: true, cursor: true, applicationKeys: false, bracketedPaste: false, insert: false };
    this.drawing = [false, false];
    this.shifted = 0;
    this.wrapping = false;
    this.main = null;
    this.last = "";
    this.parser = new Parser(this);
  }

  blank() {
    return Array.from({ length: this.rows }, () => new Line(this.columns));
  }

  write(text) {
    for (const character of text) this.parser.feed(character);
  }

  // Lines that left the screen since the last call.
  takeScrolled() {
    const { scrolled } = this;
    this.scrolled = [];
    return scrolled;
  }

  resize(rows, columns) {
    if (rows === this.rows && columns === this.columns) return;
    while (this.lines.length > rows) {
      if (this.row < rows) this.lines.pop();
      else {
        const gone = this.lines.shift();
        if (!this.main) this.keep(gone);
        this.row -= 1;
      }
    }
    for (const line of [...this.lines, ...(this.main?.lines || [])]) {
      line.cells.length = Math.min(line.cells.length, columns);
      while (line.cells.length < columns) line.cells.push(cell(" ", PLAIN));
      line.dirty = true;
    }
    this.rows = rows;
    this.columns = columns;
    while (this.lines.length < rows) this.lines.push(new Line(columns));
    this.top = 0;
    this.bottom = rows - 1;
    this.goto(this.row, this.column);
  }

  // --- text and the cursor ------------------------------------------------------------------

  put(character) {
    const code = character.codePointAt(0);
    let text = this.drawing[this.shifted] ? LINES[character] || character : character;
    if (code > 0x7f) {
      if (BIDI.test(character)) text = "\ufffd";
      else if (ZERO_WIDTH.test(character)) return this.combine(character);
    }
    const width = code > 0x7f && WIDE.test(character) && this.columns > 1 ? 2 : 1;
    if (this.wrapping || this.column + width > this.columns) {
      if (this.modes.wrap) {
        this.goto(this.row, 0);
        this.lineFeed();
      } else this.column = this.columns - width;
    }
    const line = this.lines[this.row];
    if (this.modes.insert) this.insertCells(width);
    this.part(line, this.column);
    this.part(line, this.column + width);
    line.cells[this.column] = cell(text, this.style);
    if (width === 2) line.cells[this.column + 1] = cell("", this.style);
    line.dirty = true;
    this.last = character;
    this.wrapping = this.column + width >= this.columns;
    this.column = Math.min(this.columns - 1, this.column + width);
  }

  // A character of two cells that loses one is gone.
  part(line, column) {
    if (line.cells[column]?.text !== "") return;
    line.cells[column - 1] = cell(" ", line.cells[column - 1].style);
    line.cells[column] = cell(" ", line.cells[column].style);
  }

  combine(mark) {
    const { cells } = this.lines[this.row];
    let at = this.wrapping ? this.column : this.column - 1;
    if (cells[at]?.text === "") at -= 1;
    const before = cells[at];
    if (!before || before.text.length >= COMBINED) return;
    cells[at] = cell(before.text + mark, before.style);
    this.lines[this.row].dirty = true;
  }

  goto(row, column) {
    this.row = Math.max(0, Math.min(this.rows - 1, row));
    this.column = Math.max(0, Math.min(this.columns - 1, column));
    this.wrapping = false;
  }

  // Up and down stop at the margins of the scrolling region.
  move(rows) {
    const low = this.row >= this.top ? this.top : 0;
    const high = this.row <= this.bottom ? this.bottom : this.rows - 1;
    this.goto(Math.max(low, Math.min(high, this.row + rows)), this.column);
  }

  lineFeed() {
    if (this.row === this.bottom) this.scroll(1);
    else this.goto(this.row + 1, this.column);
  }

  reverseLineFeed() {
    if (this.row === this.top) this.scroll(-1);
    else this.goto(this.row - 1, this.column);
  }

  // Up by `count` lines, or down by as many when it is negative.
  scroll(count, from = this.top) {
    const size = this.bottom - from + 1;
    for (let i = 0; i < Math.min(size, Math.abs(count)); i += 1) {
      const line = new Line(this.columns, this.erased());
      if (count > 0) {
        const [gone] = this.lines.splice(from, 1);
        if (from === 0 && !this.main) this.keep(gone);
        this.lines.splice(this.bottom, 0, line);
      } else {
        this.lines.splice(this.bottom, 1);
        this.lines.splice(from, 0, line);
      }
    }
    for (const line of this.lines) line.dirty = true;
    this.wrapping = false;
  }

  keep(line) {
    line.dirty = true;
    this.scrolled.push(line);
    if (this.scrolled.length > SCROLLBACK) this.scrolled.shift();
  }

  // --- erasing, inserting -------------------------------------------------------------------

  erased() {
    return this.style.bg === null ? PLAIN : Object.freeze({ ...PLAIN, bg: this.style.bg });
  }

  eraseInLine(what) {
    const [from, to] = [[this.column, this.columns], [0, this.column + 1], [0, this.columns]][what] || [0, 0];
    this.lines[this.row].fill(from, to, this.erased());
    this.wrapping = false;
  }

  eraseInScreen(what) {
    if (what < 2) this.eraseInLine(what);
    this.lines.forEach((line, row) => {
      if (what === 2 || (what === 0 && row > this.row) || (what === 1 && row < this.row)) line.fill(0, this.columns, this.erased());
    });
  }

  insertCells(count) {
    const { cells } = this.lines[this.row];
    cells.splice(this.column, 0, ...Array.from({ length: Math.min(count, this.columns) }, () => cell(" ", this.erased())));
    cells.length = this.columns;
    this.lines[this.row].dirty = true;
  }

  deleteCells(count) {
    const { cells } = this.lines[this.row];
    cells.splice(this.column, count);
    while (cells.length < this.columns) cells.push(cell(" ", this.erased()));
    this.lines[this.row].dirty = true;
  }

  editLines(count) {
    if (this.row >= this.top && this.row <= this.bottom) this.scroll(count, this.row);
  }

  // --- modes --------------------------------------------------------------------------------

  setMode(number, on) {
    const name = { 1: "applicationKeys", 7: "wrap", 25: "cursor", 2004: "bracketedPaste" }[number];
    if (name) this.modes[name] = on;
    const keepsCursor = number === 1048 || number === 1049;
    if (keepsCursor && on) this.save();
    if (number === 47 || number === 1047 || number === 1049) this.alternate(on);
    if (keepsCursor && !on) this.restore();
  }

  alternate(on) {
    if (on === Boolean(this.main)) return;
    if (on) {
      this.main = { lines: this.lines };
      this.lines = this.blank();
    } else {
      this.lines = this.main.lines.slice(-this.rows);
      while (this.lines.length < this.rows) this.lines.push(new Line(this.columns));
      this.main = null;
    }
    for (const line of this.lines) line.dirty = true;
    this.goto(this.row, this.column);
  }

  save() {
    this.saved = { row: this.row, column: this.column, style: this.style };
  }

  restore() {
    this.style = this.saved.style;
    this.goto(this.saved.row, this.saved.column);
  }

  setRegion(top, bottom) {
    const [first, last] = [(top || 1) - 1, Math.min(bottom || this.rows, this.rows) - 1];
    if (first >= last) return;
    this.top = first;
    this.bottom = last;
    this.goto(0, 0);
  }
}
