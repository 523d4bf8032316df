/* ---- and there it is ---------------------------------------------------------------- */

/* Paper does not scroll: the picture goes on one sheet, whatever its size. */
const paper = {
  lay() {
    const hidden = app.scroller.scrollHeight - app.scroller.clientHeight;
    const [width, height] = [root.clientWidth, root.clientHeight + hidden];
    app.frame.setAttribute('width', width);
    app.frame.setAttribute('height', height);
    root.setAttribute('viewBox', [0, 0, width, height].join(' '));
    root.setAttribute('preserveAspectRatio', 'xMidYMin');
  },

  takeAway() {
    root.removeAttribute('viewBox');
    app.frame.setAttribute('width', '100%');
    app.frame.setAttribute('height', '100%');
  },
};

function resized() {
  tip.hide();
  app.focus(null); // its frame may be too narrow now
  app.draw();
  app.keepAway();
}

function scrolled() {
  tip.hide();
  app.noteAway();
}

function listen() {
  listenToPointer();
  app.canvas.addEventListener('blur', () => app.focus(null));
  app.scroller.addEventListener('scroll', scrolled, {passive: true});
  app.search.addEventListener('input', () => change({search: app.search.value}, true));
  window.addEventListener('keydown', onKey);
  window.addEventListener('hashchange', () => {
    if (location.hash.slice(1) !== hashOf(state)) change(stateFrom(location.hash.slice(1)));
  });
  window.addEventListener('resize', resized);
  // An iframe may get its size after the script has run, and that is no resize to it.
  const seen = () => (app.room() === app.width ? app.keepAway() : resized());
  new ResizeObserver(seen).observe(app.box);
  window.addEventListener('beforeprint', () => paper.lay());
  window.addEventListener('afterprint', () => paper.takeAway());
}

function begin() {
  root.setAttribute('width', '100%');
  root.setAttribute('height', '100%');
  root.removeAttribute('viewBox');
  app.build();
  if (pen) pen.font = data.size + 'px ' + getComputedStyle(app.canvas).fontFamily;
  listen();
  change(stateFrom(location.hash.slice(1)), true);
  app.canvas.append(graph);
  app.toRoot();
}

begin();
