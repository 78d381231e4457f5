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

// Cells are never changed, only replaced: equal ones may be one object.
class Line {
  constructor(columns, style = PLAIN) {
    this.columns = columns;
    this.clear(style);
  }

  // A line without text has no cells until one is asked for: a screen is cleared in no time.
  clear(style) {
    this.blank = style;
    this.made = null;
    this.dirty = true;
  }

  get cells() {
    return (this.made ||= new Array(this.columns).fill(cell(" ", this.blank)));
  }

  resize(columns) {
    if (this.made) {
      const missing = Math.max(0, columns - this.columns);
      this.made = this.made.slice(0, columns).concat(new Array(missing).fill(cell(" ", PLAIN)));
    }
    this.columns = columns;
    this.dirty = true;
  }

  // `count` characters of `width` cells each, of which all have room.
  put(at, text, width, count, style) {
    const { cells } = this;
    const end = at + width * count;
    this.part(at);
    this.part(end);
    cells.fill(cell(text, style), at, end);
    if (width === 2) for (let i = at + 1; i < end; i += 2) cells[i] = cell("", style);
    this.dirty = true;
  }

  erase(from, to, style) {
    if (from <= 0 && to >= this.columns) {
      this.clear(style);
      return;
    }
    this.part(from);
    this.part(to);
    this.cells.fill(cell(" ", style), from, to);
    this.dirty = true;
  }

  insert(at, count, style) {
    this.part(at);
    this.cells.splice(at, 0, ...new Array(Math.min(count, this.columns - at)).fill(cell(" ", style)));
    this.cells.length = this.columns;
    this.dirty = true;
  }

  remove(at, count, style) {
    const gone = Math.min(count, this.columns - at);
    this.part(at);
    this.part(at + gone);
    this.cells.splice(at, gone);
    this.cells.push(...new Array(gone).fill(cell(" ", style)));
    this.dirty = true;
  }

  // A character of two cells that loses one is gone.
  part(column) {
    const { cells } = this;
    if (!column || cells[column]?.text !== "") return;
    cells[column - 1] = cell(" ", cells[column - 1].style);
    cells[column] = cell(" ", cells[column].style);
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
    this.wrapping = false;
    this.main = null;
    this.last = null;
    this.parser = new Parser(this);
    this.softReset();
  }

  // Text and cursor stay.
  softReset() {
    this.style = PLAIN;
    this.top = 0;
    this.bottom = this.rows - 1;
    this.saved = { row: 0, column: 0, style: PLAIN };
    this.modes = { wrap: true, cursor: true, applicationKeys: false, bracketedPaste: false, insert: false };
    this.drawing = [false, false];
    this.shifted = 0;
  }

  blank() {
    return Array.from({ length: this.rows }, () => new Line(this.columns));
  }

  write(text) {
    for (const character of text) this.parser.feed(character);
  }

  // Lines that left the screen since the last call.
  takeScrolled() {
    const scrolled = this.scrolled.slice(-SCROLLBACK);
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
    for (const line of [...this.lines, ...(this.main?.lines || [])]) line.resize(columns);
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
    this.place(text, width, 1);
    this.last = { text, width };
  }

  // The last character once more, up to the end of its line: programs fill lines so.
  repeat(count) {
    if (this.last) this.place(this.last.text, this.last.width, count);
  }

  place(text, width, count) {
    if (this.wrapping || this.column + width > this.columns) {
      if (this.modes.wrap) {
        this.goto(this.row, 0);
        this.lineFeed();
      } else this.column = this.columns - width;
    }
    const line = this.lines[this.row];
    const fitting = Math.min(count, Math.floor((this.columns - this.column) / width));
    const end = this.column + width * fitting;
    if (this.modes.insert) line.insert(this.column, width * fitting, this.erased());
    line.put(this.column, text, width, fitting, this.style);
    this.wrapping = end >= this.columns;
    this.column = Math.min(this.columns - 1, end);
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
    const size = Math.min(this.bottom - from + 1, Math.abs(count));
    const style = this.erased();
    const made = Array.from({ length: size }, () => new Line(this.columns, style));
    const below = this.bottom - size + 1;
    const gone = this.lines.splice(count > 0 ? from : below, size);
    this.lines.splice(count > 0 ? below : from, 0, ...made);
    if (count > 0 && from === 0 && !this.main) gone.forEach((line) => this.keep(line));
    this.wrapping = false;
  }

  keep(line) {
    line.dirty = true;
    this.scrolled.push(line);
    if (this.scrolled.length > 2 * SCROLLBACK) this.scrolled = this.scrolled.slice(-SCROLLBACK);
  }

  // --- erasing, inserting -------------------------------------------------------------------

  erased() {
    return this.style.bg === null ? PLAIN : Object.freeze({ ...PLAIN, bg: this.style.bg });
  }

  eraseInLine(what) {
    const [from, to] = [[this.column, this.columns], [0, this.column + 1], [0, this.columns]][what] || [0, 0];
    if (to) this.eraseCells(from, to);
    this.wrapping = false;
  }

  eraseInScreen(what) {
    if (what < 2) this.eraseInLine(what);
    const style = this.erased();
    this.lines.forEach((line, row) => {
      if (what === 2 || (what === 0 && row > this.row) || (what === 1 && row < this.row)) line.clear(style);
    });
  }

  eraseCells(from, to) {
    this.lines[this.row].erase(from, Math.min(to, this.columns), this.erased());
  }

  insertCells(count) {
    this.lines[this.row].insert(this.column, count, this.erased());
  }

  deleteCells(count) {
    this.lines[this.row].remove(this.column, count, this.erased());
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
