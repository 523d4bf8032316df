/* ---- the table: what the graph shows, for reading and for sorting ------------------- */

const table = {
  caption: html('caption', {}),
  body: html('tbody', {}),
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

  build() {
    this.heads = this.columns.map(([key, label]) => html('th', {scope: 'col'},
      button(label, {}, () => this.sort(key))));
    this.more = button('', {}, () => {
      this.limit = Infinity;
      app.draw();
    });
    this.box = html('div', {class: 'table', role: 'region', 'aria-label': 'Functions',
      tabindex: '0'},
    html('table', {}, this.caption, html('thead', {}, html('tr', {}, ...this.heads)),
      this.body), this.more);
  },

  sort(key) {
    this.falling = key === this.order ? !this.falling : key !== 'name';
    this.order = key;
    app.draw();
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
    const line = html('tr', {}, name, time(row.self), time(row.total),
      html('td', {}, grouped(row.places)));
    if (data.samples) line.append(html('td', {}, grouped(row.samples)));
    if (data.changes) line.append(html('td', {}, points(row.parts)));
    return line;
  },

  /* What says how it is sorted. */
  drawHead(count) {
    this.columns.forEach(([key], i) => this.heads[i].setAttribute('aria-sort',
      key !== this.order ? 'none' : this.falling ? 'descending' : 'ascending'));
    this.caption.textContent = grouped(count) + (count === 1 ? ' function' : ' functions') +
      (state.search ? ' that match' : '') + ', by ' + this.order;
  },

  draw() {
    const rows = this.sorted();
    const all = weightsNow().total[0];
    this.drawHead(rows.length);
    this.body.replaceChildren(...rows.slice(0, this.limit).map((row) => this.line(row, all)));
    this.more.textContent = 'Show all ' + grouped(rows.length);
    this.more.hidden = rows.length <= this.limit;
  },
};

table.build();
