/*
 * The interactive half of the picture. It reads the data block, adopts the
 * frames that are drawn already, and from then on draws what is zoomed to.
 *
 * Text from the data is only ever set as textContent or compared; nothing is
 * made of it. No recursion: stacks may be a million frames deep.
 */
(function () {
'use strict';

const SVG = 'http://www.w3.org/2000/svg';
const HTML = 'http://www.w3.org/1999/xhtml';
const LEAST = 0.5; // px: narrower frames are not drawn
const PADDING = 4; // px on either side of a label

const root = document.currentScript.closest('svg');
const graph = root.querySelector('#flame-graph');
const foot = root.querySelector('#flame-foot');
const data = JSON.parse(root.querySelector('#flame-data').textContent);

/* ---- the tree, in preorder, in typed arrays -------------------------------- */

function readTree() {
  const step = data.samples ? 4 : 3;
  const count = data.tree.length / step;
  const tree = {
    count,
    name: new Uint32Array(count),
    depth: new Uint32Array(count),
    parent: new Int32Array(count),
    end: new Uint32Array(count), // one past the subtree
    total: new Float64Array(count),
    self: new Float64Array(count),
    start: new Float64Array(count), // offset of the left edge, as a weight
    samples: new Float64Array(count),
  };
  const open = []; // the path to here
  let depth = 0;
  for (let i = 0; i < count; i++) {
    const at = i * step;
    depth -= data.tree[at];
    while (open.length > depth) tree.end[open.pop()] = i;
    const parent = depth ? open[depth - 1] : -1;
    const total = Number(data.tree[at + 2]);
    tree.name[i] = data.tree[at + 1];
    tree.depth[i] = depth;
    tree.parent[i] = parent;
    tree.total[i] = tree.self[i] = total;
    if (data.samples) tree.samples[i] = Number(data.tree[at + 3]);
    if (parent >= 0) {
      // What is not self yet is taken by the siblings to the left.
      tree.start[i] = tree.start[parent] + tree.total[parent] - tree.self[parent];
      tree.self[parent] -= total;
    }
    open.push(i);
    depth++;
  }
  while (open.length) tree.end[open.pop()] = count;
  return tree;
}

const tree = readTree();
data.tree = null;

/* What wall time went into, as in data.times. */
const TIMES = ['running', 'waiting for the GIL', 'blocked', 'no CPU free', 'CPU time'];

const nameOf = (place) => data.functions[tree.name[place] * 4];
const fileOf = (place) => data.functions[tree.name[place] * 4 + 1];
const lineOf = (place) => data.functions[tree.name[place] * 4 + 2];
const colourOf = (place) => data.functions[tree.name[place] * 4 + 3];

/* ---- numbers and text --------------------------------------------------------- */

function grouped(value) {
  return value.toLocaleString('en-US');
}

function duration(value) {
  const units = [[1e9, ' s'], [1e6, ' ms'], [1e3, ' µs']];
  for (const [size, unit] of units) {
    if (value < size) continue;
    const amount = value / size;
    return amount.toFixed(amount < 10 ? 3 : amount < 100 ? 2 : 1) + unit;
  }
  return value + ' ns';
}

const weight = (value) => (data.time ? duration(value) : grouped(value));
const percent = (part, whole) => (whole ? (part / whole) * 100 : 0).toFixed(2) + ' %';
/* Half the width of the 95 % confidence interval of a share, in percent. */
function uncertainty(part) {
  const share = part / tree.total[0];
  const count = tree.samples[0];
  return (196 * Math.sqrt(share * (1 - share) / count) + 50 / count).toFixed(2) + ' %';
}

const frames = (count) => grouped(count) + (count === 1 ? ' frame' : ' frames');

/* The font that is really there may be another than the one asked for. */
const pen = document.createElementNS(HTML, 'canvas').getContext('2d');
const widths = new Map();

function widthOf(character) {
  let width = widths.get(character);
  if (width === undefined) {
    width = pen ? pen.measureText(character).width : data.size;
    widths.set(character, width);
  }
  return width;
}

function fit(text, space) {
  const ellipsis = widthOf('…');
  let used = 0;
  let cut = 0;
  let characters = 0;
  for (let at = 0; at < text.length;) {
    const character = String.fromCodePoint(text.codePointAt(at));
    used += widthOf(character);
    if (used > space) return characters < 3 ? '' : text.slice(0, cut) + '…';
    at += character.length;
    if (used + ellipsis <= space) {
      cut = at;
      characters++;
    }
  }
  return text;
}

function element(space, name, attributes, ...children) {
  const made = document.createElementNS(space, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...children);
  return made;
}

/* ---- state ---------------------------------------------------------------------- */

let zoomed = 0; // the place that is as wide as the graph
let wanted = ''; // what is searched for
let matches = null; // by function: does it match? null: nothing is searched for
let width = 0; // of the graph, px
let height = 0; // of the graph at its highest, in rows

/* ---- drawing: a pool of <g><rect/><text/></g>, first filled by the static view */

const pool = [];
const itemOf = new Map(); // by group

function take(group, rect, text) {
  const item = {group, rect, text, box: null};
  pool.push(item);
  itemOf.set(group, item);
}

function adopt() {
  for (const group of graph.querySelectorAll('g')) {
    group.querySelector('title').remove(); // there will be a better one
    take(group, group.querySelector('rect'), group.querySelector('text'));
  }
  const deep = root.querySelector('#flame-deep');
  if (deep) deep.remove();
  graph.classList.add('live');
}

function pooled(index) {
  if (index === pool.length) {
    const rect = element(SVG, 'rect', {height: data.row - 1});
    const group = element(SVG, 'g', {}, rect);
    graph.append(group);
    take(group, rect, null);
  }
  return pool[index];
}

function label(item, text, x, y) {
  if (text && !item.text) {
    item.text = element(SVG, 'text', {});
    item.group.append(item.text);
  }
  if (!item.text) return;
  item.text.textContent = text;
  if (!text) return;
  item.text.setAttribute('x', x);
  item.text.setAttribute('y', y);
}

/*
 * What is drawn: ancestors first, as wide as all; then the subtree. A box of
 * `narrow` frames marks neighbours that only together are wide enough.
 */
function visible(base) {
  const seen = {boxes: [], rows: 0, narrow: 0, narrowWeight: 0, deep: 0};
  const add = (box) => {
    seen.boxes.push(box);
    seen.rows = Math.max(seen.rows, tree.depth[box.place] - base + 1);
  };
  for (let at = tree.parent[zoomed]; at >= 0 && tree.depth[at] >= base;
    at = tree.parent[at]) {
    add({place: at, x: 0, width, narrow: 0, weight: tree.total[at], above: true});
  }
  const scale = width / tree.total[zoomed];
  const boxFrom = (place, sum, narrow) => ({place, narrow, weight: sum, above: false,
    x: (tree.start[place] - tree.start[zoomed]) * scale, width: sum * scale});
  const end = tree.end[zoomed];
  for (let at = zoomed; at < end;) {
    const first = at;
    const depth = tree.depth[at];
    if (depth - base >= data.rows) {
      at = tree.end[at];
      seen.deep += at - first;
      continue;
    }
    if (tree.total[at] * scale >= LEAST) {
      add(boxFrom(at, tree.total[at], 0));
      at++;
      continue;
    }
    let sum = 0;
    while (at < end && tree.depth[at] === depth && tree.total[at] * scale < LEAST) {
      sum += tree.total[at];
      at = tree.end[at];
    }
    seen.narrow += at - first;
    seen.narrowWeight += sum;
    if (sum * scale >= LEAST) add(boxFrom(first, sum, at - first));
  }
  return seen;
}

/*
 * The lowest row. Where a stack is deeper than there are rows, zooming leaves
 * ancestors out (the breadcrumb has them) so that every frame can be reached.
 */
function baseOf(place) {
  let deepest = tree.depth[place];
  for (let at = place; at < tree.end[place]; at++) {
    if (tree.depth[at] > deepest) deepest = tree.depth[at];
  }
  return Math.min(tree.depth[place], Math.max(0, deepest + 1 - data.rows));
}

function drawBox(item, box, y) {
  const colour = colourOf(box.place);
  const hit = !box.narrow && matches !== null && matches[tree.name[box.place]] === 1;
  const drawn = box.width > 4 ? box.width - 1 : box.width * 0.75;
  const space = box.width - 2 * PADDING;
  item.box = box;
  item.group.setAttribute('class', (box.above ? 'above ' : '') + (hit ? 'hit' : ''));
  item.group.style.display = '';
  item.rect.setAttribute('class', box.narrow ? 'narrow' : 'c' + colour);
  item.rect.setAttribute('fill', box.narrow ? '#eee9e4' : data.palette[colour]);
  item.rect.setAttribute('x', box.x.toFixed(2));
  item.rect.setAttribute('y', y);
  item.rect.setAttribute('width', drawn.toFixed(2));
  label(item, space > 0 && !box.narrow ? fit(nameOf(box.place), space) : '',
    (box.x + PADDING).toFixed(2), y + 12.5);
}

function drawFoot(seen, top) {
  const notes = [];
  if (seen.deep) {
    notes.push(frames(seen.deep) + ' deeper than the ' + grouped(data.rows) +
      ' rows drawn: zoom in to reach them');
  }
  if (seen.narrow) {
    notes.push(frames(seen.narrow) + ' too narrow to draw (pale), ' +
      percent(seen.narrowWeight, tree.total[zoomed]) + ' of the width');
  }
  foot.replaceChildren(...notes.map((note, line) => element(SVG, 'text', {
    class: 'quiet', fill: '#77706a', x: data.margin, y: top + 19 * (line + 1) + 2,
    'font-size': width < 600 ? 10 : 12,
  }, note)));
  return notes.length;
}

function draw() {
  const base = baseOf(zoomed);
  const seen = visible(base);
  const top = ui.measure();
  height = Math.max(height, seen.rows);
  graph.setAttribute('transform', 'translate(' + data.margin + ' ' + top + ')');
  graph.classList.toggle('searching', matches !== null);
  seen.boxes.forEach((box, i) => drawBox(pooled(i), box,
    (height - 1 - tree.depth[box.place] + base) * data.row));
  for (const item of pool.slice(seen.boxes.length)) {
    item.group.style.display = 'none';
    item.box = null;
  }
  const bottom = top + height * data.row;
  const lines = drawFoot(seen, bottom);
  // At least the window, or a short graph would cut its tooltips off.
  root.setAttribute('height',
    Math.max(bottom + lines * 19 + data.margin, window.innerHeight));
}

/* ---- the title block, with controls ---------------------------------------------- */

const ui = {
  title: element(HTML, 'h1', {}, data.title || 'Flame graph'),
  search: element(HTML, 'input', {type: 'search', placeholder: 'Search  ( / )',
    'aria-label': 'Search functions and files', spellcheck: 'false',
    autocomplete: 'off'}),
  share: element(HTML, 'output', {id: 'flame-share'}),
  reset: element(HTML, 'button', {type: 'button', id: 'flame-reset'}, 'Reset zoom'),
  crumbs: element(HTML, 'div', {class: 'crumbs'}),
  build() {
    root.querySelector('#flame-head').remove();
    const tools = element(HTML, 'div', {class: 'tools'}, this.share, this.search,
      this.reset);
    this.box = element(HTML, 'div', {class: 'ui'},
      element(HTML, 'div', {class: 'bar'}, this.title, tools));
    for (const part of ['subtitle', 'quality', 'warning']) {
      if (!data[part]) continue;
      this.box.append(element(HTML, 'p', part === 'warning' ? {class: 'alarm'} : {},
        data[part]));
    }
    this.box.append(this.crumbs);
    this.frame = element(SVG, 'foreignObject', {id: 'flame-ui', x: 0, y: 0, height: 1},
      this.box);
    root.append(this.frame);
  },
  /* Takes the window's width, returns where the graph begins. */
  measure() {
    this.frame.setAttribute('width', width + 2 * data.margin);
    this.height = Math.ceil(this.box.offsetHeight);
    this.frame.setAttribute('height', this.height);
    return this.height + 4;
  },
  /* It stays in sight, unless that took too much of it. */
  stick() {
    const sticks = this.height < window.innerHeight * 0.4;
    const y = sticks ? window.scrollY : 0;
    this.frame.setAttribute('transform', 'translate(0 ' + y + ')');
    this.box.classList.toggle('stuck', y > 0);
  },
};

function crumb(place) {
  const button = element(HTML, 'button', {type: 'button'}, fit(nameOf(place), 200));
  button.addEventListener('click', () => zoom(place));
  return button;
}

function drawCrumbs() {
  const path = [];
  for (let at = tree.parent[zoomed]; at >= 0; at = tree.parent[at]) path.push(at);
  ui.reset.disabled = zoomed === 0;
  ui.crumbs.replaceChildren();
  if (zoomed === 0) {
    ui.crumbs.append('Click a frame to zoom in on it.');
    return;
  }
  const shown = width > 900 ? 4 : width > 500 ? 2 : 1;
  ui.crumbs.append(crumb(0), ' › ');
  if (path.length - 1 > shown) ui.crumbs.append('… › ');
  for (const place of path.slice(0, -1).slice(0, shown).reverse()) {
    ui.crumbs.append(crumb(place), ' › ');
  }
  ui.crumbs.append(element(HTML, 'b', {}, nameOf(zoomed)));
}

/* ---- tooltip ------------------------------------------------------------------------ */

const tip = {
  box: element(HTML, 'div', {class: 'tip'}),
  shown: null,
  build() {
    this.frame = element(SVG, 'foreignObject', {id: 'flame-tip', x: 0, y: 0, height: 1},
      this.box);
    this.frame.style.display = 'none';
    root.append(this.frame);
  },
  fill(box) {
    const place = box.place;
    const row = (name, value, amount) => {
      const cells = [name, value, amount === undefined ? '' :
        percent(amount, tree.total[0])];
      if (zoomed !== 0) {
        cells.push(amount === undefined ? '' :
          percent(amount, tree.total[zoomed]) + ' of zoom');
      }
      return element(HTML, 'tr', {}, ...cells.map((c) => element(HTML, 'td', {}, c)));
    };
    const self = tree.self[place];
    const table = element(HTML, 'table', {},
      row('total', weight(box.weight), box.weight));
    if (box.narrow) {
      this.box.replaceChildren(
        element(HTML, 'h2', {}, frames(box.narrow) + ' too narrow to draw'), table);
      return;
    }
    table.append(row('self', weight(self), self));
    if (data.samples && data.time) {
      table.append(row('samples', grouped(tree.samples[place])),
        row('certain to', '± ' + uncertainty(tree.total[place])));
    }
    TIMES.forEach((name, i) => {
      const time = data.times ? Number(data.times[place * TIMES.length + i]) : 0;
      if (time > 0) table.append(row(name, duration(time)));
    });
    this.box.replaceChildren(element(HTML, 'h2', {}, nameOf(place).slice(0, 400)));
    if (fileOf(place) !== '') {
      this.box.append(element(HTML, 'p', {},
        fileOf(place).slice(-400) + ':' + lineOf(place)));
    }
    this.box.append(table);
  },
  show(box, event) {
    const room = width + 2 * data.margin - 16;
    this.frame.style.display = '';
    this.frame.setAttribute('width', Math.min(room, 620));
    if (box !== this.shown) this.fill(box);
    this.shown = box;
    const w = this.box.offsetWidth;
    const h = this.box.offsetHeight;
    const below = event.clientY + 18 + h <= window.innerHeight;
    const x = Math.max(8, Math.min(event.clientX + 12, room + 8 - w));
    const y = below ? event.clientY + 18 : Math.max(4, event.clientY - h - 12);
    this.frame.setAttribute('height', h);
    this.frame.setAttribute('x', x + window.scrollX);
    this.frame.setAttribute('y', y + window.scrollY);
  },
  hide() {
    this.frame.style.display = 'none';
    this.shown = null;
  },
};

/* ---- zoom, search, and both in the address ----------------------------------------- */

function remember() {
  const parameters = new URLSearchParams();
  if (zoomed) parameters.set('zoom', zoomed);
  if (wanted) parameters.set('search', wanted);
  const hash = parameters.toString();
  if (hash === location.hash.slice(1)) return;
  try {
    location.hash = hash;
  } catch (error) {
    // A frame that may not navigate: the state is then not in the address.
  }
}

function zoom(place) {
  const before = screenTop(place);
  zoomed = place;
  tip.hide();
  drawCrumbs();
  draw();
  if (before !== null) window.scrollBy(0, screenTop(place) - before);
  ui.stick();
  drawShare();
  remember();
}

/* Where a frame stands in the window, so that it can stay there. */
function screenTop(place) {
  const item = pool.find((it) => it.box && !it.box.narrow && it.box.place === place);
  return item ? item.rect.getBoundingClientRect().top : null;
}

/* Exact, whatever is drawn: a match within a match counts once. */
function matchedWeight(from) {
  let sum = 0;
  for (let at = from; at < tree.end[from];) {
    if (matches[tree.name[at]]) {
      sum += tree.total[at];
      at = tree.end[at];
    } else {
      at++;
    }
  }
  return sum;
}

function drawShare() {
  let text = '';
  if (matches !== null) {
    const all = tree.total[0];
    text = percent(matchedWeight(0), all) + ' matched';
    if (zoomed !== 0) {
      const inside = matches[tree.name[zoomed]] ? tree.total[zoomed] :
        matchedWeight(zoomed);
      text += ', ' + percent(inside, tree.total[zoomed]) + ' of zoom';
    }
  }
  ui.share.textContent = text;
}

function search(text) {
  wanted = text;
  matches = null;
  if (text !== '') {
    const needle = text.toLowerCase();
    matches = new Uint8Array(data.functions.length / 4);
    for (let i = 0; i < matches.length; i++) {
      const file = data.functions[i * 4 + 1];
      const whole = data.functions[i * 4] +
        (file ? ' (' + file + ':' + data.functions[i * 4 + 2] + ')' : '');
      matches[i] = whole.toLowerCase().includes(needle) ? 1 : 0;
    }
  }
  drawShare();
  draw();
  remember();
}

function fromAddress() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const place = Math.floor(Number(parameters.get('zoom'))) || 0;
  const text = parameters.get('search') || '';
  if (text !== wanted) {
    ui.search.value = text;
    search(text);
  }
  const known = place > 0 && place < tree.count && tree.total[place] > 0 ? place : 0;
  if (known !== zoomed) zoom(known);
}

/* ---- events ---------------------------------------------------------------------------- */

function boxOf(event) {
  const group = event.target.closest('#flame-graph > g');
  return group ? itemOf.get(group).box : null;
}

/* A mark of narrow frames leads to their parent; from there, to the widest. */
function follow(box) {
  const parent = tree.parent[box.place];
  if (!box.narrow || parent !== zoomed) {
    zoom(box.narrow ? parent : box.place);
    return;
  }
  let widest = box.place;
  for (let at = box.place; at < box.place + box.narrow; at = tree.end[at]) {
    if (tree.total[at] > tree.total[widest]) widest = at;
  }
  if (tree.total[widest] > 0) zoom(widest);
}

function listen() {
  graph.addEventListener('click', (event) => {
    const box = boxOf(event);
    if (box) follow(box);
  });
  graph.addEventListener('mousemove', (event) => {
    const box = boxOf(event);
    if (box) tip.show(box, event);
  });
  graph.addEventListener('mouseleave', () => tip.hide());
  ui.reset.addEventListener('click', () => zoom(0));
  ui.search.addEventListener('input', () => search(ui.search.value));
  window.addEventListener('hashchange', fromAddress);
  window.addEventListener('resize', resize);
  window.addEventListener('scroll', () => ui.stick());
  window.addEventListener('keydown', (event) => {
    if (event.key === '/' && document.activeElement !== ui.search) {
      event.preventDefault();
      ui.search.focus();
    } else if (event.key === 'Escape') {
      if (wanted !== '') {
        ui.search.value = '';
        search('');
      } else if (zoomed !== 0) {
        zoom(0);
      }
    }
  });
}

function resize() {
  const whole = Math.floor(root.getBoundingClientRect().width);
  width = Math.max(100, whole - 2 * data.margin);
  drawCrumbs();
  draw();
  ui.stick();
}

function start() {
  root.setAttribute('width', '100%');
  root.removeAttribute('viewBox');
  if (pen) pen.font = data.size + 'px ' + getComputedStyle(graph).fontFamily;
  adopt();
  ui.build();
  tip.build();
  listen();
  resize();
  // The root is at the bottom: begin there.
  window.scrollTo(0, root.getBoundingClientRect().height);
  ui.stick();
  fromAddress();
}

start();
})();
