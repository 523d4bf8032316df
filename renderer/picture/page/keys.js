/* ---- the keyboard ------------------------------------------------------------------- */

/* The next box of the search, from where the keyboard is. */
function nextMatch(step) {
  const matches = matchesNow();
  if (!(matches instanceof Uint8Array) || state.view === 'table') return;
  const hits = app.layout.boxes.filter((box) => isHit(box, matches));
  if (!hits.length) return;
  const at = hits.indexOf(app.focused);
  const next = at < 0 ? (step > 0 ? 0 : hits.length - 1) : at + step;
  app.canvas.focus();
  app.focus(hits[(next + hits.length) % hits.length]);
}

/* Where an arrow leads: up and down are what they look like. */
function walk(key) {
  const {boxes} = app.layout;
  const box = app.focused;
  if (!box || key === 'Home') {
    return boxes.filter((other) => !other.above)
      .sort((a, b) => Math.abs(a.row) - Math.abs(b.row))[0];
  }
  if (key === 'ArrowLeft' || key === 'ArrowRight') {
    const row = boxes.filter((other) => other.row === box.row).sort((a, b) => a.x - b.x);
    return row[row.indexOf(box) + (key === 'ArrowRight' ? 1 : -1)];
  }
  const row = box.row + ((key === 'ArrowUp') === rootBelow() ? 1 : -1);
  const shared = (other) => // px that it stands over or under the box
    Math.min(other.x + other.width, box.x + box.width) - Math.max(other.x, box.x);
  return boxes.filter((other) => other.row === row && shared(other) > 0)
    .sort((a, b) => shared(b) - shared(a))[0];
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
  u: undo,
  Escape() {
    if (state.search !== '') change({search: ''});
    else if (state.zoom || state.path.length || state.range) change(UNZOOMED);
  },
};

/* Those of the frame that the keyboard is on. */
const FRAME_KEYS = {
  Enter: follow,
  ' ': follow,
  m: menuOf,
  ContextMenu: menuOf,
  '[': (box) => cutTime(box.from, timeNow()[1]),
  ']': (box) => cutTime(timeNow()[0], box.from + box.weight),
};

function menuOf(box) {
  const item = app.stage.itemOfBox((other) => other === box);
  if (!item) return;
  const at = item.rect.getBoundingClientRect();
  menu.open(box, Math.max(0, at.left) + 8, at.bottom);
}

function cutTime(from, to) {
  if (state.view === 'time') change({range: [from, to], zoom: 0});
}

/* True if the key was for the graph. */
function onGraphKey(key) {
  if (/^(Arrow(Up|Down|Left|Right)|Home)$/.test(key)) {
    const box = walk(key);
    if (box) app.focus(box);
    return true;
  }
  if (!app.focused || !Object.hasOwn(FRAME_KEYS, key)) return false;
  FRAME_KEYS[key](app.focused);
  return true;
}

/* True if the key was for the search: it is text, but for these two. */
function onSearchKey(key) {
  if (key === 'Enter') nextMatch(1);
  return key !== 'Escape';
}

function onKey(event) {
  const {key} = event;
  const active = document.activeElement;
  if (event.ctrlKey || event.metaKey || event.altKey || app.help.open) return;
  if (!menu.box.hidden) {
    menu.key(event);
    return;
  }
  if (active === app.search && onSearchKey(key)) return;
  if (!(active === app.canvas && onGraphKey(key))) {
    if (!Object.hasOwn(KEYS, key)) return;
    KEYS[key]();
  }
  event.preventDefault();
}
