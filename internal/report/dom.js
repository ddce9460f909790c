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
// follow listens to server-sent events at address() and calls on[event]. It tries again, after
// on.lost, when there is no connection, and on.open is called when there is one. A tab that is
// not in sight has none: a browser keeps six to one server.
const follow = (address, on) => {
  let events, ended = false;
  const close = () => { events?.close(); events = undefined; };
  const open = () => {
    if (events || ended || document.hidden) return;
    events = new EventSource(address());
    for (const name in on) events.addEventListener(name, on[name]);
    events.onerror = () => { close(); on.lost(); setTimeout(open, 3000); };
  };
  document.addEventListener('visibilitychange', () => document.hidden ? close() : open());
  open();
  return {close, open, end: () => { ended = true; close(); }};
};
