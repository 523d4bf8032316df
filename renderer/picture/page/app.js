/* ---- the page around the graph ------------------------------------------------------ */

const HELP = [
  ['Click, Enter', 'zoom in on a frame'],
  ['Escape', 'clear the search, then zoom out'],
  ['Arrow keys', 'go along the tree'],
  ['Right click, M', 'what can be done with a frame'],
  ['[ and ]', 'in time order: from where the frame begins, to where it ends'],
  ['/, Enter', 'search, and its first match'],
  ['N, Shift+N', 'next and previous match'],
  ['V', 'next view'],
  ['C', 'next clock'],
  ['F', 'root at the bottom or at the top'],
  ['U', 'undo the last change to the tree'],
  ['?', 'this help'],
];

const UNZOOMED = {zoom: 0, path: [], range: null};

/* Buttons of which one is pressed; names: [[key, label]]. */
class Choice {
  constructor(label, names, act) {
    this.buttons = new Map(names.map(([key, name]) =>
      [key, button(name, {}, () => act(key))]));
    this.box = html('div', {class: 'choice', role: 'group', 'aria-label': label},
      ...this.buttons.values());
    this.box.hidden = names.length < 2;
  }

  press(chosen) {
    for (const [key, each] of this.buttons) each.setAttribute('aria-pressed', key === chosen);
  }
}

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
    this.stage.clear();
    this.canvas = element(SVG, 'svg', {class: 'canvas', role: 'tree', tabindex: '0',
      'font-size': data.size, fill: '#33261c'});
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
    this.views = new Choice('View', Object.entries(VIEWS), (view) => change({view}));
    this.clocks = new Choice('Clock', clocks.map((key) => [key, CLOCKS.get(key).label]),
      (clock) => change({clock}));
    this.flip = button('', {id: 'flame-flip'}, () => change({up: !state.up}));
    this.undo = button('Undo', {id: 'flame-undo'}, undo);
    const tools = html('div', {class: 'tools'}, this.share, this.search, this.regex,
      this.reset);
    const head = html('header', {class: 'ui'},
      html('div', {class: 'bar'}, html('h1', {}, data.title || 'Flame graph'), tools));
    for (const part of ['subtitle', 'quality', 'warning']) {
      if (data[part]) {
        head.append(html('p', part === 'warning' ? {class: 'alarm'} : {}, data[part]));
      }
    }
    head.append(html('div', {class: 'bar choices'}, this.views.box, this.clocks.box, this.flip,
      this.undo,
      button('Save SVG', {}, () => save('flamegraph.svg', 'image/svg+xml', pictureNow())),
      button('Save folded', {}, () => save('flamegraph.folded', 'text/plain', foldedNow())),
      button('?', {'aria-label': 'Help'}, () => this.help.showModal())), this.crumbs);
    return head;
  },

  drawHead() {
    this.views.press(state.view);
    this.views.buttons.get('sandwich').hidden = state.fn < 0;
    this.clocks.press(state.clock);
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
        [functions.label(fn), {path: state.path.slice(0, i + 1)}])];
    }
    return treeNow().path(state.zoom).map((place) =>
      [functions.label(treeNow().fn[place]), {zoom: place}]);
  },

  drawCrumbs() {
    this.crumbs.replaceChildren();
    if (state.view === 'sandwich') {
      this.crumbs.append('Callers above, callees below: ',
        html('b', {}, functions.label(state.fn)));
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

  /* As fine as the screen, or coarser where that is more than can be drawn within a
   * click; but the order of time has no marks for what is left out. */
  makeLayout() {
    const layout = this.layoutOf(LEAST);
    if (layout.boxes.length <= MOST_BOXES || data.smallest || state.view === 'time') {
      return layout;
    }
    const wide = layout.boxes.map((box) => box.width).sort((a, b) => b - a);
    return this.layoutOf(Math.min(wide[MOST_BOXES], COARSEST * LEAST));
  },

  layoutOf(least) {
    if (state.view === 'callers') {
      return layGroup(treeNow(), callersNow().find(treeNow(), state.path), this.width, 1,
        least);
    }
    if (state.view === 'sandwich') {
      const {callers, callees} = sandwichNow();
      const layout = layGroup(treeNow(), callees, this.width, 1, least);
      const above = layGroup(treeNow(), callers, this.width, -1, least);
      for (const box of above.boxes) if (box.row < 0) addBox(layout, box);
      layout.narrow += above.narrow;
      layout.deep += above.deep;
      return layout;
    }
    if (state.view === 'time') {
      return layTime(treeNow(), timeNow(), this.width, least);
    }
    return layTree(treeNow(), state.clock, state.zoom, this.width, least);
  },

  dressed(matches) {
    return (box) => ({
      colour: colourOf(box),
      hit: matches instanceof Uint8Array && isHit(box, matches),
    });
  },

  nameOf(total) {
    return (box) => (box.narrow ? frames(box.narrow) + ' too narrow to draw' :
      functions.label(box.fn) + ', ' + weight(box.weight) + ', ' + percent(box.weight, total));
  },

  drawGraph() {
    const matches = matchesNow();
    this.layout = this.makeLayout();
    if (state.view === 'flame') { // so that what is zoomed can stay where it is
      const key = keyNow('highest');
      if (key !== this.highestOf) this.highest = 0;
      this.highestOf = key;
      this.highest = Math.max(this.highest, this.layout.last);
      this.layout.last = this.highest;
    }
    this.stage.graph.classList.toggle('searching', matches instanceof Uint8Array);
    this.height = this.stage.draw(this.layout, rootBelow(), this.dressed(matches),
      this.nameOf(weightsNow().total[0]));
    this.canvas.setAttribute('aria-label', VIEWS[state.view]);
    this.canvas.classList.toggle('timed', state.view === 'time');
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

  /* What the tree has no more, said where it is missed. */
  editNotes() {
    const said = {
      hide: (name) => name + ' hidden',
      focus: (name) => 'only stacks with ' + name,
      recursion: () => 'direct recursion merged',
      files: () => 'frames of one file merged',
    };
    const notes = state.edits.map(([name, fn], i) => {
      const [before, after] = [i, i + 1].map((end) =>
        edited(state.range, state.edits.slice(0, end)).count);
      return said[name](functions.name(fn)) + ': ' + frames(before - after) + ' fewer';
    });
    if (state.range) notes.push('only ' + state.range.map(duration).join(' to '));
    return notes;
  },

  drawNotes() {
    const {narrow, narrowWeight, deep} = this.layout;
    const notes = this.editNotes();
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
    const had = document.activeElement;
    const inTable = state.view === 'table';
    this.measure();
    this.canvas.style.display = inTable ? 'none' : '';
    this.scroller.classList.toggle('drawn', !inTable);
    table.box.hidden = !inTable;
    this.drawHead();
    if (inTable) {
      table.draw();
      this.notes.replaceChildren(...this.editNotes().map((note) => html('span', {}, note)));
    } else {
      this.drawGraph();
      this.drawNotes();
    }
    this.keepFocus(had);
  },

  measure() {
    if (document.documentElement !== root) { // it stands in a page
      const whole = document.body.classList.contains('flame-page');
      root.setAttribute('height', window.innerHeight * (whole ? 1 : 0.8));
    }
    this.width = this.room();
  },

  // A scrollbar stands in the margin: it may come and go without moving a frame.
  room() {
    return Math.max(100, this.box.clientWidth - 2 * data.margin);
  },

  /* What matters is at the root. */
  toRoot() {
    this.away = 0;
    this.keepAway();
  },

  /* Pixels that the root is out of sight, from how far it is scrolled; and back. */
  fromRoot(pixels) {
    const {scrollHeight, clientHeight} = this.scroller;
    return rootBelow() && state.view !== 'table' ? scrollHeight - clientHeight - pixels : pixels;
  },

  noteAway() {
    this.away = this.fromRoot(this.scroller.scrollTop);
  },

  keepAway() {
    this.scroller.scrollTo(0, this.fromRoot(this.away));
  },

  /* What is drawn, for the keyboard. */
  main: () => (state.view === 'table' ? table.box : app.canvas),

  /* What had the focus may be gone or of no use: then what is drawn has it. */
  keepFocus(had) {
    if (had && (had.disabled || !had.getClientRects().length)) {
      this.main().focus({preventScroll: true});
    }
  },

  say(text) {
    this.status.textContent = text;
  },

  focus(box) {
    if (this.focused) {
      this.stage.graph.querySelector('.focus')?.classList.remove('focus');
      this.stage.graph.querySelector('#flame-active')?.removeAttribute('id');
    }
    this.focused = box;
    const item = box && this.stage.itemOfBox((other) => other === box);
    if (!item) {
      this.canvas.removeAttribute('aria-activedescendant');
      return;
    }
    item.group.classList.add('focus');
    this.stage.name(item);
    item.rect.id = 'flame-active';
    this.canvas.setAttribute('aria-activedescendant', item.rect.id);
    item.rect.scrollIntoView({block: 'nearest'});
    const at = item.rect.getBoundingClientRect();
    tip.show(box, at.left, at.bottom - 10);
  },
};

/* A match, or a mark with one among its frames. */
function isHit(box, matches) {
  if (!box.narrow) return matches[box.fn] === 1;
  if (box.group) return false;
  const tree = treeNow();
  for (let at = box.place; at < box.place + box.narrow; at++) {
    if (matches[tree.fn[at]]) return true;
  }
  return false;
}

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

/* ---- changes ------------------------------------------------------------------------ */

function change(to, replace = false) {
  const before = state;
  state = {...state, ...to};
  const {total} = weightsNow();
  if (!(state.zoom < total.length && total[state.zoom] > 0)) state.zoom = 0;
  tip.hide();
  app.focus(null);
  const anchor = anchorOf(before);
  app.draw();
  if (before.view !== state.view || before.up !== state.up) app.toRoot();
  else if (anchor) anchor();
  app.noteAway();
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

function undo() {
  if (state.edits.length) change({edits: state.edits.slice(0, -1), zoom: 0, path: []});
}
