"""One HTML page of a text as a model sees it: a single file that fetches nothing and works from a disk.

The text and all numbers are data in it, in JSON that cannot end its own element; the script puts them into the page as
text, never as markup. Marked-up text for notebooks is made here, too.
"""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Mapping, Sequence
from typing import Any

from charlm.reports.heat_map import ACTIVATION, BITS, RGB, Scale
from charlm.reports.visible import visible

RANKS = Scale({1: BITS.colours[2], 2: BITS.colours[4], 3: BITS.colours[7], 4: BITS.colours[9]}, 1)
RANK_LEGEND = ("1", "2-3", "4-10", "11-100", "101+")
_NEWLINE = "↵\n"


def shown(text: str) -> str:
    """Return a token as it is shown: control characters as pictures, a newline with its sign."""
    return visible(text).replace("\n", _NEWLINE)


def packed(data: bytes) -> str:
    """Return bytes as text for a page."""
    return base64.b64encode(data).decode("ascii")


def _ink(colour: RGB) -> str:
    red, green, blue = colour
    return "#fff" if 0.299 * red + 0.587 * green + 0.114 * blue < 128 else "#000"


def _rule(selector: str, colour: RGB) -> str:
    return f"{selector}{{background:rgb{colour};color:{_ink(colour)}}}".replace(" ", "")


def _styles() -> str:
    """Return the rules of all levels: .b1 … .b9 for bits, .r1 … .r4 for ranks, .a-4 … .a4 for activations."""
    return "\n".join(_rule(f".{prefix}{level}", colour) for prefix, scale in (
        ("b", BITS), ("r", RANKS), ("a", ACTIVATION)) for level, colour in scale.colours.items())


def marked_up(tokens: Sequence[tuple[str, float, str]]) -> str:
    """Return tokens (text, bits, title) as one HTML element with inline styles, as a notebook needs."""
    parts = []
    for text, bits, title in tokens:
        colour = BITS.colours.get(BITS.level(bits))
        style = f' style="background:rgb{colour};color:{_ink(colour)}"' if colour else ""
        parts.append(f'<span{style} title="{html.escape(title)}">{html.escape(shown(text))}</span>')
    return f'<pre style="white-space:pre-wrap">{"".join(parts)}</pre>'


def page(title: str, data: Mapping[str, Any]) -> str:
    """Return the page. `data` has what the script below reads; its texts may hold anything."""
    # An HTML parser ends a script at "</", and "<!--" changes how it reads one.
    payload = json.dumps(data, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c")
    head = f"<title>{html.escape(visible(title))}</title>\n<style>{_CSS}\n{_styles()}</style>"
    legends = {"bits": [f"{level}{'+' if level == 9 else ''}" for level in range(10)], "rank": RANK_LEGEND,
               "unit": [f"{level * ACTIVATION.step:g}" for level in range(-4, 5)]}
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">\n'
            f'<meta name="viewport" content="width=device-width">\n'
            f'<link rel="icon" href="data:,">\n{head}</head>\n<body>\n{_BODY}\n'
            f'<script type="application/json" id="legends">{json.dumps(legends)}</script>\n'
            f'<script type="application/json" id="data">{payload}</script>\n'
            f'<script>{_SCRIPT}</script>\n</body></html>\n')


_CSS = """
:root{color-scheme:light dark;--paper:#fff;--ink:#111;--line:#bbb}
@media(prefers-color-scheme:dark){:root{--paper:#16181d;--ink:#e6e6e6;--line:#555}}
body{background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,sans-serif;margin:1rem auto;max-width:72rem;
padding:0 1rem}
header{position:sticky;top:0;background:var(--paper);border-bottom:1px solid var(--line);padding:.3rem 0;
min-height:8.5rem}
pre{font:15px/1.6 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;unicode-bidi:plaintext}
button{font:inherit;margin-right:.4rem}button[aria-pressed=true]{outline:2px solid currentColor}
.k{display:inline-block;padding:0 .4rem}.here{outline:2px solid currentColor}
#about{font-family:ui-monospace,monospace;font-size:14px}
@media print{header{position:static}button{display:none}body{max-width:none}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}"""

_BODY = """<header><div><button id="bits">surprise (s)</button><button id="rank">rank (r)</button>
<button id="unit">cell (c)</button> <span id="which"></span> <span id="legend"></span></div>
<div id="about">Point at a character, or move with the left and right arrow keys; up and down change the
cell.</div></header>
<pre id="text" tabindex="0"></pre>"""

_SCRIPT = r"""
'use strict';
const get = id => document.getElementById(id), read = id => JSON.parse(get(id).textContent);
const data = read('data'), legends = read('legends');
const bytes = text => Uint8Array.from(atob(text), c => c.charCodeAt(0));
const wide = text => new Uint16Array(bytes(text).buffer);
const bits = wide(data.bits), entropy = wide(data.entropy), rank = wide(data.rank);
const ids = data.narrow ? bytes(data.ids) : wide(data.ids);
const odds = bytes(data.odds), activations = data.units.map(unit => bytes(unit.values));
const spans = data.tokens.map((token, at) => {
  const span = document.createElement('span');
  span.textContent = token;
  span.dataset.at = at;
  return span;
});
get('text').append(...spans);
let mode = 'bits', unit = 0, here = -1;
const bucket = value => value < 2 ? 0 : value < 4 ? 1 : value < 11 ? 2 : value < 101 ? 3 : 4;
const activation = at => {
  const byte = activations[unit][at >> 1];
  return ((at & 1 ? byte >> 4 : byte & 15) - 7) / 7;
};
const level = at => mode === 'bits' ? 'b' + Math.min(9, Math.floor(bits[at] / 100))
  : mode === 'rank' ? 'r' + bucket(rank[at]) : 'a' + Math.max(-4, Math.min(4, Math.trunc(activation(at) / 0.2)));
function draw() {
  if (mode === 'unit' && !data.units.length) mode = 'bits';
  spans.forEach((span, at) => { span.className = level(at) + (at === here ? ' here' : ''); });
  for (const name of ['bits', 'rank', 'unit']) get(name).setAttribute('aria-pressed', name === mode);
  const shown = data.units[unit];
  get('which').textContent = mode === 'unit' ? `${shown.name}: ${shown.about}` : data.summary;
  get('legend').replaceChildren(...legends[mode].map((text, at) => {
    const key = document.createElement('span');
    key.textContent = text;
    key.className = 'k ' + {bits: 'b', rank: 'r', unit: 'a'}[mode] + (mode === 'unit' ? at - 4 : at);
    return key;
  }));
}
function go(at) {
  if (!spans.length) return;
  if (spans[here]) spans[here].classList.remove('here');
  here = Math.max(0, Math.min(spans.length - 1, at));
  spans[here].classList.add('here');
  const top = data.top, guesses = [];
  for (let k = here * top; k < (here + 1) * top; k++)
    guesses.push(`${data.names[ids[k]]} ${(odds[k] / 255).toFixed(2)}`);
  const cell = data.units.length ? `  ${data.units[unit].name} ${activation(here).toFixed(1)}` : '';
  get('about').textContent = `${data.tokens[here].trim() || data.tokens[here]}  ${(bits[here] / 100).toFixed(2)} bits` +
    `  rank ${rank[here]}  entropy ${(entropy[here] / 100).toFixed(2)} bits${cell}  likeliest: ${guesses.join('  ')}`;
}
const turn = step => {
  if (!data.units.length) return;
  if (mode === 'unit') unit = (unit + step + data.units.length) % data.units.length;
  mode = 'unit';
  draw();
  if (here >= 0) go(here);
};
const keys = {ArrowLeft: () => go(here - 1), ArrowRight: () => go(here + 1), ArrowDown: () => turn(1),
  ArrowUp: () => turn(-1)};
const modes = {s: 'bits', r: 'rank', c: 'unit'};
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const act = keys[event.key] || (modes[event.key] && (() => { mode = modes[event.key]; draw(); }));
  if (act) { act(); event.preventDefault(); }
});
for (const name of ['bits', 'rank', 'unit']) get(name).addEventListener('click', () => { mode = name; draw(); });
get('text').addEventListener('pointerover', event => {
  if (event.target.dataset.at !== undefined) go(Number(event.target.dataset.at));
});
draw();
"""
