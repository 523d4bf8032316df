/* ---- tooltip ------------------------------------------------------------------------ */

const tip = {
  box: html('div', {class: 'tip', role: 'tooltip'}),
  shown: null,

  rows(box) {
    const tree = treeNow();
    const {total, self} = weightsNow();
    const all = total[0];
    const zoomed = state.view === 'flame' ? total[state.zoom] : all;
    const table = html('table', {});
    const row = (name, value, amount) => {
      const cells = [name, value, amount === undefined ? '' : percent(amount, all)];
      if (zoomed !== all) {
        cells.push(amount === undefined ? '' : percent(amount, zoomed) + ' of zoom');
      }
      table.append(html('tr', {}, ...cells.map((cell) => html('td', {}, cell))));
    };
    if (state.view === 'time') {
      row('here', duration(box.weight), box.weight);
      row('from', duration(box.from));
    } else {
      row('total', weight(box.weight), box.weight);
    }
    if (box.narrow || state.view === 'time') return table;
    if (box.group) {
      row('from', grouped(box.group.at.length) +
        (box.group.at.length === 1 ? ' place' : ' places'));
    } else {
      row('self', weight(self[box.place]), self[box.place]);
      const known = rowOf(box.fn);
      if (known && known.places > 1) {
        row('in all ' + grouped(known.places) + ' places', weight(known.total), known.total);
      }
      if (data.samples && data.time) {
        row('samples', grouped(tree.samples[box.place]));
        row('certain to', '± ' + uncertainty(box.weight / all, tree.samples[0]));
      }
      if (data.changes) {
        const parts = tree.parts.map((part) => part[box.place]);
        const {is, was} = sharesOf(parts);
        row('before', percent(was, 1));
        row('after', percent(is, 1));
        row('change', points(parts));
      } else if (tree.parts.length > 1) {
        PARTS.forEach((name, p) => {
          const time = tree.parts[p][box.place];
          if (time > 0) row(name, duration(time));
        });
      }
    }
    return table;
  },

  fill(box) {
    if (box.narrow) {
      this.box.replaceChildren(
        html('h2', {}, frames(box.narrow) + ' too narrow to draw'), this.rows(box));
      return;
    }
    this.box.replaceChildren(html('h2', {}, functions.name(box.fn).slice(0, 400)));
    const file = functions.file(box.fn);
    if (file !== '') {
      this.box.append(html('p', {}, file.slice(-400) + ':' + functions.line(box.fn)));
    }
    this.box.append(this.rows(box));
  },

  /* Beside that point of the window, in sight. */
  show(box, x, y) {
    if (box !== this.shown) this.fill(box);
    this.shown = box;
    this.box.hidden = false;
    const w = this.box.offsetWidth;
    const h = this.box.offsetHeight;
    const below = y + 18 + h <= window.innerHeight;
    this.box.style.left = Math.max(8, Math.min(x + 12, window.innerWidth - 8 - w)) + 'px';
    this.box.style.top = (below ? y + 18 : Math.max(4, y - h - 12)) + 'px';
  },

  hide() {
    this.box.hidden = true;
    this.shown = null;
  },
};
