/* ---- the tree: places in preorder, in typed arrays ---------------------------------- */

/* What is known of each place: names, or of plain stacks their weight alone. */
const PARTS = data.parts || ['weight'];

/* The clocks a tree can be weighed by: {label, parts: indices of what they add up}. */
const CLOCKS = new Map(Object.entries(data.clocks || {weight: ['Weight', 0]}).map(
  ([name, [label, ...parts]]) => [name, {label, parts}]));

/* A path's last part, and of a package's own files the package with it. */
const SHORT_PATH = /([^/]*\/(?=__(init|main)__\.py$))?[^/]+$/;

const functions = {
  count: data.functions.length / 4,
  name: (fn) => data.functions[fn * 4],
  file: (fn) => data.functions[fn * 4 + 1],
  line: (fn) => data.functions[fn * 4 + 2],
  colour: (fn) => data.functions[fn * 4 + 3],
  /* What stands on a box: of code that is called <module>, its file says which. */
  label(fn) {
    const name = this.name(fn);
    const path = name === '<module>' && this.file(fn).match(SHORT_PATH);
    return path ? name + ' ' + path[0] : name;
  },
  whole(fn) {
    const file = this.file(fn);
    return this.name(fn) + (file ? ' (' + file + ':' + this.line(fn) + ')' : '');
  },
};

/*
 * Immutable. parts: of each place, all of its subtree. A place's parent has a smaller
 * index, its subtree is [place, end[place]), and siblings stand in the order of their
 * functions.
 */
class Tree {
  constructor(count) {
    this.count = count;
    this.fn = new Uint32Array(count);
    this.depth = new Uint32Array(count);
    this.parent = new Int32Array(count);
    this.end = new Uint32Array(count); // one past the subtree
    this.samples = new Float64Array(count);
    this.parts = PARTS.map(() => new Float64Array(count));
    this.weights = new Map(); // by clock
    this.placeOf = null; // by place of the tree in the data; null: this is it
  }

  /* {total, self, start}: start is where the place's left edge is, as a weight. */
  by(clock) {
    let weights = this.weights.get(clock);
    if (!weights) {
      weights = this.weigh(clock);
      this.weights.set(clock, weights);
    }
    return weights;
  }

  weigh(clock) {
    const chosen = CLOCKS.get(clock).parts;
    const total = new Float64Array(this.count);
    for (const part of chosen) {
      const values = this.parts[part];
      for (let i = 0; i < this.count; i++) total[i] += values[i];
    }
    const self = Float64Array.from(total);
    const start = new Float64Array(this.count);
    for (let i = 1; i < this.count; i++) {
      // What is not self yet is taken by the siblings to the left.
      const parent = this.parent[i];
      start[i] = start[parent] + total[parent] - self[parent];
      self[parent] -= total[i];
    }
    return {total, self, start};
  }

  /* The places on the way to this one, the root first. */
  path(place) {
    const found = [];
    for (let at = place; at >= 0; at = this.parent[at]) found.push(at);
    return found.reverse();
  }
}

/* The data block's: how many levels up from what would be a child, the function, and what
 * is the place's own. */
function readTree() {
  const step = 2 + (data.times ? 0 : 1) + (data.samples ? 1 : 0);
  const count = data.tree.length / step;
  const tree = new Tree(count);
  const open = []; // the path to here
  let depth = 0;
  for (let i = 0; i < count; i++) {
    const at = i * step;
    depth -= data.tree[at];
    while (open.length > depth) tree.end[open.pop()] = i;
    tree.fn[i] = data.tree[at + 1];
    tree.depth[i] = depth;
    tree.parent[i] = depth ? open[depth - 1] : -1;
    if (data.samples) tree.samples[i] = Number(data.tree[at + step - 1]);
    if (data.times) {
      PARTS.forEach((_, p) => {
        tree.parts[p][i] = Number(data.times[i * PARTS.length + p]);
      });
    } else {
      tree.parts[0][i] = Number(data.tree[at + 2]);
    }
    open.push(i);
    depth++;
  }
  while (open.length) tree.end[open.pop()] = count;
  for (const values of [tree.samples, ...tree.parts]) addUp(tree, values);
  return tree;
}

/* Places' own values become those of their subtrees. */
function addUp(tree, values) {
  for (let i = tree.count - 1; i > 0; i--) values[tree.parent[i]] += values[i];
}

/* What only this place has, of values that are sums of subtrees. */
function selfOf(tree, totals) {
  const self = Float64Array.from(totals);
  for (let i = 1; i < tree.count; i++) self[tree.parent[i]] -= totals[i];
  return self;
}

/* ---- trees made of trees ------------------------------------------------------------ */

/*
 * Gathers places as they come, a parent before its children, merging those of the same
 * function under the same parent; then finish() puts them in order.
 */
class Growing {
  constructor(fn) { // of the root
    this.fn = [fn];
    this.parent = [-1];
    this.samples = [0];
    this.parts = PARTS.map(() => [0]);
    this.children = [null]; // Map from function to index
  }

  child(parent, fn) {
    const known = this.children[parent] || (this.children[parent] = new Map());
    let at = known.get(fn);
    if (at === undefined) {
      at = this.fn.length;
      known.set(fn, at);
      this.fn.push(fn);
      this.parent.push(parent);
      this.samples.push(0);
      this.children.push(null);
      for (const part of this.parts) part.push(0);
    }
    return at;
  }

  /* places: for each gathered one, filled with where it is in the tree. */
  finish(places) {
    const tree = new Tree(this.fn.length);
    const order = [[0, -1]]; // [gathered, parent's place], the next at the end
    for (let place = 0; order.length; place++) {
      const [from, parent] = order.pop();
      places[from] = place;
      tree.fn[place] = this.fn[from];
      tree.parent[place] = parent;
      tree.depth[place] = parent < 0 ? 0 : tree.depth[parent] + 1;
      tree.samples[place] = this.samples[from];
      this.parts.forEach((part, p) => { tree.parts[p][place] = part[from]; });
      if (!this.children[from]) continue;
      const sorted = [...this.children[from]].sort((a, b) => b[0] - a[0]);
      for (const [, child] of sorted) order.push([child, place]);
    }
    for (let i = tree.count - 1; i >= 0; i--) {
      if (!tree.end[i]) tree.end[i] = i + 1;
      const parent = tree.parent[i];
      if (parent < 0) continue;
      tree.end[parent] = Math.max(tree.end[parent], tree.end[i]);
      tree.samples[parent] += tree.samples[i];
      for (const part of tree.parts) part[parent] += part[i];
    }
    return tree;
  }
}

/*
 * What a reader does to a tree. Each says for a place where its time belongs: `as` gives
 * the function to go on with below `above` (the new index of its parent there), or null
 * to leave the frame out; `keep` whether its own time counts at all.
 */
function rebuilt(tree, as, keep = () => true) {
  const growing = new Growing(tree.fn[0]);
  const self = tree.parts.map((part) => selfOf(tree, part));
  const samples = selfOf(tree, tree.samples);
  const index = new Uint32Array(tree.count);
  for (let i = 0; i < tree.count; i++) {
    if (i > 0) {
      const above = index[tree.parent[i]];
      const fn = as(i, growing.fn[above]);
      index[i] = fn === null ? above : growing.child(above, fn);
    }
    if (!keep(i)) continue;
    growing.samples[index[i]] += samples[i];
    self.forEach((values, p) => { growing.parts[p][index[i]] += values[i]; });
  }
  const places = new Uint32Array(growing.fn.length);
  const made = growing.finish(places);
  const before = tree.placeOf || Uint32Array.from(index, (_, i) => i);
  made.placeOf = before.map((place) => places[index[place]]);
  return made;
}

const EDITS = {
  /* Its frames vanish, their time is their callers'. */
  hide: (tree, fn) => rebuilt(tree, (i) => (tree.fn[i] === fn ? null : tree.fn[i])),

  /* Only the stacks that it is on. */
  focus(tree, fn) {
    const on = new Uint8Array(tree.count);
    for (let i = 0; i < tree.count; i++) {
      on[i] = tree.fn[i] === fn || (i > 0 && on[tree.parent[i]]) ? 1 : 0;
    }
    const leads = Uint8Array.from(on);
    for (let i = tree.count - 1; i > 0; i--) {
      if (leads[i]) leads[tree.parent[i]] = 1;
    }
    return rebuilt(tree, (i) => (leads[i] ? tree.fn[i] : null), (i) => on[i] === 1);
  },

  /* A function that calls itself at once is one frame. */
  recursion: (tree) =>
    rebuilt(tree, (i, above) => (tree.fn[i] === above ? null : tree.fn[i])),

  /* Neighbours of one file are one frame, which has the name of the first. */
  files(tree) {
    const first = new Map(); // by file: the function that stands for it
    for (let fn = 0; fn < functions.count; fn++) {
      const file = functions.file(fn);
      if (file !== '' && !first.has(file)) first.set(file, fn);
    }
    const standing = (fn) => first.get(functions.file(fn)) ?? fn;
    return rebuilt(tree, (i, above) => {
      const fn = standing(tree.fn[i]);
      return fn === above ? null : fn;
    });
  },
};
