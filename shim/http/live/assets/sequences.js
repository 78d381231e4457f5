// Control sequences of a terminal, a subset of xterm's: what is read, and what it does to the screen.
// All others are read to their end and ignored.

const SEQUENCE = 256;
const COUNT = 10000;
const CANCEL = "\x18\x1a";

// Characters in, calls of the screen out. `state` is the method that takes the next character.
export class Parser {
  constructor(screen) {
    this.screen = screen;
    this.state = this.ground;
    this.sequence = "";
  }

  feed(character) {
    this.state(character);
  }

  ground(character) {
    const code = character.codePointAt(0);
    if (code >= 0x20 && (code < 0x7f || code > 0x9f)) this.screen.put(character);
    else this.control(character);
  }

  control(character) {
    const { screen } = this;
    switch (character) {
      case "\x1b": case "\x9b":
        this.sequence = "";
        this.state = character === "\x1b" ? this.escape : this.csi;
        return;
      case "\x90": case "\x98": case "\x9d": case "\x9e": case "\x9f": this.state = this.string; return;
      case "\r": screen.goto(screen.row, 0); return;
      case "\n": case "\v": case "\f": case "\x84": screen.lineFeed(); return;
      case "\x85": ESCAPES.E(screen); return;
      case "\b": screen.goto(screen.row, screen.column - 1); return;
      case "\t": screen.goto(screen.row, (Math.floor(screen.column / 8) + 1) * 8); return;
      case "\x0e": case "\x0f": screen.shifted = character === "\x0e" ? 1 : 0; return;
      default:
    }
  }

  escape(character) {
    this.state = this.ground;
    if (character === "[") this.state = this.csi;
    else if ("]P^_X".includes(character)) this.state = this.string;
    else if (character >= " " && character <= "/") {
      this.sequence = character;
      this.state = this.intermediate;
    } else if (character < " ") this.control(character);
    else ESCAPES[character]?.(this.screen);
  }

  intermediate(character) {
    if (character >= " " && character <= "/") return;
    this.state = this.ground;
    if ("()".includes(this.sequence)) this.screen.drawing["()".indexOf(this.sequence)] = character === "0";
  }

  csi(character) {
    if (CANCEL.includes(character)) this.state = this.ground;
    if (character < " ") return void this.control(character);
    if (character < "@" || character > "~") {
      this.sequence = (this.sequence + character).slice(0, SEQUENCE);
      return;
    }
    this.state = this.ground;
    const [, mark, parameters, rest] = /^([<-?]*)([0-9;:]*)(.*)$/s.exec(this.sequence);
    const numbers = parameters.split(";").map((text) => Math.min(COUNT, parseInt(text, 10) || 0));
    if (rest === "!" && character === "p") this.screen.softReset();
    if (rest) return;
    if (mark === "") SEQUENCES[character]?.(this.screen, numbers, parameters);
    if (mark === "?" && "hl".includes(character)) for (const number of numbers) this.screen.setMode(number, character === "h");
    if (mark === ">" && character === "c") this.screen.reply("\x1b[>0;0;0c");
  }

  // OSC, DCS and such: titles, links, colours of the terminal. Nothing in them is taken.
  string(character) {
    if (character === "\x07" || character === "\x9c" || CANCEL.includes(character)) this.state = this.ground;
    else if (character === "\x1b") {
      this.sequence = "";
      this.state = this.escape;
    }
  }
}

// The style after a sequence of SGR numbers.
function restyled(before, parameters) {
  const style = { ...before };
  const numbers = parameters.replaceAll(":", ";").split(";").map((text) => parseInt(text, 10) || 0);
  while (numbers.length) {
    const number = numbers.shift();
    if (number in STYLES) Object.assign(style, STYLES[number]);
    else if (number === 38 || number === 48) style[number === 38 ? "fg" : "bg"] = colour(numbers);
    else if (number >= 30 && number <= 37) style.fg = number - 30;
    else if (number >= 40 && number <= 47) style.bg = number - 40;
    else if (number >= 90 && number <= 97) style.fg = number - 82;
    else if (number >= 100 && number <= 107) style.bg = number - 92;
  }
  return Object.freeze(style);
}

// Styles are never changed, so equal cells of one run have the same object.
export const PLAIN = Object.freeze({
  fg: null, bg: null, bold: false, dim: false, italic: false, underline: false, inverse: false, strike: false,
});

const STYLES = {
  0: PLAIN,
  1: { bold: true }, 2: { dim: true }, 3: { italic: true }, 4: { underline: true }, 7: { inverse: true }, 9: { strike: true },
  22: { bold: false, dim: false }, 23: { italic: false }, 24: { underline: false }, 27: { inverse: false }, 29: { strike: false },
  39: { fg: null }, 49: { bg: null },
};

// 0 to 255, or "#rrggbb"; null for what is neither.
function colour(numbers) {
  const kind = numbers.shift();
  if (kind === 5) return Math.min(255, numbers.shift() || 0);
  if (kind !== 2) return null;
  return `#${numbers.splice(0, 3).map((part) => Math.min(255, part).toString(16).padStart(2, "0")).join("").padEnd(6, "0")}`;
}

const ESCAPES = {
  7: (screen) => screen.save(),
  8: (screen) => screen.restore(),
  D: (screen) => screen.lineFeed(),
  E(screen) {
    screen.goto(screen.row, 0);
    screen.lineFeed();
  },
  M: (screen) => screen.reverseLineFeed(),
  c: (screen) => screen.reset(),
};

const SEQUENCES = {
  "@": (screen, [count]) => screen.insertCells(count || 1),
  A: (screen, [count]) => screen.move(-(count || 1)),
  B: (screen, [count]) => screen.move(count || 1),
  C: (screen, [count]) => screen.goto(screen.row, screen.column + (count || 1)),
  D: (screen, [count]) => screen.goto(screen.row, screen.column - (count || 1)),
  E: (screen, [count]) => screen.goto(screen.row + (count || 1), 0),
  F: (screen, [count]) => screen.goto(screen.row - (count || 1), 0),
  G: (screen, [column]) => screen.goto(screen.row, (column || 1) - 1),
  H: (screen, [row, column]) => screen.goto((row || 1) - 1, (column || 1) - 1),
  J: (screen, [what]) => screen.eraseInScreen(what),
  K: (screen, [what]) => screen.eraseInLine(what),
  L: (screen, [count]) => screen.editLines(-(count || 1)),
  M: (screen, [count]) => screen.editLines(count || 1),
  P: (screen, [count]) => screen.deleteCells(count || 1),
  S: (screen, [count]) => screen.scroll(count || 1),
  T: (screen, [count]) => screen.scroll(-(count || 1)),
  X: (screen, [count]) => screen.eraseCells(screen.column, screen.column + (count || 1)),
  Z: (screen, [count]) => screen.goto(screen.row, (Math.ceil(screen.column / 8) - (count || 1)) * 8),
  b: (screen, [count]) => screen.repeat(count || 1),
  c: (screen) => screen.reply("\x1b[?1;2c"),
  d: (screen, [row]) => screen.goto((row || 1) - 1, screen.column),
  h: (screen, numbers) => { if (numbers.includes(4)) screen.modes.insert = true; },
  l: (screen, numbers) => { if (numbers.includes(4)) screen.modes.insert = false; },
  m: (screen, _, parameters) => { screen.style = restyled(screen.style, parameters); },
  n(screen, [what]) {
    if (what === 5) screen.reply("\x1b[0n");
    if (what === 6) screen.reply(`\x1b[${screen.row + 1};${screen.column + 1}R`);
  },
  r: (screen, [top, bottom]) => screen.setRegion(top, bottom),
  s: (screen) => screen.save(),
  u: (screen) => screen.restore(),
};
SEQUENCES["`"] = SEQUENCES.G;
SEQUENCES.a = SEQUENCES.C;
SEQUENCES.e = SEQUENCES.B;
SEQUENCES.f = SEQUENCES.H;
