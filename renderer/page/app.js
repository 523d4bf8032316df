/* ---- the page around the graph -------------------------------------------------------------- */

const HELP = [
  ['Click, Enter', 'zoom in on a frame'],
  ['Escape', 'clear the search, then zoom out'],
  ['Arrow keys', 'go along the tree'],
  ['Right click, M', 'what can be done with a frame'],
  ['/', 'search'],
  ['N, Shift+N', 'next and previous match'],
  ['V', 'next view'],
  ['C', 'next clock'],
  ['F', 'root at the bottom or at the top'],
  ['U', 'undo the last change to the tree'],
  ['?', 'this help'],
];

const UNZOOMED = {zoom: 0, path: [], range: null};

const app = {
  width: 0, // of the graph, px
  height: 0,
  layout: null,
  highest: 0, // row of the flame graph since its tree was last changed
  highestOf: '',
  focused: null, // the box that the keyboard is on

  build() {
    root.querySelector('#flame-head').remove();
    root.querySelector('#flame-foot').remove();
    root.querySelector('#flame-paper').remove();
    this.stage = new Stage(graph);
    this.stage.adopt();
    this.canvas = element(SVG, 'svg', {class: 'canvas', role: 'tree', tabindex: '0',
      'aria-label': 'Flame graph', 'font-size': data.size, fill: '#33261c'}, graph);
    this.search = html('input', {type: 'search', placeholder: 'Search  ( / )',
      'aria-label': 'Search functions and files', spellcheck: 'false',
      autocomplete: 'off'});
    this.share = html('output', {id: 'flame-share'});
    this.status = html('div', {class: 'aside', role: 'status', 'aria-live': 'polite'});
    this.crumbs = html('nav', {class: 'crumbs', 'aria-label': 'Where the zoom is'});
    this.notes = html('footer', {class: 'notes'});
    this.scroller = html('main', {class: 'scroller'}, this.canvas, table.box);
    this.help = html('dialog', {class: 'help', 'aria-label': 'Keys'},
      html('h2', {}, 'Keys'),
      html('table', {}, ...HELP.map(([key, does]) => html('tr', {},
        html('th', {scope: 'row'}, key), html('td', {}, does)))),
      button('Close', {}, () => this.help.close()));
    this.box = html('div', {class: 'app'}, this.head(), this.scroller, this.notes,
      tip.box, menu.box, this.help, this.status);
    tip.hide();
    this.frame = element(SVG, 'foreignObject',
      {id: 'flame-ui', x: 0, y: 0, width: '100%', height: '100%'}, this.box);
    root.append(this.frame);
  },

  head() {
    this.reset = button('Reset zoom', {id: 'flame-reset'}, () => change(UNZOOMED));
    this.regex = button('.*', {'aria-label': 'Regular expression', title:
      'Regular expression'}, () => change({regex: !state.regex}));
    this.views = html('div', {class: 'choice', role: 'group', 'aria-label': 'View'});
    this.clocks = html('div', {class: 'choice', role: 'group', 'aria-label': 'Clock'});
    this.flip = button('', {id: 'flame-flip'}, () => change({up: !state.up}));
    this.undo = button('Undo', {id: 'flame-undo'}, () =>
      change({edits: state.edits.slice(0, -1), zoom: 0, path: []}));
    const tools = html('div', {class: 'tools'}, this.share, this.search, this.regex,
      this.reset);
    const head = html('header', {class: 'ui'},
      html('div', {class: 'bar'}, html('h1', {}, data.title || 'Flame graph'), tools));
    for (const part of ['subtitle', 'quality', 'warning']) {
      if (data[part]) {
        head.append(html('p', part === 'warning' ? {class: 'alarm'} : {}, data[part]));
      }
    }
    head.append(html('div', {class: 'bar choices'}, this.views, this.clocks, this.flip,
      this.undo,
      button('Save SVG', {}, () => save('flamegraph.svg', 'image/svg+xml', pictureNow())),
      button('Save folded', {}, () => save('flamegraph.folded', 'text/plain', foldedNow())),
      button('?', {'aria-label': 'Help'}, () => this.help.showModal())), this.crumbs);
    return head;
  },

  choose(box, names, chosen, act) {
    box.replaceChildren(...names.map(([key, label]) => button(label,
      {'aria-pressed': String(key === chosen)}, () => act(key))));
    box.hidden = names.length < 2;
  },

  drawHead() {
    const views = Object.entries(VIEWS).filter(([key]) =>
      key !== 'sandwich' || state.fn >= 0);
    this.choose(this.views, views, state.view, (view) => change({view}));
    this.choose(this.clocks, clocks.map((key) => [key, CLOCKS.get(key).label]), state.clock,
      (clock) => change({clock}));
    this.flip.textContent = state.up ? 'Root on top' : 'Root at the bottom';
    this.flip.hidden = state.view === 'table' || state.view === 'sandwich';
    this.undo.hidden = !state.edits.length;
    this.reset.disabled = !state.zoom && !state.path.length && !state.range;
    this.regex.setAttribute('aria-pressed', String(state.regex));
    if (this.search.value !== state.search) this.search.value = state.search;
    this.drawShare();
    this.drawCrumbs();
  },

  drawShare() {
    const matches = matchesNow();
    let text = typeof matches === 'string' ? matches : '';
    if (matches instanceof Uint8Array) {
      const tree = treeNow();
      const {total} = weightsNow();
      text = percent(matchedWeight(tree, total, matches, 0), total[0]) + ' matched';
      if (state.view === 'flame' && state.zoom) {
        const inside = tree.path(state.zoom).some((at) => matches[tree.fn[at]]) ?
          total[state.zoom] : matchedWeight(tree, total, matches, state.zoom);
        text += ', ' + percent(inside, total[state.zoom]) + ' of zoom';
      }
    }
    this.share.textContent = text;
  },

  /* [label, what a click changes], from the root to where the zoom is. */
  crumbPath() {
    if (state.view === 'time') {
      return [['all of ' + duration(wholeTime[1]), {range: null}], ...(state.range ?
        [[state.range.map(duration).join(' to '), {}]] : [])];
    }
    if (state.view === 'callers') {
      return [['all functions', {path: []}], ...state.path.map((fn, i) =>
        [functions.name(fn), {path: state.path.slice(0, i + 1)}])];
    }
    return treeNow().path(state.zoom).map((place) =>
      [functions.name(treeNow().fn[place]), {zoom: place}]);
  },

  drawCrumbs() {
    this.crumbs.replaceChildren();
    if (state.view === 'sandwich') {
      this.crumbs.append('Callers above, callees below: ',
        html('b', {}, functions.name(state.fn)));
      return;
    }
    const path = state.view === 'table' ? [] : this.crumbPath();
    if (path.length < 2) {
      this.crumbs.append({
        flame: 'Click a frame to zoom in on it; right click for more.',
        time: 'Drag over a part of the time to see only that, here and in the other views.',
        callers: 'Each function by its own time, its callers on it.',
        table: 'Click a function for its callers and callees.'}[state.view]);
      return;
    }
    const shown = this.width > 900 ? 4 : this.width > 500 ? 2 : 1;
    const last = path.pop();
    const first = path.shift();
    const link = ([label, to]) => this.crumbs.append(
      button(fit(label, 200), {}, () => change(to)), ' › ');
    link(first);
    if (path.length > shown) this.crumbs.append('… › ');
    path.slice(-shown).forEach(link);
    this.crumbs.append(html('b', {}, last[0]));
  },

  makeLayout() {
    if (state.view === 'callers') {
      return layGroup(treeNow(), callersNow().find(treeNow(), state.path), this.width, 1);
    }
    if (state.view === 'sandwich') {
      const {callers, callees} = sandwichNow();
      const layout = layGroup(treeNow(), callees, this.width, 1);
      const above = layGroup(treeNow(), callers, this.width, -1);
      for (const box of above.boxes) if (box.row < 0) addBox(layout, box);
      layout.narrow += above.narrow;
      layout.deep += above.deep;
      return layout;
    }
    if (state.view === 'time') {
      return layTime(treeNow(), state.range || wholeTime, this.width);
    }
    return layTree(treeNow(), state.clock, state.zoom, this.width);
  },

  dressed(matches, total) {
    return (box) => ({
      colour: colourOf(box),
      hit: matches instanceof Uint8Array && !box.narrow && matches[box.fn] === 1,
      said: box.narrow ? frames(box.narrow) + ' too narrow to draw' :
        functions.name(box.fn) + ', ' + weight(box.weight) + ', ' +
        percent(box.weight, total),
    });
  },

  drawGraph() {
    const matches = matchesNow();
    const up = state.view === 'sandwich' ? false : state.up;
    this.layout = this.makeLayout();
    if (state.view === 'flame') { // so that what is zoomed can stay where it is
      const key = keyNow('highest');
      if (key !== this.highestOf) this.highest = 0;
      this.highestOf = key;
      this.highest = Math.max(this.highest, this.layout.last);
      this.layout.last = this.highest;
    }
    this.stage.graph.classList.toggle('searching', matches instanceof Uint8Array);
    this.height = this.stage.draw(this.layout, up,
      this.dressed(matches, weightsNow().total[0]));
    this.canvas.setAttribute('width', this.width);
    this.canvas.setAttribute('height', this.height);
  },

  /* [[label, class]] */
  legend() {
    if (data.changes) {
      const last = data.changes - 1;
      return [['half or less', 'd0'], ['the same', 'd' + last / 2],
        ['double or more', 'd' + last]];
    }
    return data.origins.length < 2 ? [] :
      data.origins.map(([label, colour]) => [label, 'c' + colour]);
  },

  drawNotes() {
    const {narrow, narrowWeight, deep} = this.layout;
    const notes = [];
    if (deep) {
      notes.push(frames(deep) + ' deeper than the ' + grouped(data.rows) +
        ' rows drawn: zoom in to reach them');
    }
    if (narrow) {
      notes.push(frames(narrow) + ' too narrow to draw (pale)' + (state.view === 'flame' ?
        ', ' + percent(narrowWeight, weightsNow().total[state.zoom]) + ' of the width' : ''));
    }
    const legend = this.legend().map(([label, colour]) => html('span', {class: 'key'},
      html('span', {class: 'swatch ' + colour}), label));
    this.notes.replaceChildren(...notes.map((note) => html('span', {}, note)), ...legend);
  },

  draw() {
    this.measure();
    const inTable = state.view === 'table';
    this.canvas.style.display = inTable ? 'none' : '';
    table.box.hidden = !inTable;
    this.drawHead();
    if (inTable) {
      table.draw();
      this.notes.replaceChildren();
      return;
    }
    this.drawGraph();
    this.drawNotes();
  },

  measure() {
    if (document.documentElement !== root) { // it stands in a page
      const whole = document.body.classList.contains('flame-page');
      root.setAttribute('height', window.innerHeight * (whole ? 1 : 0.8));
    }
    this.width = Math.max(100, Math.floor(this.scroller.clientWidth) - 2 * data.margin);
  },

  /* What matters is at the root. */
  toRoot() {
    const below = state.up && !['sandwich', 'table'].includes(state.view);
    this.scroller.scrollTo(0, below ? this.scroller.scrollHeight : 0);
  },

  say(text) {
    this.status.textContent = text;
  },

  focus(box) {
    if (this.focused) this.stage.graph.querySelector('.focus')?.classList.remove('focus');
    this.focused = box;
    const item = box && this.stage.itemOfBox((other) => other === box);
    if (!item) {
      this.canvas.removeAttribute('aria-activedescendant');
      return;
    }
    item.group.classList.add('focus');
    this.canvas.setAttribute('aria-activedescendant', item.group.id);
    item.rect.scrollIntoView({block: 'nearest'});
    const at = item.rect.getBoundingClientRect();
    tip.show(box, at.left, at.bottom - 10);
  },
};

/* A leaf that was off the CPU for most of its time. */
function waitsAt(box) {
  const tree = treeNow();
  if (box.narrow || box.group || !CLOCKS.has('wall')) return false;
  if (tree.end[box.place] !== box.place + 1) return false;
  const wall = tree.by('wall').total[box.place];
  return tree.parts[0][box.place] < wall / 2;
}

/* The class of its colour; in a difference, of how its share has changed. */
function colourOf(box) {
  if (!data.changes) return 'c' + (waitsAt(box) ? data.waiting : functions.colour(box.fn));
  return 'd' + changeLevel(box.group ? partsOfGroup(box.group) :
    treeNow().parts.map((part) => part[box.place]));
}

/* ---- changes ---------------------------------------------------------------------------------- */

function change(to, replace = false) {
  const before = state;
  state = {...state, ...to};
  const {total} = weightsNow();
  if (!(state.zoom < total.length && total[state.zoom] > 0)) state.zoom = 0;
  tip.hide();
  app.focused = null;
  const anchor = anchorOf(before);
  app.draw();
  if (before.view !== state.view || before.up !== state.up) app.toRoot();
  else if (anchor) anchor();
  remember(replace);
}

/* A frame that is clicked stays where it is in the window. */
function anchorOf(before) {
  if (before.view !== 'flame' || before.zoom === state.zoom) return null;
  const same = (box) => box && !box.narrow && box.place === state.zoom;
  const top = () => app.stage.itemOfBox(same)?.rect.getBoundingClientRect().top;
  const was = top();
  return was === undefined ? null : () => app.scroller.scrollBy(0, top() - was);
}

/* A mark of narrow frames leads to their parent; from there, to the widest. */
function follow(box) {
  if (state.view === 'time') {
    change({range: [box.from, box.from + box.weight]});
    return;
  }
  if (box.group) {
    const group = box.narrow ? box.group.above : box.group;
    if (state.view === 'sandwich') change({fn: group.fn});
    else change({path: group.path()});
    return;
  }
  const tree = treeNow();
  const {total} = weightsNow();
  const parent = tree.parent[box.place];
  if (!box.narrow || parent !== state.zoom) {
    change({zoom: box.narrow ? parent : box.place});
    return;
  }
  let widest = box.place;
  for (let at = box.place; at < box.place + box.narrow; at = tree.end[at]) {
    if (total[at] > total[widest]) widest = at;
  }
  change({zoom: widest});
}

/* The next box of the search, from where the keyboard is. */
function nextMatch(step) {
  const matches = matchesNow();
  if (!(matches instanceof Uint8Array) || !app.layout) return;
  const hits = app.layout.boxes.filter((box) => !box.narrow && matches[box.fn]);
  if (!hits.length) return;
  const at = hits.indexOf(app.focused);
  const next = at < 0 ? (step > 0 ? 0 : hits.length - 1) : at + step;
  app.focus(hits[(next + hits.length) % hits.length]);
}

const above = (box) => app.layout.boxes.find((other) => !other.narrow && (box.group ?
  other.group === box.group.above : other.place === treeNow().parent[box.place]));
const childrenOf = (box) => app.layout.boxes.filter((other) => other !== box &&
  (box.group ? other.group && other.group.above === box.group :
    treeNow().parent[other.place] === box.place));

/* Up and down are what they look like. */
function walk(key) {
  const box = app.focused;
  if (!box) return app.layout.boxes.find((other) => !other.above) || app.layout.boxes[0];
  const up = state.view === 'sandwich' ? false : state.up;
  if (key === 'Home') return app.layout.boxes[0];
  if (key === (up ? 'ArrowDown' : 'ArrowUp')) return above(box);
  if (key === (up ? 'ArrowUp' : 'ArrowDown')) {
    return childrenOf(box).sort((a, b) => b.weight - a.weight)[0];
  }
  const row = app.layout.boxes.filter((other) => other.row === box.row)
    .sort((a, b) => a.x - b.x);
  return row[row.indexOf(box) + (key === 'ArrowRight' ? 1 : -1)];
}

const next = (list, current) => list[(list.indexOf(current) + 1) % list.length];

const KEYS = {
  '/': () => app.search.focus(),
  '?': () => app.help.showModal(),
  n: () => nextMatch(1),
  N: () => nextMatch(-1),
  v: () => change({view: next(Object.keys(VIEWS).filter((view) =>
    view !== 'sandwich' || state.fn >= 0), state.view)}),
  c: () => change({clock: next(clocks, state.clock)}),
  f: () => change({up: !state.up}),
  u: () => state.edits.length && change({edits: state.edits.slice(0, -1), zoom: 0, path: []}),
  Escape() {
    if (state.search !== '') change({search: ''});
    else if (state.zoom || state.path.length || state.range) change(UNZOOMED);
  },
};

const GRAPH_KEYS = {
  Enter: () => app.focused && follow(app.focused),
  m() {
    if (!app.focused) return;
    const item = app.stage.itemOfBox((box) => box === app.focused);
    const at = item.rect.getBoundingClientRect();
    menu.open(app.focused, at.left + 8, at.bottom);
  },
};
GRAPH_KEYS[' '] = GRAPH_KEYS.Enter;
GRAPH_KEYS.ContextMenu = GRAPH_KEYS.m;

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (!menu.box.hidden) {
    menu.key(event);
    return;
  }
  const typing = document.activeElement === app.search;
  if (app.help.open || (typing && event.key !== 'Escape')) return;
  if (document.activeElement === app.canvas) {
    if (/^(Arrow(Up|Down|Left|Right)|Home)$/.test(event.key)) {
      const box = walk(event.key);
      if (box) app.focus(box);
      event.preventDefault();
      return;
    }
    if (Object.hasOwn(GRAPH_KEYS, event.key)) {
      event.preventDefault();
      GRAPH_KEYS[event.key]();
      return;
    }
  }
  if (!Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key]();
}

/* In time order a range is drawn with the pointer; a click is a drag of no length. */
const brush = {
  mark: element(SVG, 'rect', {class: 'brush', y: 0}),
  from: null,

  place: (event) => Math.max(0, Math.min(app.width,
    event.clientX - app.canvas.getBoundingClientRect().left)),

  start(event) {
    if (state.view !== 'time' || event.button !== 0) return;
    this.from = this.place(event);
  },

  move(event) {
    if (this.from === null) return false;
    const to = this.place(event);
    if (Math.abs(to - this.from) < 4) return false;
    tip.hide();
    app.canvas.append(this.mark);
    this.mark.setAttribute('x', Math.min(this.from, to));
    this.mark.setAttribute('width', Math.abs(to - this.from));
    this.mark.setAttribute('height', app.height);
    return true;
  },

  /* True if that was a range. */
  end(event) {
    const from = this.from;
    this.from = null;
    this.mark.remove();
    if (from === null) return false;
    const to = this.place(event);
    if (Math.abs(to - from) < 4) return false;
    const [begins, ends] = state.range || wholeTime;
    const moment = (x) => begins + (x / app.width) * (ends - begins);
    change({range: [moment(Math.min(from, to)), moment(Math.max(from, to))], zoom: 0});
    return true;
  },
};

function listen() {
  const stage = app.stage;
  let dragged = false;
  app.canvas.addEventListener('pointerdown', (event) => brush.start(event));
  window.addEventListener('pointerup', (event) => { dragged = brush.end(event); });
  app.canvas.addEventListener('click', (event) => {
    const box = dragged ? null : stage.boxAt(event);
    if (box) follow(box);
  });
  app.canvas.addEventListener('contextmenu', (event) => {
    const box = stage.boxAt(event);
    if (!box) return;
    event.preventDefault();
    menu.open(box, event.clientX, event.clientY);
  });
  app.canvas.addEventListener('mousemove', (event) => {
    const box = brush.move(event) ? null : stage.boxAt(event);
    if (box && menu.box.hidden) tip.show(box, event.clientX, event.clientY);
    else tip.hide();
  });
  app.canvas.addEventListener('mouseleave', () => tip.hide());
  app.canvas.addEventListener('blur', () => app.focus(null));
  app.scroller.addEventListener('scroll', () => tip.hide(), {passive: true});
  app.search.addEventListener('input', () => change({search: app.search.value}, true));
  app.box.addEventListener('mousedown', (event) => {
    if (!menu.box.contains(event.target)) menu.box.hidden = true;
  });
  window.addEventListener('hashchange', () => {
    if (location.hash.slice(1) !== hashOf(state)) change(stateFrom(location.hash.slice(1)));
  });
  window.addEventListener('resize', () => {
    tip.hide();
    app.draw();
  });
  window.addEventListener('keydown', onKey);
}

function start() {
  root.setAttribute('width', '100%');
  root.setAttribute('height', '100%');
  root.removeAttribute('viewBox');
  if (pen) pen.font = data.size + 'px ' + getComputedStyle(graph).fontFamily;
  app.build();
  listen();
  change(stateFrom(location.hash.slice(1)), true);
  app.toRoot();
}

start();
