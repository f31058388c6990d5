"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const element = id => document.getElementById(id);

/** Return a new element with text and, if given, a class. */
function make(name, text, className) {
  const made = document.createElement(name);
  made.textContent = text ?? "";
  if (className) made.className = className;
  return made;
}

/** Return a token in visible form: a space, a combining mark without a letter, or a zero-width character. */
function seen(token) {
  const text = token.replace("\n", "");
  if (/^ +$/.test(text)) return text.replaceAll(" ", "␣");
  if (/^\p{M}/u.test(text)) return `◌${text}`;
  return /^[\p{C}\p{Z}]$/u.test(text) ? `U+${text.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}` : text;
}

/** Decode base64 into an array of unsigned integers of 1 or 2 bytes, little-endian. */
function decode(text, size) {
  const bytes = Uint8Array.from(atob(text), character => character.charCodeAt(0));
  if (size === 1) return bytes;
  const view = new DataView(bytes.buffer);
  return Uint16Array.from({length: bytes.length / 2}, (_, at) => view.getUint16(2 * at, true));
}

/** Return a colour between two named ones; `share` is from 0 to 1. */
const mix = (from, to, share) => `color-mix(in srgb, var(${to}) ${Math.round(100 * share)}%, var(${from}))`;

function startText(text) {
  const count = text.tokens.length, box = element("tokens"), details = element("details");
  const bits = decode(text.bits, 2), entropy = decode(text.entropy, 2), rank = decode(text.rank, 2);
  const guesses = decode(text.guesses, text.names.length > 256 ? 2 : 1), chances = decode(text.chances, 1);
  const units = text.units.map(unit => ({name: unit.name, values: decode(unit.values, 1)}));
  let measure = "bits", unit = 0, at = 0;
  const spans = text.tokens.map((token, index) => Object.assign(make("span", token), {index}));
  const levels = {
    bits: index => mix("--low", "--high", Math.min(bits[index] / 256 / 10, 1) * .8),
    entropy: index => mix("--low", "--high", Math.min(entropy[index] / 256 / 6, 1) * .8),
    rank: index => `var(--r${bucket(rank[index])})`,
    unit: index => {
      const level = nibble(units[unit].values, index) / 7 - 1;
      return mix("--low", level < 0 ? "--cold" : "--warm", Math.abs(level) * .8);
    },
  };

  function bucket(place) { return place === 1 ? 0 : place <= 3 ? 1 : place <= 10 ? 2 : place <= 100 ? 3 : 4; }
  function nibble(values, index) { return index % 2 ? values[index >> 1] >> 4 : values[index >> 1] & 15; }

  function paint() {
    for (const span of spans) span.style.background = levels[measure](span.index);
    const legend = element("legend");
    const swatches = {
      bits: [0, 2, 4, 6, 8, 10].map(value => [`${value} bits`, mix("--low", "--high", value / 10 * .8)]),
      entropy: [0, 1, 2, 3, 4, 5, 6].map(value => [`${value} bits`, mix("--low", "--high", value / 6 * .8)]),
      rank: ["first guess", "2nd or 3rd", "up to 10th", "up to 100th", "later"].map((name, place) => [name, `var(--r${place})`]),
      unit: [-1, -.5, 0, .5, 1].map(level => [level.toString(), mix("--low", level < 0 ? "--cold" : "--warm", Math.abs(level) * .8)]),
    };
    legend.replaceChildren(...swatches[measure].map(([name, colour]) => {
      const swatch = make("span", name, "swatch");
      swatch.style.background = colour;
      return swatch;
    }));
    document.body.dataset.measure = measure;
    document.body.dataset.unit = units.length ? units[unit].name : "";
  }

  function select(index) {
    spans[at].classList.remove("at");
    at = Math.min(Math.max(index, 0), count - 1);
    spans[at].classList.add("at");
    const table = make("table");
    for (let place = 0; place < text.width; place++) {
      const row = table.insertRow(), which = at * text.width + place;
      const cost = 20 * (chances[which] / 255) ** 2;
      row.insertCell().textContent = seen(text.names[guesses[which]]);
      row.insertCell().textContent = (2 ** -cost).toPrecision(2);
    }
    const facts = make("table");
    const lines = [["bits", (bits[at] / 256).toFixed(2)], ["rank", rank[at]], ["entropy", (entropy[at] / 256).toFixed(2)]];
    if (units.length) lines.push([`unit ${units[unit].name}`, (nibble(units[unit].values, at) / 7 - 1).toFixed(1)]);
    for (const [name, value] of lines) {
      const row = facts.insertRow();
      row.append(make("th", name));
      row.insertCell().textContent = value;
    }
    details.replaceChildren(make("b", seen(text.tokens[at])), facts, make("p", "likeliest here"), table);
  }

  function choose(name) {
    measure = name;
    document.querySelector(`input[value=${name}]`).checked = true;
    paint();
    select(at);
  }

  function flip(by) {
    if (!units.length) return;
    unit = (unit + by + units.length) % units.length;
    element("unit").selectedIndex = unit;
    choose("unit");
  }

  function move(index) {
    select(index);
    spans[at].scrollIntoView({block: "nearest"});
  }

  function lineEnd(by) {
    let index = at + by;
    while (index > 0 && index < count - 1 && !text.tokens[index].includes("\n")) index += by;
    return index;
  }

  box.append(...spans);
  box.addEventListener("mouseover", event => { if (event.target.index !== undefined) select(event.target.index); });
  box.addEventListener("click", event => { if (event.target.index !== undefined) select(event.target.index); });
  document.addEventListener("keydown", event => {
    if (event.target.matches("input[type=range], select")) return;
    const moves = {ArrowLeft: () => move(event.shiftKey ? lineEnd(-1) : at - 1), ArrowUp: () => flip(-1),
                   ArrowRight: () => move(event.shiftKey ? lineEnd(1) : at + 1), ArrowDown: () => flip(1)};
    if (moves[event.key]) {
      moves[event.key]();
      event.preventDefault();
    }
  });
  element("measures").addEventListener("change", event => { if (event.target.name === "measure") choose(event.target.value); });
  element("unit").append(...units.map(one => make("option", one.name)));
  element("unit").addEventListener("change", event => { unit = event.target.selectedIndex; choose("unit"); });
  element("unit-choice").hidden = !units.length;
  element("text").hidden = false;
  paint();
  select(0);
}

function startCurves(curves) {
  const space = "http://www.w3.org/2000/svg", width = 1000, height = 240, left = 60, bottom = 24;
  const draw = (name, attributes, text) => {
    const made = document.createElementNS(space, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const all = [...curves.loss, ...curves.heldOut].map(point => point[1]).filter(value => value > 0);
  const last = Math.max(1, ...curves.loss.map(point => point[0]), ...curves.heldOut.map(point => point[0]));
  const low = Math.log(Math.min(...all)) - .02, high = Math.log(Math.max(...all)) + .02;
  const x = step => left + (width - left - 10) * step / last;
  const y = value => 10 + (height - bottom - 10) * (high - Math.log(value)) / (high - low);
  const svg = draw("svg", {viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": "loss over steps, logarithmic"});
  for (let tick = 0; tick <= 4; tick++) {
    const value = Math.exp(low + (high - low) * tick / 4), step = Math.round(last * tick / 4);
    svg.append(draw("line", {class: "axis", x1: left, x2: width - 10, y1: y(value), y2: y(value)}),
               draw("text", {x: left - 8, y: y(value) + 4, "text-anchor": "end"}, value.toFixed(3)),
               draw("text", {x: x(step), y: height - 4, "text-anchor": "middle"}, step));
  }
  for (const [name, points] of [["loss", curves.loss], ["held-out", curves.heldOut]]) {
    svg.append(draw("polyline", {class: name, points: points.map(([step, value]) => `${x(step)},${y(value)}`).join(" ")}));
  }
  svg.append(draw("text", {x: width - 14, y: 22, "text-anchor": "end"}, "solid: training, dashed: held out; nats per token"));
  const now = draw("line", {class: "now", y1: 10, y2: height - bottom, x1: x(0), x2: x(0)});
  element("plot").append(svg);
  element("curves").hidden = false;
  if (!curves.samples.length) return;
  const slider = element("step"), show = () => {
    const [step, sample] = curves.samples[slider.value];
    element("at").textContent = `${step} of ${last}`;
    element("sample").textContent = sample;
    now.setAttribute("x1", x(step));
    now.setAttribute("x2", x(step));
  };
  svg.append(now);
  slider.max = curves.samples.length - 1;
  slider.addEventListener("input", show);
  element("watch").hidden = false;
  show();
}

function heatTable(rows, columns, values, print) {
  const table = make("table"), head = table.insertRow();
  head.append(make("th"), ...columns.map(name => make("th", seen(name))));
  rows.forEach((name, row) => {
    const line = table.insertRow();
    line.append(make("th", seen(name)));
    columns.forEach((_, column) => {
      const cell = line.insertCell();
      cell.textContent = print(row, column);
      cell.style.background = mix("--low", "--high", .8 * values(row, column));
    });
  });
  return table;
}

function startAlignments(alignments) {
  const chooser = element("source"), show = () => {
    const one = alignments[chooser.selectedIndex];
    element("grid").replaceChildren(heatTable(one.target, one.source, (row, column) => one.weights[row][column],
                                              (row, column) => one.weights[row][column] >= .05 ? one.weights[row][column].toFixed(2) : ""));
    element("n-best").replaceChildren(...one.best.map(([text, bits]) => make("li", `${text}  (${bits.toFixed(2)} bits)`)));
  };
  chooser.append(...alignments.map(one => make("option", one.source.filter(letter => letter !== "∅").join(""))));
  chooser.addEventListener("change", show);
  element("alignments").hidden = false;
  show();
}

function startConfusion(confusion) {
  const totals = confusion.counts.map(row => Math.max(1, row.reduce((sum, count) => sum + count, 0)));
  element("table").append(heatTable(confusion.labels, confusion.labels,
                                    (row, column) => confusion.counts[row][column] / totals[row],
                                    (row, column) => confusion.counts[row][column] || ""));
  element("confusion").hidden = false;
}

if (data.text) startText(data.text);
if (data.curves) startCurves(data.curves);
if (data.alignments) startAlignments(data.alignments);
if (data.confusion) startConfusion(data.confusion);
