// The badge in the corner of a page, and the flame graph behind it. Everything is in a
// shadow tree of an element of ours, behind the page's body: the page's own script and
// style do not meet it. No HTML is parsed and no style attribute set, so that a strict
// Content-Security-Policy has nothing to refuse.
(() => {
  'use strict';
  const script = document.currentScript;
  const badge = script.previousElementSibling;
  const said = badge.dataset;
  const here = location.origin + location.pathname; // the page may change it later
  const MOST = 20; // requests of scripts that are remembered
  const COOKIE = 'flameprof_panel';
  const FORMATS = ['html', 'png', 'pdf', 'folded', 'json', 'speedscope', 'pprof', 'gecko'];
  const STYLE = `
:host { all: initial !important; position: fixed !important; right: 12px !important;
  bottom: 12px !important; z-index: 2147483647 !important; display: block !important;
  color-scheme: light !important; }
@media print { :host { display: none !important; } }
[hidden] { display: none !important; }
* { box-sizing: border-box; font: 13px/1.4 system-ui, sans-serif; }
button { color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
button:focus-visible, a:focus-visible { outline: 2px solid #b3541e; outline-offset: 1px; }
.pill { display: flex; align-items: center; color: #33261c; background: #fffdfb;
  border: 1px solid #d8cbbf; border-radius: 15px; box-shadow: 0 1px 5px #0004; }
.open { display: flex; align-items: center; gap: 7px; padding: 4px 6px 4px 10px; }
.hide { width: 22px; height: 28px; color: #8a7768; }
.pill:hover, dialog a:hover { background: #fbefe4; }
.aside { color: #6b5a4c; }
dialog { position: fixed; inset: 0; margin: auto; width: calc(100vw - 48px);
  height: calc(100vh - 48px); max-width: none; max-height: none; padding: 0; border: 0;
  border-radius: 8px; color: #33261c; background: #fffdfb; box-shadow: 0 6px 40px #0008; }
dialog[open] { display: flex; flex-direction: column; }
dialog::backdrop { background: #0006; }
header, footer { display: flex; align-items: center; gap: 6px 12px; padding: 8px 12px;
  flex-wrap: wrap; }
nav { display: flex; gap: 4px; flex: 1; flex-wrap: wrap; max-height: 6.5em; overflow: auto; }
nav button { padding: 3px 9px; border: 1px solid #d8cbbf; border-radius: 5px; max-width: 30em;
  overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
nav button[aria-pressed=true] { color: #fffdfb; background: #33261c; }
nav button[aria-pressed=true] .aside { color: #d8cbbf; }
.close { width: 30px; height: 30px; font-size: 20px; }
iframe { flex: 1; width: 100%; border: 0; }
p { flex: 1; margin: 40px 16px; text-align: center; }
a { color: #8f4114; }`;

  function make(name, attributes, ...children) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function act(name, attributes, action, ...children) {
    const made = make(name, attributes, ...children);
    made.addEventListener('click', action);
    return made;
  }

  function icon() {
    const SVG = 'http://www.w3.org/2000/svg';
    const drawn = document.createElementNS(SVG, 'svg');
    const bars = [[0, 10, 16, '#f0a877'], [1, 5, 9, '#e2763f'], [11, 5, 4, '#a5cdf0'],
      [3, 0, 4, '#b3541e']];
    drawn.setAttribute('width', 16);
    drawn.setAttribute('height', 14);
    drawn.setAttribute('aria-hidden', 'true');
    for (const [x, y, width, fill] of bars) {
      const bar = document.createElementNS(SVG, 'rect');
      for (const [key, value] of Object.entries({x, y, width, height: 4, fill})) {
        bar.setAttribute(key, value);
      }
      drawn.append(bar);
    }
    return drawn;
  }

  const time = (ms) => ms >= 10000 ? `${(ms / 1000).toFixed(1)} s`
    : ms >= 100 ? `${ms.toFixed(0)} ms` : `${ms.toPrecision(2)} ms`;
  const address = (request, format) =>
    `${here}?flamegraph_profile=${request.profile}&flamegraph_format=${format}`;

  const page = {name: 'This page', took: said.microseconds / 1000, profile: said.profile,
    problem: said.problem};
  const requests = [page]; // then those of scripts, the last first
  let shown = page;

  const count = make('span', {class: 'aside'});
  const list = make('nav', {'aria-label': 'Requests'});
  const links = make('footer', {});
  const room = make('p', {});
  const dialog = make('dialog', {'aria-label': 'Flame graph'},
    make('header', {}, list,
      act('button', {class: 'close', 'aria-label': 'Close'}, () => dialog.close(), '\u00d7')),
    room, links);
  const frame = make('iframe', {title: 'Flame graph'});

  function listUp() {
    list.replaceChildren(...requests.map((one) =>
      act('button', {'aria-pressed': one === shown, title: one.name}, () => show(one),
        `${one.name} `, make('span', {class: 'aside'}, time(one.took)))));
    count.textContent = `${said.samples} samples`
      + (requests.length > 1 ? `, +${requests.length - 1}` : '');
  }

  function show(request) {
    shown = request;
    listUp();
    links.hidden = !request.profile;
    if (!request.profile) {
      room.textContent = request.problem;
      frame.isConnected && frame.replaceWith(room);
      return;
    }
    const open = (format, text) => make('a', {href: address(request, format),
      target: '_blank', rel: 'noopener'}, text);
    links.replaceChildren(open('svg', 'Open alone'), ...FORMATS.map((name) => open(name, name)));
    if (said.frames === '1') {
      room.isConnected && room.replaceWith(frame);
      frame.setAttribute('src', address(request, 'svg'));
    } else {
      room.textContent = 'The Content-Security-Policy of this page lets no frame in.';
    }
  }

  function learn(entries) {
    for (const entry of entries) {
      if (entry.initiatorType === 'iframe') continue; // the graph's own, for one
      const timing = (entry.serverTiming || []).find((one) => one.name === 'flameprof');
      const url = new URL(entry.name);
      // Of another site it could be anything.
      if (!timing || url.origin !== location.origin) continue;
      if (!/^[0-9a-f]{32}$/.test(timing.description)) continue;
      requests.splice(1, 0, {name: url.pathname + url.search, took: timing.duration,
        profile: timing.description});
      requests.length = Math.min(requests.length, 1 + MOST);
    }
    listUp();
  }

  function hide() {
    document.cookie = `${COOKIE}=off; path=/; max-age=31536000; samesite=lax`;
    badge.remove();
  }

  if (new URLSearchParams(location.search).get('flamegraph_panel') === '1') {
    document.cookie = `${COOKIE}=; path=/; max-age=0; samesite=lax`;
  }
  for (const old of document.querySelectorAll('flameprof-badge')) {
    if (old !== badge) old.remove(); // of a page that this one took the place of
  }
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  const root = badge.attachShadow({mode: 'open'});
  root.adoptedStyleSheets = [sheet];
  root.append(
    make('div', {class: 'pill'},
      act('button', {class: 'open', 'aria-haspopup': 'dialog',
        title: 'The flame graph of this request'}, () => {
        dialog.showModal();
        show(requests.includes(shown) ? shown : page);
      }, icon(), time(page.took), count),
      act('button', {class: 'hide', 'aria-label': 'Hide flameprof',
        title: 'Hide; ?flamegraph_panel=1 brings it back'}, hide, '\u00d7')),
    dialog);
  document.documentElement.append(badge);
  script.remove();
  learn([]);
  if (window.PerformanceServerTiming) {
    new PerformanceObserver((news) => learn(news.getEntries()))
      .observe({type: 'resource', buffered: true});
  }
})();
