/* ---- what is drawn, and where ------------------------------------------------------- */

/*
 * A layout is {least, boxes, first, last, narrow, narrowWeight, deep}: frames narrower
 * than `least` px are not drawn, rows are from first to last, 0 being the root's. A box is
 * {fn, x, width, row, weight, narrow, above} and either `place`, of the tree, or `group`.
 * A box of `narrow` frames marks neighbours that only together are wide enough.
 */
const emptyLayout = (least) =>
  ({least, boxes: [], first: 0, last: 0, narrow: 0, narrowWeight: 0, deep: 0});

function addBox(layout, box) {
  layout.boxes.push(box);
  layout.first = Math.min(layout.first, box.row);
  layout.last = Math.max(layout.last, box.row);
}

/*
 * The lowest row. Where a stack is deeper than there are rows, zooming leaves ancestors
 * out (the breadcrumb has them) so that every frame can be reached.
 */
function baseOf(tree, place) {
  let deepest = tree.depth[place];
  for (let at = place; at < tree.end[place]; at++) {
    if (tree.depth[at] > deepest) deepest = tree.depth[at];
  }
  return Math.min(tree.depth[place], Math.max(0, deepest + 1 - data.rows));
}

/* Ancestors first, as wide as all; then the subtree, in preorder. */
function layTree(tree, clock, zoomed, width, least) {
  const {total, start} = tree.by(clock);
  const layout = emptyLayout(least);
  const base = baseOf(tree, zoomed);
  const scale = total[zoomed] ? width / total[zoomed] : 0;
  const add = (place, sum, narrow, above) => addBox(layout, {
    place, narrow, above, weight: sum, fn: tree.fn[place], row: tree.depth[place] - base,
    x: above ? 0 : (start[place] - start[zoomed]) * scale,
    width: above ? width : sum * scale,
  });
  for (const place of tree.path(zoomed).slice(base, -1)) add(place, total[place], 0, true);
  const end = tree.end[zoomed];
  for (let at = zoomed; at < end;) {
    const first = at;
    const depth = tree.depth[at];
    if (depth - base >= data.rows) {
      at = tree.end[at];
      layout.deep += at - first;
      continue;
    }
    if (total[at] * scale >= least) {
      add(at, total[at], 0, false);
      at++;
      continue;
    }
    let sum = 0;
    while (at < end && tree.depth[at] === depth && total[at] * scale < least) {
      sum += total[at];
      at = tree.end[at];
    }
    if (sum === 0) continue;
    layout.narrow += at - first;
    layout.narrowWeight += sum;
    if (sum * scale >= least) add(first, sum, at - first, false);
  }
  return layout;
}

/* The same of a group; rows grow away from 0 in that direction. */
function layGroup(tree, zoomed, width, direction, least) {
  const layout = emptyLayout(least);
  const scale = zoomed.total ? width / zoomed.total : 0;
  const add = (group, x, sum, narrow, above) => addBox(layout, {
    group, narrow, above, weight: sum, fn: group.fn, x,
    width: above ? width : sum * scale, row: direction * group.depth,
  });
  for (let at = zoomed.above; at; at = at.above) add(at, 0, at.total, 0, true);
  const open = [{group: zoomed, x: 0}];
  while (open.length) {
    const {group, x} = open.pop();
    add(group, x, group.total, 0, false);
    if (group.depth + 1 >= data.rows) {
      layout.deep++;
      continue;
    }
    let left = x;
    let pale = null; // neighbours that are too narrow: {group, x, sum, count}
    const close = () => {
      if (pale && pale.sum * scale >= least) add(pale.group, pale.x, pale.sum, pale.count);
      pale = null;
    };
    for (const child of group.children(tree)) {
      const wide = child.total * scale;
      if (wide >= least) {
        close();
        open.push({group: child, x: left});
      } else {
        if (!pale) pale = {group: child, x: left, sum: 0, count: 0};
        pale.sum += child.total;
        pale.count++;
        layout.narrow++;
        layout.narrowWeight += child.total;
      }
      left += wide;
    }
    close();
  }
  return layout;
}

/* ---- drawing: a pool of <g><rect/><text/></g> --------------------------------------- */

const DRESS = [ // [what is remembered, where it is set, as which attribute]
  ['kind', 'group', 'class'], ['colour', 'rect', 'class'], ['x', 'rect', 'x'], ['y', 'rect', 'y'],
  ['width', 'rect', 'width'],
];
const NAMED_AT_ONCE = 400;
const AFTER_DRAWING = 50; // ms: when what was drawn is on the screen

/* Whether a box would be called as another is. */
const isSame = (box, other) => other !== null && box.fn === other.fn && box.row === other.row &&
  box.weight === other.weight && box.narrow === other.narrow;

class Stage {
  constructor(into) {
    this.graph = into;
    this.pool = [];
    this.itemOf = new Map(); // by group element
    this.shown = 0;
    this.named = 0; // how many of those have their name
    this.naming = 0; // a timer's number
    this.frame = element(SVG, 'g', {},
      element(SVG, 'rect', {height: data.row - 1, role: 'treeitem'}));
    this.text = element(SVG, 'text', {'aria-hidden': 'true'}); // the item's name says it whole
  }

  /* Takes the static view away: to make elements anew is faster than to change these. */
  clear() {
    this.graph.remove(); // until it is drawn: what nobody sees need not be laid out
    this.graph.replaceChildren();
    this.graph.classList.add('live');
    this.graph.removeAttribute('transform');
  }

  pooled(index) {
    if (index === this.pool.length) {
      const group = this.frame.cloneNode(true);
      const item = {group, rect: group.firstChild, text: null, box: null, now: {},
        name: '', level: 0};
      this.pool.push(item);
      this.itemOf.set(group, item);
      this.graph.append(group);
    }
    return this.pool[index];
  }

  /* up: the root is at the bottom. dressed(box): {colour, hit}. nameOf(box): what is said
   * of it to those who do not see it. */
  draw(layout, up, dressed, nameOf) {
    const rowY = (row) => (up ? layout.last - row : row - layout.first) * data.row;
    layout.boxes.forEach((box, i) => {
      this.drawBox(this.pooled(i), box, rowY(box.row), dressed(box));
    });
    for (let i = layout.boxes.length; i < this.shown; i++) {
      this.pool[i].group.style.display = 'none';
      this.pool[i].box = null;
    }
    this.shown = layout.boxes.length;
    this.nameOf = nameOf;
    this.named = 0;
    this.nameLater(AFTER_DRAWING);
    return (layout.last - layout.first + 1) * data.row;
  }

  drawBox(item, box, y, {colour, hit}) {
    const space = box.width - 2 * PADDING;
    const now = {
      kind: (box.above ? 'above ' : '') + (hit ? 'hit' : ''),
      colour: box.narrow ? 'narrow' : colour,
      x: box.x.toFixed(2),
      y,
      width: (box.width > 4 ? box.width - 1 : box.width * 0.75).toFixed(2),
      text: space > 0 && !box.narrow ? fitName(functions.label(box.fn), space) : '',
    };
    if (!item.box) item.group.style.display = '';
    if (!isSame(box, item.box)) this.unname(item);
    for (const [key, node, attribute] of DRESS) { // to compare is cheaper than to set
      if (now[key] !== item.now[key]) item[node].setAttribute(attribute, now[key]);
    }
    this.label(item, now, box.x + PADDING);
    item.box = box;
    item.now = now;
  }

  label(item, {text, x, y}, left) {
    if (!item.text) {
      if (text === '') return;
      item.text = this.text.cloneNode();
      item.group.append(item.text);
    }
    if (text !== item.now.text) item.text.textContent = text;
    if (text === '' || (item.now.text && x === item.now.x && y === item.now.y)) return;
    item.text.setAttribute('x', left.toFixed(2));
    item.text.setAttribute('y', y + 12.5);
  }

  name(item) {
    const name = this.nameOf(item.box);
    const level = Math.abs(item.box.row) + 1;
    if (name !== item.name) item.rect.setAttribute('aria-label', name);
    if (level !== item.level) item.rect.setAttribute('aria-level', level);
    Object.assign(item, {name, level});
  }

  /* Rather none for a moment than that of another frame. */
  unname(item) {
    if (item.name === '') return;
    item.rect.removeAttribute('aria-label');
    item.rect.removeAttribute('aria-level');
    Object.assign(item, {name: '', level: 0});
  }

  nameUpTo(end) {
    clearTimeout(this.naming);
    while (this.named < end) this.name(this.pool[this.named++]);
  }

  /* A few at a time: it takes as long as drawing, and who sees need not wait for it. */
  nameLater(delay) {
    clearTimeout(this.naming);
    this.naming = setTimeout(() => {
      this.nameUpTo(Math.min(this.shown, this.named + NAMED_AT_ONCE));
      if (this.named < this.shown) this.nameLater(0);
    }, delay);
  }

  boxAt(event) {
    const group = event.target.closest('#flame-graph > g');
    return group ? this.itemOf.get(group).box : null;
  }

  itemOfBox(wanted) {
    return this.pool.slice(0, this.shown).find((item) => wanted(item.box));
  }
}
