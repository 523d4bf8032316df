/* ---- what the reader has chosen, and the address that says so ----------------------- */

const VIEWS = {
  flame: 'Flame graph',
  callers: 'Callers',
  ...(passing.count > 1 ? {time: 'Time order'} : {}),
  table: 'Table',
  sandwich: 'One function',
};

const clocks = [...CLOCKS.keys()];
const firstClock = CLOCKS.has(data.clock) ? data.clock : clocks[0];

const fresh = () => ({
  view: data.view || 'flame',
  up: !data.inverted, // the root is at the bottom
  clock: firstClock,
  zoom: 0, // of the flame graph: a place
  path: [], // of the callers: functions
  fn: -1, // of the sandwich
  search: '',
  regex: false,
  edits: [], // [name, function or -1]
  range: null, // [from, to] of the request's time, ns; null: all of it
});

let state = fresh();

/* Of what is drawn: in the other view callers are above, callees below. */
const rootBelow = () => state.up && state.view !== 'sandwich';

/* Everything in it comes from outside: what is not known is as if it were not there. */
function stateFrom(hash) {
  const given = new URLSearchParams(hash);
  const found = fresh();
  const number = (text, below) => {
    const value = /^\d{1,9}$/.test(text || '') ? Number(text) : -1;
    return value < below ? value : -1;
  };
  const fn = (text) => number(text, functions.count);
  if (Object.hasOwn(VIEWS, given.get('view') || '')) found.view = given.get('view');
  if (clocks.includes(given.get('clock'))) found.clock = given.get('clock');
  if (given.has('icicle')) found.up = given.get('icicle') === '0';
  found.zoom = Math.max(0, number(given.get('zoom'), Infinity));
  found.path = (given.get('path') || '').split('.').map(fn).filter((f) => f >= 0);
  found.fn = fn(given.get('fn'));
  found.search = given.get('search') || '';
  found.regex = given.has('regex');
  for (const edit of (given.get('edits') || '').split('.').slice(0, 100)) {
    const [, name, of] = /^([a-z]+)-?(\d*)$/.exec(edit) || [];
    const known = Object.hasOwn(EDITS, name || '');
    // Some are of a function, which has to be there.
    if (known && (fn(of) >= 0 || EDITS[name].length === 1)) found.edits.push([name, fn(of)]);
  }
  const range = (given.get('range') || '').split('-').map((us) => number(us, 1e9) * 1000);
  if (range.length === 2 && range[0] >= 0 && range[1] > range[0] &&
      range[0] < wholeTime[1]) {
    found.range = [range[0], Math.min(range[1], wholeTime[1])];
  }
  if (found.view === 'sandwich' && found.fn < 0) found.view = 'flame';
  return found;
}

function hashOf(from) {
  const usual = fresh();
  const said = new URLSearchParams();
  const say = (key, value) => said.set(key, value);
  if (from.view !== usual.view) say('view', from.view);
  if (from.clock !== usual.clock) say('clock', from.clock);
  if (from.up !== usual.up) say('icicle', from.up ? '0' : '1');
  if (from.zoom) say('zoom', from.zoom);
  if (from.path.length) say('path', from.path.join('.'));
  if (from.view === 'sandwich') say('fn', from.fn);
  if (from.search) say('search', from.search);
  if (from.regex) say('regex', '1');
  if (from.edits.length) {
    say('edits', from.edits.map(([name, fn]) => name + (fn < 0 ? '' : '-' + fn)).join('.'));
  }
  if (from.range) say('range', from.range.map((ns) => Math.round(ns / 1000)).join('-'));
  return said.toString();
}

/* replace: no step of its own for Back. */
function remember(replace) {
  const hash = hashOf(state);
  if (hash === location.hash.slice(1)) return;
  try {
    // With the whole address: in a frame whose text another page brings (srcdoc), "#..."
    // alone would be that page's.
    if (replace) location.replace(location.href.split('#')[0] + '#' + hash);
    else location.hash = hash;
  } catch (error) {
    // A frame that may not navigate: the state is then not in the address.
  }
}

/* ---- the trees that are wanted, made once ------------------------------------------- */

const original = readTree();
data.tree = data.times = null;

const made = new Map(); // by what was asked for
const KEPT = original.count > 100000 ? 6 : 24;

function once(key, make) {
  if (!made.has(key)) {
    const value = make();
    if (made.size >= KEPT) made.delete(made.keys().next().value);
    made.set(key, value);
  }
  return made.get(key);
}

function edited(range, edits) {
  return once('tree ' + JSON.stringify([range, edits]), () => {
    if (!edits.length) return range ? restricted(original, range) : original;
    const [name, fn] = edits[edits.length - 1];
    return EDITS[name](edited(range, edits.slice(0, -1)), fn);
  });
}

const treeNow = () => edited(state.range, state.edits);
const keyNow = (what) => what + JSON.stringify([state.clock, state.range, state.edits]);
const timeNow = () => state.range || wholeTime;
const weightsNow = () => treeNow().by(state.clock);
const rowsNow = () => once(keyNow('rows'), () => functionRows(treeNow(), state.clock));
const rowOf = (fn) => rowsNow().find((row) => row.fn === fn);
const callersNow = () =>
  once(keyNow('callers'), () => callersOfAll(treeNow(), state.clock));
const sandwichNow = () => once(keyNow('sandwich' + state.fn), () => ({
  callers: callersOf(treeNow(), state.clock, state.fn),
  callees: calleesOf(treeNow(), state.clock, state.fn),
}));

/* ---- search ------------------------------------------------------------------------- */

/* By function: does it match? null: nothing is searched for; a string: why it cannot. */
function matchesNow() {
  if (state.search === '') return null;
  return once('search ' + state.regex + state.search, () => {
    let test;
    if (state.regex) {
      try {
        const pattern = new RegExp(state.search, 'iu');
        test = (text) => pattern.test(text);
      } catch (error) {
        return 'not a regular expression';
      }
    } else {
      const needle = state.search.toLowerCase();
      test = (text) => text.toLowerCase().includes(needle);
    }
    const found = new Uint8Array(functions.count);
    for (let fn = 0; fn < found.length; fn++) found[fn] = test(functions.whole(fn)) ? 1 : 0;
    return found;
  });
}

/* Exact, whatever is drawn: a match within a match counts once. */
function matchedWeight(tree, total, matches, from) {
  let sum = 0;
  for (let at = from; at < tree.end[from];) {
    if (matches[tree.fn[at]]) {
      sum += total[at];
      at = tree.end[at];
    } else {
      at++;
    }
  }
  return sum;
}
