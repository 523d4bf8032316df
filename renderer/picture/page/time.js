/* ---- time order: which place the request was at, and when --------------------------- */

/* starts: of each stretch, and the end of the last, in nanoseconds. */
const passing = (() => {
  const count = data.stretches ? data.stretches.length / 2 : 0;
  const found = {count, place: new Uint32Array(count), starts: new Float64Array(count + 1)};
  for (let i = 0; i < count; i++) {
    found.place[i] = data.stretches[i * 2];
    found.starts[i + 1] = found.starts[i] + data.stretches[i * 2 + 1] * 1000;
  }
  return found;
})();
data.stretches = null;

const wholeTime = [0, passing.starts[passing.count]];

/* The stretch that this moment is in. */
function stretchAt(moment) {
  let low = 0;
  let high = passing.count - 1;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (passing.starts[middle] <= moment) low = middle;
    else high = middle - 1;
  }
  return low;
}

/* How much of a stretch is in the range. */
const inRange = (i, [from, to]) =>
  Math.max(0, Math.min(to, passing.starts[i + 1]) - Math.max(from, passing.starts[i]));

/* The tree of what happened in a range: every clock of a place in that proportion. */
function restricted(tree, range) {
  const inside = new Float64Array(tree.count);
  const all = new Float64Array(tree.count);
  for (let i = 0; i < passing.count; i++) {
    inside[passing.place[i]] += inRange(i, range);
    all[passing.place[i]] += passing.starts[i + 1] - passing.starts[i];
  }
  const part = inside.map((value, i) => (all[i] > 0 ? value / all[i] : 0));
  const made = new Tree(tree.count);
  for (const key of ['fn', 'depth', 'parent', 'end']) made[key] = tree[key];
  made.placeOf = tree.placeOf;
  const scaled = (totals) => {
    const values = selfOf(tree, totals).map((value, i) => value * part[i]);
    for (let i = tree.count - 1; i > 0; i--) values[tree.parent[i]] += values[i];
    return values;
  };
  made.parts = tree.parts.map(scaled);
  made.samples = scaled(tree.samples).map(Math.round);
  return made;
}

/* [[place, from, to]]: where there are more stretches than pixels, the longest of each. */
function pieces(range, width) {
  const [from, to] = range;
  const first = stretchAt(from);
  const last = stretchAt(to);
  const found = [];
  const put = (place, begins, ends) => {
    const before = found[found.length - 1];
    if (before && before[0] === place) before[2] = ends;
    else found.push([place, begins, ends]);
  };
  if (last - first <= 2 * width) {
    for (let i = first; i <= last; i++) {
      put(passing.place[i], Math.max(from, passing.starts[i]),
        Math.min(to, passing.starts[i + 1]));
    }
    return found;
  }
  const step = (to - from) / width;
  for (let column = 0, i = first; column < width; column++) {
    const slot = [from + column * step, from + (column + 1) * step];
    while (i < last && passing.starts[i + 1] <= slot[0]) i++;
    let longest = i;
    for (let at = i + 1; at <= last && passing.starts[at] < slot[1]; at++) {
      if (inRange(at, slot) > inRange(longest, slot)) longest = at;
    }
    put(passing.place[longest], ...slot);
  }
  return found;
}

/* Neighbours with the same frames below are one box there. */
function layTime(tree, range, width, least) {
  const layout = emptyLayout(least);
  const scale = width / (range[1] - range[0]);
  const open = []; // boxes, by row
  const close = (row, end) => {
    while (open.length > row) {
      const box = open.pop();
      box.weight = end - box.from;
      box.width = box.weight * scale;
      addBox(layout, box);
    }
  };
  for (const [place, begins] of pieces(range, width)) {
    const path = tree.path(tree.placeOf ? tree.placeOf[place] : place).slice(0, data.rows);
    let same = 0;
    while (same < open.length && same < path.length && open[same].place === path[same]) same++;
    close(same, begins);
    for (let row = same; row < path.length; row++) {
      open.push({place: path[row], fn: tree.fn[path[row]], row, from: begins, narrow: 0,
        above: false, x: (begins - range[0]) * scale});
    }
  }
  close(0, range[1]);
  layout.boxes = layout.boxes.filter((box) => box.width >= least);
  return layout;
}
