'use strict';
// Everything from a run becomes a text node or an attribute of ours; nothing is parsed as HTML.
const el = (name, attrs, ...kids) => {
  const e = document.createElement(name);
  for (const k in attrs || {}) e.setAttribute(k, attrs[k]);
  e.append(...kids);
  return e;
};
const number = n => n.toLocaleString('en');
const ms = us => us < 1e6 ? (us / 1e3).toFixed(1) + ' ms' : (us / 1e6).toFixed(1) + ' s';
const variable = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
// themeButton changes between light and dark, and calls redraw, which draws canvases again.
const themeButton = redraw => {
  const button = el('button', {type: 'button'}, 'light or dark');
  button.onclick = () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === 'dark';
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
    redraw();
  };
  matchMedia('(prefers-color-scheme: dark)').onchange = redraw;
  return button;
};
