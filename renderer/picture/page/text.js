/* ---- numbers and text --------------------------------------------------------------- */

const numbers = new Intl.NumberFormat('en-US');
const grouped = (value) => numbers.format(value);

function duration(value) {
  const units = [[1e9, ' s'], [1e6, ' ms'], [1e3, ' µs']];
  for (const [size, unit] of units) {
    if (value < size) continue;
    const amount = value / size;
    return amount.toFixed(amount < 10 ? 3 : amount < 100 ? 2 : 1) + unit;
  }
  return Math.round(value) + ' ns';
}

const weight = (value) => (data.time ? duration(value) : grouped(value));
const percent = (part, whole) => (whole ? (part / whole) * 100 : 0).toFixed(2) + ' %';
const frames = (count) => grouped(count) + (count === 1 ? ' frame' : ' frames');

/* Half the width of the 95 % confidence interval of a share, in percent. */
function uncertainty(share, samples) {
  const spread = 196 * Math.sqrt(Math.max(0, share * (1 - share)) / samples);
  return (spread + 50 / samples).toFixed(2) + ' %';
}

/* The font that is really there may be another than the one asked for. */
const pen = document.createElementNS(HTML, 'canvas').getContext('2d');
const widths = new Map();

function widthOf(character) {
  let width = widths.get(character);
  if (width === undefined) {
    width = pen ? pen.measureText(character).width : data.size;
    widths.set(character, width);
  }
  return width;
}

/* Cut to fit, with an ellipsis; '' if not even three characters would. */
function fit(text, space) {
  const ellipsis = widthOf('…');
  let used = 0;
  let cut = 0;
  let characters = 0;
  for (let at = 0; at < text.length;) {
    const character = String.fromCodePoint(text.codePointAt(at));
    used += widthOf(character);
    if (used > space) return characters < 3 ? '' : text.slice(0, cut) + '…';
    at += character.length;
    if (used + ellipsis <= space) {
      cut = at;
      characters++;
    }
  }
  return text;
}

/* A qualified name's last part says most: Class.method before module.Class.met… */
function fitName(name, space) {
  const whole = fit(name, space);
  if (whole === name) return name;
  const dot = name.lastIndexOf('.', name.length - 2);
  const last = dot > 0 && !/[ (]/.test(name) ? name.slice(dot + 1) : '';
  if (last === '' || last.startsWith('<')) return whole;
  const short = fit('…' + last, space);
  return short === '…' + last ? short : whole;
}

function element(space, name, attributes, ...children) {
  const made = document.createElementNS(space, name);
  for (const key in attributes) made.setAttribute(key, attributes[key]);
  made.append(...children);
  return made;
}

const html = (name, attributes, ...children) => element(HTML, name, attributes, ...children);

function button(text, attributes, action) {
  const made = html('button', {type: 'button', ...attributes}, text);
  made.addEventListener('click', action);
  return made;
}
