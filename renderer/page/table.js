/* ---- the table: what the graph shows, for reading and for sorting ------------------------- */

const table = {
  box: html('div', {class: 'table', tabindex: '0'}),
  order: data.changes ? 'change' : 'self',
  falling: true,
  limit: 200,

  columns: [
    ['name', 'Function', (row) => functions.name(row.fn)],
    ['self', 'Self', (row) => row.self],
    ['total', 'Total', (row) => row.total],
    ['places', 'Places', (row) => row.places],
    ...(data.samples ? [['samples', 'Samples', (row) => row.samples]] : []),
    ...(data.changes ? [['change', 'Change', (row) => changeOf(row.parts)]] : []),
  ],

  sorted() {
    const [, , value] = this.columns.find(([key]) => key === this.order);
    const sign = this.falling ? -1 : 1;
    const matches = matchesNow();
    return rowsNow()
      .filter((row) => !(matches instanceof Uint8Array) || matches[row.fn])
      .sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        return sign * (x < y ? -1 : x > y ? 1 : 0) || a.fn - b.fn;
      });
  },

  head() {
    const row = html('tr', {});
    for (const [key, label] of this.columns) {
      const sort = key !== this.order ? 'none' : this.falling ? 'descending' : 'ascending';
      row.append(html('th', {scope: 'col', 'aria-sort': sort}, button(label, {}, () => {
        this.falling = key === this.order ? !this.falling : key !== 'name';
        this.order = key;
        this.draw();
      })));
    }
    return html('thead', {}, row);
  },

  line(row, all) {
    const file = functions.file(row.fn);
    const name = html('th', {scope: 'row'},
      html('span', {class: 'swatch ' + (data.changes ? 'd' + changeLevel(row.parts) :
        'c' + functions.colour(row.fn))}),
      button(functions.name(row.fn), {title: 'Callers and callees'}, () => {
        change({view: 'sandwich', fn: row.fn});
      }));
    if (file) name.append(html('small', {}, file + ':' + functions.line(row.fn)));
    const time = (value) => html('td', {}, weight(value),
      html('small', {}, percent(value, all)));
    const made = html('tr', {}, name, time(row.self), time(row.total),
      html('td', {}, grouped(row.places)));
    if (data.samples) made.append(html('td', {}, grouped(row.samples)));
    if (data.changes) made.append(html('td', {}, points(row.parts)));
    return made;
  },

  draw() {
    const rows = this.sorted();
    const all = weightsNow().total[0];
    const body = html('tbody', {}, ...rows.slice(0, this.limit).map((r) => this.line(r, all)));
    const caption = html('caption', {}, grouped(rows.length) +
      (rows.length === 1 ? ' function' : ' functions') +
      (state.search ? ' that match' : '') + ', by ' + this.order);
    this.box.replaceChildren(html('table', {}, caption, this.head(), body));
    if (rows.length > this.limit) {
      this.box.append(button('Show all ' + grouped(rows.length), {}, () => {
        this.limit = Infinity;
        this.draw();
      }));
    }
  },
};
