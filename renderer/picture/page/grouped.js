/* ---- grouped trees: callers and callees, grown only as far as they are drawn -------- */

/*
 * Places of one function that are reached the same way. `at` is where each stands,
 * `weights` what each brings along. step(at, brought, visit) visits where it goes next.
 */
class Group {
  constructor(step, fn, above) {
    this.step = step;
    this.fn = fn;
    this.above = above;
    this.depth = above ? above.depth + 1 : 0;
    this.at = [];
    this.weights = [];
    this.total = 0;
    this.grown = null;
  }

  add(place, brought) {
    this.at.push(place);
    this.weights.push(brought);
    this.total += brought;
  }

  /* Sorted by function; of functions: tree.fn. */
  children(tree) {
    if (this.grown) return this.grown;
    const known = new Map();
    const visit = (place, brought) => {
      const fn = tree.fn[place];
      if (!known.has(fn)) known.set(fn, new Group(this.step, fn, this));
      known.get(fn).add(place, brought);
    };
    this.at.forEach((place, i) => this.step(place, this.weights[i], visit));
    this.grown = [...known.values()].sort((a, b) => a.fn - b.fn);
    return this.grown;
  }

  /* Functions from the root's child to this one: its address. */
  path() {
    const found = [];
    for (let at = this; at.above; at = at.above) found.push(at.fn);
    return found.reverse();
  }

  find(tree, path) {
    let at = this;
    for (const fn of path) {
      const next = at.children(tree).find((child) => child.fn === fn);
      if (!next) break;
      at = next;
    }
    return at;
  }
}

/* To who called it; the root of the tree is nobody. */
const upwards = (tree) => (place, brought, visit) => {
  if (tree.parent[place] > 0) visit(tree.parent[place], brought);
};

const downwards = (tree, total) => (place, _, visit) => {
  for (let at = place + 1; at < tree.end[place]; at = tree.end[at]) {
    if (total[at] > 0) visit(at, total[at]);
  }
};

/* Every function that has time of its own, and who called it. */
function callersOfAll(tree, clock) {
  const {self} = tree.by(clock);
  const up = upwards(tree);
  const all = new Group((_place, _brought, visit) => {
    for (let at = 0; at < tree.count; at++) {
      if (self[at] > 0) visit(at, self[at]);
    }
  }, tree.fn[0], null);
  all.add(0, tree.by(clock).total[0]);
  for (const child of all.children(tree)) child.step = up;
  return all;
}

/* The places of a function that are not inside another of its own. */
function outermost(tree, fn) {
  const found = [];
  for (let at = 0; at < tree.count;) {
    if (tree.fn[at] === fn) {
      found.push(at);
      at = tree.end[at];
    } else {
      at++;
    }
  }
  return found;
}

function groupOf(tree, clock, fn, step) {
  const {total} = tree.by(clock);
  const group = new Group(step, fn, null);
  for (const place of outermost(tree, fn)) group.add(place, total[place]);
  return group;
}

const callersOf = (tree, clock, fn) => groupOf(tree, clock, fn, upwards(tree));
const calleesOf = (tree, clock, fn) =>
  groupOf(tree, clock, fn, downwards(tree, tree.by(clock).total));

/* ---- what a table says of each function --------------------------------------------- */

/* [{fn, self, total, places, samples, parts}]: but for self and places, a function inside
 * itself counts once. */
function functionRows(tree, clock) {
  const {self, total} = tree.by(clock);
  const rows = new Map();
  const inside = new Uint32Array(functions.count); // depth of it on the path here
  const open = [];
  for (let at = 0; at < tree.count; at++) {
    while (open.length && tree.end[open[open.length - 1]] <= at) {
      inside[tree.fn[open.pop()]]--;
    }
    const fn = tree.fn[at];
    let row = rows.get(fn);
    if (!row) {
      row = {fn, self: 0, total: 0, places: 0, samples: 0, parts: PARTS.map(() => 0)};
      rows.set(fn, row);
    }
    row.self += self[at];
    row.places++;
    if (!inside[fn]) {
      row.total += total[at];
      row.samples += tree.samples[at];
      tree.parts.forEach((part, p) => { row.parts[p] += part[at]; });
    }
    inside[fn]++;
    open.push(at);
  }
  rows.delete(tree.fn[0]);
  return [...rows.values()];
}
