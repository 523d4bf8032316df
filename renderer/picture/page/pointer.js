/* ---- the pointer: a mouse, a pen or a finger ---------------------------------------- */

const NEAR = 4; // px: less is a click
const LONG = 500; // ms: a finger that stays is a right click

/* In time order a range is drawn; a click is a drag of no length. */
const brush = {
  mark: element(SVG, 'rect', {class: 'brush', y: 0}),
  from: null,

  place: (event) => Math.max(0, Math.min(app.width,
    event.clientX - app.canvas.getBoundingClientRect().left)),

  start(event) {
    this.from = state.view === 'time' && event.button === 0 ? this.place(event) : null;
  },

  /* True if there is a range, which is shown. */
  move(event) {
    if (this.from === null) return false;
    const to = this.place(event);
    if (Math.abs(to - this.from) < NEAR) return false;
    app.canvas.append(this.mark);
    this.mark.setAttribute('x', Math.min(this.from, to));
    this.mark.setAttribute('width', Math.abs(to - this.from));
    this.mark.setAttribute('height', app.height);
    return true;
  },

  /* True if that was a range. */
  end(event) {
    const drawn = this.move(event);
    const ends = [this.from, this.place(event)].sort((a, b) => a - b);
    this.drop();
    if (!drawn) return false;
    const [begins, stops] = timeNow();
    change({range: ends.map((x) => begins + (x / app.width) * (stops - begins)), zoom: 0});
    return true;
  },

  drop() {
    this.from = null;
    this.mark.remove();
  },
};

/* Not every browser makes a right click of a finger that stays. */
const press = {
  timer: 0,
  at: [0, 0],

  start(event, act) {
    this.at = [event.clientX, event.clientY];
    if (event.pointerType === 'touch') this.timer = setTimeout(act, LONG);
  },

  move(event) {
    const [x, y] = this.at;
    if (Math.hypot(event.clientX - x, event.clientY - y) > 2 * NEAR) this.drop();
  },

  drop() {
    clearTimeout(this.timer);
  },
};

function listenToPointer() {
  const {canvas, stage} = app;
  let spent = false; // what the pointer did is no click any more
  const openMenu = (event) => {
    const box = stage.boxAt(event);
    if (!box) return false;
    brush.drop();
    spent = true;
    menu.open(box, event.clientX, event.clientY);
    return true;
  };
  canvas.addEventListener('pointerdown', (event) => {
    spent = false;
    brush.start(event);
    press.start(event, () => openMenu(event));
  });
  canvas.addEventListener('pointermove', (event) => {
    press.move(event);
    const box = brush.move(event) ? null : stage.boxAt(event);
    if (box && menu.box.hidden) tip.show(box, event.clientX, event.clientY);
    else tip.hide();
  });
  canvas.addEventListener('pointerleave', () => tip.hide());
  canvas.addEventListener('click', (event) => {
    const box = spent ? null : stage.boxAt(event);
    if (box) follow(box);
  });
  canvas.addEventListener('contextmenu', (event) => {
    press.drop();
    if (openMenu(event)) event.preventDefault();
  });
  window.addEventListener('pointerup', (event) => {
    press.drop();
    if (brush.end(event)) spent = true;
  });
  window.addEventListener('pointercancel', () => {
    press.drop();
    brush.drop();
  });
  app.box.addEventListener('pointerdown', (event) => {
    if (!menu.box.contains(event.target)) menu.box.hidden = true;
  });
}
