/* ---- what can be done with a frame -------------------------------------------------- */

const EDITORS = {
  vscode: ['VS Code', (file, line) => 'vscode://file/' + file + ':' + line],
  pycharm: ['PyCharm', (file, line) => 'pycharm://open?file=' + file + '&line=' + line],
  subl: ['Sublime Text', (file, line) => 'subl://open?url=file://' + file + '&line=' + line],
};

function copy(text) {
  const area = html('textarea', {class: 'aside'});
  area.value = text;
  app.box.append(area);
  area.select();
  const done = document.execCommand('copy'); // where the clipboard API is not allowed
  area.remove();
  app.say(done ? 'Copied.' : 'This browser does not let the page copy.');
}

/* The frames of a box from the root to it. */
function stackOf(box) {
  if (!box.group) return treeNow().path(box.place).map((place) => treeNow().fn[place]);
  const found = [];
  for (let at = box.group; at; at = at.above) found.push(at.fn);
  return state.view === 'sandwich' && box.row > 0 ? found.reverse() : found;
}

const menu = {
  box: html('div', {class: 'menu', role: 'menu', hidden: ''}),
  back: null, // what had the focus

  actions(box) {
    const fn = box.fn;
    const edit = (name, of) => () =>
      change({edits: [...state.edits, [name, of]], zoom: 0, path: []});
    const found = [];
    const add = (label, action) => found.push([label, action]);
    add('Zoom', () => follow(box));
    if (box.narrow) return found;
    add('Callers and callees', () => change({view: 'sandwich', fn}));
    add('Search for it', () => change({search: functions.name(fn), regex: false}));
    add('Hide this function', edit('hide', fn));
    add('Only stacks with it', edit('focus', fn));
    add('Merge direct recursion', edit('recursion', -1));
    add('Merge frames by file', edit('files', -1));
    add('Copy name', () => copy(functions.whole(fn)));
    add('Copy stack', () => copy(stackOf(box).map(functions.whole, functions).join('\n')));
    if (functions.file(fn).startsWith('/')) {
      for (const key in EDITORS) {
        const [label, address] = EDITORS[key];
        const file = functions.file(fn).split('/').map(encodeURIComponent).join('/');
        add('Open in ' + label, () => {
          location.href = address(file, functions.line(fn));
        });
      }
    }
    return found;
  },

  open(box, x, y) {
    tip.hide();
    if (this.box.hidden) this.back = document.activeElement;
    this.box.replaceChildren(...this.actions(box).map(([label, action]) =>
      button(label, {role: 'menuitem', tabindex: '-1'}, () => {
        this.close();
        action();
      })));
    this.box.hidden = false;
    const {offsetWidth: w, offsetHeight: h} = this.box;
    this.box.style.left = Math.max(4, Math.min(x, window.innerWidth - w - 4)) + 'px';
    this.box.style.top = Math.max(4, Math.min(y, window.innerHeight - h - 4)) + 'px';
    this.box.firstChild.focus();
  },

  close() {
    if (this.box.hidden) return;
    this.box.hidden = true;
    if (this.back) this.back.focus();
  },

  key(event) {
    const items = [...this.box.children];
    const at = items.indexOf(document.activeElement);
    const to = {ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1}[event.key];
    if (event.key === 'Escape' || event.key === 'Tab') this.close();
    else if (to === undefined) return;
    else items[(to + items.length) % items.length].focus();
    event.preventDefault();
    event.stopPropagation();
  },
};

/* ---- taking it away ----------------------------------------------------------------- */

function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], {type}));
  const link = html('a', {href: address, download: name});
  app.box.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/* As flameprof's own folded text escapes what a line cannot hold. */
const foldedName = (fn) => functions.whole(fn).replace(/[;\\]/g,
  (c) => '\\x' + c.charCodeAt(0).toString(16));

function foldedNow() {
  const tree = treeNow();
  const {self} = weightsNow();
  const lines = [];
  const unit = data.time ? 1000 : 1;
  let rest = 0;
  for (let at = 0; at < tree.count; at++) {
    if (self[at] <= 0) continue;
    const amount = Math.floor((self[at] + rest) / unit);
    rest += self[at] - amount * unit;
    const path = at === 0 ? [0] : tree.path(at).slice(1);
    const stack = path.map((p) => foldedName(tree.fn[p])).join(';');
    if (amount) lines.push(stack.replace(/^#/, '\\x23') + ' ' + amount);
  }
  return lines.join('\n') + '\n';
}

/* The graph as it stands, in colours that need no style sheet. */
function pictureNow() {
  app.stage.nameUpTo(app.stage.shown);
  const frozen = app.stage.graph.cloneNode(true);
  const {width, height} = app;
  for (const group of [...frozen.children]) {
    if (group.style.display === 'none') {
      group.remove();
      continue;
    }
    const [rect, text] = group.children;
    group.prepend(element(SVG, 'title', {}, rect.getAttribute('aria-label')));
    rect.setAttribute('fill', data.palette[rect.getAttribute('class')] || '#eee9e4');
    for (const name of ['class', 'style']) group.removeAttribute(name);
    for (const name of ['id', 'role', 'aria-label', 'aria-level', 'class']) {
      rect.removeAttribute(name);
    }
    if (text) text.removeAttribute('aria-hidden');
  }
  for (const name of ['id', 'class']) frozen.removeAttribute(name);
  frozen.setAttribute('transform', 'translate(16 40)');
  const picture = element(SVG, 'svg', {width: width + 32, height: height + 56,
    'font-family': 'DejaVu Sans,Verdana,sans-serif'},
  element(SVG, 'rect', {width: '100%', height: '100%', fill: '#fffdfb'}),
  element(SVG, 'text', {x: 16, y: 26, 'font-size': 15, fill: '#33302e'}, data.title || ''),
  frozen);
  return new XMLSerializer().serializeToString(picture);
}
