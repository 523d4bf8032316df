/*
 * The interactive half of the picture. It reads the data block, takes the static
 * view away, and draws what is asked for.
 *
 * Text from the data is only ever set as textContent or an attribute's value, or
 * compared; nothing is made of it. No recursion: stacks may be a million frames deep.
 * The files of this folder stand one behind another in one function.
 */
(function () {
'use strict';

const SVG = 'http://www.w3.org/2000/svg';
const HTML = 'http://www.w3.org/1999/xhtml';
const PADDING = 4; // px on either side of a label

const root = document.currentScript.closest('svg');
const graph = root.querySelector('#flame-graph');
const data = JSON.parse(root.querySelector('#flame-data').textContent);
// px: narrower frames are not drawn. Unless it was chosen, what the screen can show.
const LEAST = data.smallest || Math.min(1, Math.max(0.5, 1 / devicePixelRatio));
const MOST_BOXES = 2000;
const COARSEST = 2; // times LEAST: a very wide window may have more
