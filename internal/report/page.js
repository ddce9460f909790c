'use strict';
(async () => {
  // Everything from the run becomes a text node or an attribute of ours; nothing is parsed as HTML.
  const el = (name, attrs, ...kids) => {
    const e = document.createElement(name);
    for (const k in attrs || {}) e.setAttribute(k, attrs[k]);
    e.append(...kids);
    return e;
  };
  const unpack = async id => {
    const raw = atob(document.getElementById(id).textContent), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
  };
  const main = document.getElementById('main');
  const d = await unpack('data'), hosts = d.hosts, count = (hosts.Name || []).length;
  let texts; // unpacked when the first is needed
  const allTexts = () => texts ||= unpack('texts');
  const number = n => n.toLocaleString('en');
  const ms = us => us < 1e6 ? (us / 1e3).toFixed(1) + ' ms' : (us / 1e6).toFixed(1) + ' s';
  const colour = o => getComputedStyle(document.documentElement).getPropertyValue('--c' + o).trim();

  const theme = el('button', {type: 'button'}, 'light or dark');
  theme.onclick = () => {
    const dark = getComputedStyle(document.documentElement).colorScheme === 'dark';
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
    drawMap(); drawTimeline();
  };
  main.append(el('div', {class: 'top'}, el('h1', {}, d.title), theme));
  const head = el('dl');
  for (const [k, v] of d.head) head.append(el('dt', {}, k), el('dd', {}, v));
  main.append(head);

  // What is chosen: an outcome, a cause, a text.
  const chosen = {outcome: -1, find: ''};
  const chips = el('div', {class: 'chips'});
  d.counts.forEach((n, o) => {
    if (!n) return;
    const chip = el('button', {type: 'button', class: 'chip', 'aria-pressed': 'false'}, number(n) + ' ' + d.outcomes[o]);
    chip.style.borderLeftColor = 'var(--c' + o + ')';
    chip.onclick = () => {
      chosen.outcome = chosen.outcome === o ? -1 : o;
      for (const c of chips.children) c.setAttribute('aria-pressed', String(c === chip && chosen.outcome === o));
      choose();
    };
    chips.append(chip);
  });
  main.append(chips);

  // A cell for each host.
  const map = el('canvas', {role: 'img', 'aria-label': 'a cell for each host, coloured by outcome'}), under = el('div', {class: 'dim'}, 'each cell is a host; press one to see it');
  main.append(el('h2', {}, 'Hosts'), map, under);
  let cell = 8, perRow = 1, shown = new Uint8Array(count).fill(1);
  const drawMap = () => {
    const width = map.clientWidth || 600, ratio = devicePixelRatio || 1;
    cell = count > 4000 ? 7 : count > 500 ? 10 : 14;
    perRow = Math.max(1, Math.floor(width / cell));
    const height = Math.ceil(count / perRow) * cell;
    map.style.height = height + 'px';
    map.width = width * ratio; map.height = height * ratio;
    const c = map.getContext('2d'), colours = d.outcomes.map((_, o) => colour(o));
    c.scale(ratio, ratio);
    for (let i = 0; i < count; i++) {
      c.globalAlpha = shown[i] ? 1 : .15;
      c.fillStyle = colours[hosts.Outcome[i]];
      c.fillRect(i % perRow * cell, Math.floor(i / perRow) * cell, cell - 1, cell - 1);
    }
  };
  const hit = e => {
    const box = map.getBoundingClientRect(), x = Math.floor((e.clientX - box.left) / cell), y = Math.floor((e.clientY - box.top) / cell);
    const i = y * perRow + x;
    return x < perRow && i < count ? i : -1;
  };
  const brief = i => hosts.Name[i] + ': ' + d.outcomes[hosts.Outcome[i]] + (hosts.Cause[i] ? ', ' + d.causes[hosts.Cause[i]] : '');
  map.onmousemove = e => { const i = hit(e); if (i >= 0) under.textContent = brief(i); };
  map.onclick = e => { const i = hit(e); if (i >= 0) select(i, true); };

  // The list has rows only for what is scrolled to.
  const find = el('input', {type: 'search', placeholder: 'find in names, causes and output', 'aria-label': 'find'}), found = el('span', {class: 'dim'});
  const list = el('div', {class: 'list', tabindex: '0'}), space = el('div'), detail = el('div', {id: 'detail'});
  const rowHeight = 26;
  let rows = [], selected = -1;
  list.append(space);
  main.append(el('div', {class: 'find'}, find, found), list, detail);
  const drawRows = () => {
    const from = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 5), to = Math.min(rows.length, from + Math.ceil(list.clientHeight / rowHeight) + 10);
    const kids = [];
    for (let at = from; at < to; at++) {
      const i = rows[at], row = el('button', {type: 'button', class: 'row' + (i === selected ? ' on' : '')},
        el('span', {class: 'n'}, hosts.Name[i]), el('span', {}, d.outcomes[hosts.Outcome[i]]), el('span', {class: 'dim'}, d.causes[hosts.Cause[i]]),
        el('span', {class: 'dim t'}, hosts.Attempt[i] ? ms(hosts.Took[i]) : ''));
      row.style.top = at * rowHeight + 'px';
      row.style.borderLeftColor = 'var(--c' + hosts.Outcome[i] + ')';
      row.onclick = () => select(i, false);
      kids.push(row);
    }
    space.style.height = rows.length * rowHeight + 'px';
    space.replaceChildren(...kids);
  };
  const choose = async () => {
    const want = chosen.find.toLowerCase(), t = want.length > 1 ? await allTexts() : [];
    if (want !== chosen.find.toLowerCase()) return; // typed on meanwhile
    const inText = t.map(x => x[0].toLowerCase().includes(want));
    rows = [];
    for (let i = 0; i < count; i++) {
      const fits = (chosen.outcome < 0 || hosts.Outcome[i] === chosen.outcome) && (!want || hosts.Name[i].toLowerCase().includes(want) ||
        d.causes[hosts.Cause[i]].toLowerCase().includes(want) || inText[hosts.Text[i]] || inText[hosts.Error[i]]);
      shown[i] = fits ? 1 : 0;
      if (fits) rows.push(i);
    }
    found.textContent = number(rows.length) + ' of ' + number(count) + ' hosts';
    list.scrollTop = 0;
    drawRows(); drawMap();
  };
  const textOf = async at => {
    const [text, left] = (await allTexts())[at];
    return left ? text + '\n… ' + number(left) + ' bytes more: ' + d.more : text;
  };
  const select = async (i, scroll) => {
    selected = i;
    history.replaceState(null, '', '#host=' + i);
    const at = rows.indexOf(i);
    if (scroll && at >= 0) list.scrollTop = at * rowHeight - list.clientHeight / 2;
    drawRows();
    const parts = [el('h2', {}, brief(i))];
    if (hosts.Attempt[i]) parts.push(el('div', {class: 'dim'}, 'attempt ' + hosts.Attempt[i] + ', began after ' + ms(hosts.Start[i]) + ', took ' + ms(hosts.Took[i])));
    if (hosts.Error[i] >= 0) parts.push(el('pre', {}, await textOf(hosts.Error[i])));
    parts.push(hosts.Text[i] >= 0 ? el('pre', {}, await textOf(hosts.Text[i])) : el('div', {class: 'dim'}, 'no output'));
    if (selected === i) detail.replaceChildren(...parts);
    if (scroll) detail.scrollIntoView({block: 'nearest'});
  };
  list.onscroll = drawRows;
  find.oninput = () => { chosen.find = find.value; choose(); };

  // Groups are unfolded when they are opened.
  const groups = el('div');
  main.append(el('h2', {}, number((d.groups || []).length) + ' distinct results'), groups);
  let next = 0;
  const moreGroups = el('button', {type: 'button'}, 'more');
  const addGroups = () => {
    for (const g of (d.groups || []).slice(next, next + 20)) {
      const one = el('details', {}, el('summary', {}, g.Head));
      one.ontoggle = async () => {
        if (one.open && one.children.length === 1) one.append(g.Text >= 0 ? el('pre', {}, await textOf(g.Text)) : el('div', {class: 'dim'}, 'no output'));
      };
      groups.append(one);
    }
    next += 20;
    moreGroups.hidden = next >= (d.groups || []).length;
  };
  moreGroups.onclick = addGroups;
  addGroups();
  main.append(moreGroups);

  // Phases, with a histogram of the one that is chosen.
  if (d.phases) {
    const table = el('table', {}, el('tr', {}, ...['phase', 'hosts', 'p50', 'p90', 'p99', 'max'].map(h => el('th', {}, h))));
    for (const p of d.phases) table.append(el('tr', {}, ...p.Cells.map(c => el('td', {}, c))));
    const which = el('select', {'aria-label': 'phase'}, ...d.phases.map((p, i) => el('option', {value: i}, p.Name))), bars = el('div', {class: 'bars'});
    const drawBars = () => {
      const bins = d.phases[which.value].Bins, most = Math.max(...bins.map(b => b[1]), 1);
      bars.replaceChildren(...bins.flatMap(([below, n]) => {
        const bar = el('div', {class: 'bar'});
        bar.style.width = 100 * n / most + '%';
        return [el('span', {class: 'dim'}, 'below ' + below), bar, el('span', {}, number(n))];
      }));
    };
    which.value = d.phases.length - 1;
    which.onchange = drawBars;
    drawBars();
    main.append(el('h2', {}, 'Phases'), el('div', {class: 'scroll'}, table), el('h2', {}, 'Times of ', which), bars);
  }

  // Open sessions.
  const timeline = el('canvas', {role: 'img', 'aria-label': 'open sessions over time'}), most = Math.max(...(d.open || []), 0);
  const drawTimeline = () => {
    if (!most) return;
    const width = timeline.clientWidth || 600, height = 90, ratio = devicePixelRatio || 1, c = timeline.getContext('2d');
    timeline.style.height = height + 'px';
    timeline.width = width * ratio; timeline.height = height * ratio;
    c.scale(ratio, ratio);
    c.fillStyle = getComputedStyle(document.documentElement).getPropertyValue('--accent').trim();
    d.open.forEach((n, i) => c.fillRect(i * width / d.open.length, height - height * n / most, width / d.open.length + .5, height * n / most));
  };
  if (most) main.append(el('h2', {}, 'Open sessions'), timeline, el('div', {class: 'dim'}, 'up to ' + number(most) + ', in ' + ms(d.span * d.open.length)));

  await choose();
  drawTimeline();
  const named = /^#host=(\d+)$/.exec(location.hash); // a link to one host
  if (named && named[1] < count) await select(Number(named[1]), true);
  addEventListener('resize', () => { drawMap(); drawRows(); drawTimeline(); });
  matchMedia('(prefers-color-scheme: dark)').onchange = () => { drawMap(); drawTimeline(); };
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
