/* ---- what is drawn, and where ------------------------------------------------------- */

/*
 * A layout is {boxes, first, last, narrow, narrowWeight, deep}: rows from first to last,
 * 0 being the root's. A box is {fn, x, width, row, weight, narrow, above} and either
 * `place`, of the tree, or `group`. A box of `narrow` frames marks neighbours that only
 * together are wide enough.
 */
const emptyLayout = () =>
  ({boxes: [], first: 0, last: 0, narrow: 0, narrowWeight: 0, deep: 0});

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
function layTree(tree, clock, zoomed, width) {
  const {total, start} = tree.by(clock);
  const layout = emptyLayout();
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
    if (total[at] * scale >= LEAST) {
      add(at, total[at], 0, false);
      at++;
      continue;
    }
    let sum = 0;
    while (at < end && tree.depth[at] === depth && total[at] * scale < LEAST) {
      sum += total[at];
      at = tree.end[at];
    }
    if (sum === 0) continue;
    layout.narrow += at - first;
    layout.narrowWeight += sum;
    if (sum * scale >= LEAST) add(first, sum, at - first, false);
  }
  return layout;
}

/* The same of a group; rows grow away from 0 in that direction. */
function layGroup(tree, zoomed, width, direction, layout = emptyLayout()) {
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
      if (pale && pale.sum * scale >= LEAST) add(pale.group, pale.x, pale.sum, pale.count);
      pale = null;
    };
    for (const child of group.children(tree)) {
      const wide = child.total * scale;
      if (wide >= LEAST) {
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

/* ---- drawing: a pool of <g><rect/><text/></g>, first filled by the static view ------ */

const DRESS = [ // [what is remembered, where it is set, as which attribute]
  ['kind', 'group', 'class'], ['said', 'rect', 'aria-label'], ['level', 'rect', 'aria-level'],
  ['colour', 'rect', 'class'], ['x', 'rect', 'x'], ['y', 'rect', 'y'], ['width', 'rect', 'width'],
];

class Stage {
  constructor(into) {
    this.graph = into;
    this.pool = [];
    this.itemOf = new Map(); // by group element
    this.shown = 0;
    this.drawn = false;
  }

  adopt() {
    for (const group of this.graph.querySelectorAll('g')) {
      group.firstChild.remove(); // its title: there will be a better one
      this.take(group, ...group.children);
    }
    const deep = this.graph.querySelector('#flame-deep');
    if (deep) deep.remove();
    this.graph.classList.add('live');
    this.graph.removeAttribute('transform');
    this.graph.remove(); // until it is drawn: what nobody sees need not be laid out
    this.shown = this.pool.length;
  }

  /* What was adopted and is not needed: every element costs, also one that is hidden. */
  trim(count) {
    for (const {group} of this.pool.splice(count)) group.remove();
    this.shown = this.pool.length;
  }

  take(group, rect, text = null) {
    const item = {group, rect, text, box: null, now: {}};
    rect.id = 'f' + this.pool.length;
    rect.setAttribute('role', 'treeitem');
    if (text) text.setAttribute('aria-hidden', 'true'); // the item's name says it whole
    this.pool.push(item);
    this.itemOf.set(group, item);
  }

  pooled(index) {
    if (index === this.pool.length) {
      const rect = element(SVG, 'rect', {height: data.row - 1});
      const group = element(SVG, 'g', {}, rect);
      this.graph.append(group);
      this.take(group, rect);
    }
    return this.pool[index];
  }

  /* up: the root is at the bottom. dressed(box): {colour, hit, said}. */
  draw(layout, up, dressed) {
    const rowY = (row) => (up ? layout.last - row : row - layout.first) * data.row;
    layout.boxes.forEach((box, i) => {
      this.drawBox(this.pooled(i), box, rowY(box.row), dressed(box));
    });
    if (!this.drawn) this.trim(layout.boxes.length);
    this.drawn = true;
    for (let i = layout.boxes.length; i < this.shown; i++) {
      this.pool[i].group.style.display = 'none';
      this.pool[i].box = null;
    }
    this.shown = layout.boxes.length;
    return (layout.last - layout.first + 1) * data.row;
  }

  drawBox(item, box, y, {colour, hit, said}) {
    const space = box.width - 2 * PADDING;
    const now = {
      kind: (box.above ? 'above ' : '') + (hit ? 'hit' : ''),
      said,
      level: Math.abs(box.row) + 1,
      colour: box.narrow ? 'narrow' : colour,
      x: box.x.toFixed(2),
      y,
      width: (box.width > 4 ? box.width - 1 : box.width * 0.75).toFixed(2),
      text: space > 0 && !box.narrow ? fitName(functions.name(box.fn), space) : '',
    };
    if (!item.box) item.group.style.display = '';
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
      item.text = element(SVG, 'text', {'aria-hidden': 'true'});
      item.group.append(item.text);
    }
    if (text !== item.now.text) item.text.textContent = text;
    if (text === '' || (item.now.text && x === item.now.x && y === item.now.y)) return;
    item.text.setAttribute('x', left.toFixed(2));
    item.text.setAttribute('y', y + 12.5);
  }

  boxAt(event) {
    const group = event.target.closest('#flame-graph > g');
    return group ? this.itemOf.get(group).box : null;
  }

  itemOfBox(wanted) {
    return this.pool.slice(0, this.shown).find((item) => wanted(item.box));
  }
}
