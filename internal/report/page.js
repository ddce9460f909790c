(async () => {
  // In shoal web, base is the address of the run, from which data is read, again and again while
  // the run goes on. In a file it is unset, and the data are in the page.
  const base = document.body.dataset.run;
  const read = async (url) => {
    const answer = await fetch(url);
    if (!answer.ok) throw new Error((await answer.text()).trim());
    return answer.json();
  };
  const unpack = async id => {
    if (base) return read(base + '/' + id + (id === 'texts' ? '?v=' + encodeURIComponent(d.version) : ''));
    const raw = atob(document.getElementById(id).textContent), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).json();
  };
  const main = document.getElementById('main');
  let d, hosts, count, texts; // texts are unpacked when the first is needed
  const take = data => {
    d = data; hosts = d.hosts; count = (hosts.Name || []).length; texts = undefined;
    shown = new Uint8Array(count).fill(1);
  };
  const allTexts = () => texts ||= unpack('texts');
  let shown;

  const top = el('div', {class: 'top'}, el('h1', {}, ''), el('span', {class: 'buttons'}));
  if (base) top.lastChild.append(el('a', {href: '/', class: 'button'}, 'history'));
  top.lastChild.append(themeButton(() => { drawMap(); drawTimeline(); }));
  const state = el('div', {class: 'dim', role: 'status', hidden: ''}), head = el('dl');
  const drawHead = () => {
    top.firstChild.textContent = d.title;
    head.replaceChildren(...d.head.concat(d.watch ? d.watch.head : []).flatMap(([k, v]) => [el('dt', {}, k), el('dd', {}, v)]));
  };

  // Of a watch: since when a host has had the result, and what changed.
  const two = n => String(n).padStart(2, '0');
  const since = i => {
    const t = new Date(d.watch.began + hosts.Start[i] / 1e3), now = new Date();
    const day = t.getFullYear() + '-' + two(t.getMonth() + 1) + '-' + two(t.getDate()) + ' ';
    return 'since ' + (t.toDateString() === now.toDateString() ? '' : day) + two(t.getHours()) + ':' + two(t.getMinutes()) + ':' + two(t.getSeconds());
  };
  const changesHead = el('h2', {}, 'What changed'), changes = el('div', {class: 'changes'});
  const drawChanges = () => {
    changesHead.hidden = changes.hidden = !d.watch;
    if (!d.watch) return;
    const lines = d.watch.changes.map(([when, what, names, first]) => {
      const line = el('button', {type: 'button', class: 'change'}, el('span', {class: 'dim'}, when), el('span', {}, what), el('span', {class: 'n'}, names));
      line.onclick = () => select(hosts.Index ? hosts.Index.indexOf(first) : first, true);
      return line;
    });
    if (!lines.length) lines.push(el('div', {class: 'dim'}, 'nothing since the first answers'));
    if (d.watch.earlier) lines.push(el('div', {class: 'dim'}, '… ' + number(d.watch.earlier) + ' earlier ones: ' + d.more));
    changes.replaceChildren(...lines);
  };

  // What is chosen: an outcome, a text.
  const chosen = {outcome: -1, find: ''};
  const chips = el('div', {class: 'chips'});
  const drawChips = () => {
    const counts = d.outcomes.map(() => 0);
    for (let i = 0; i < count; i++) counts[hosts.Outcome[i]]++;
    chips.replaceChildren(...counts.flatMap((n, o) => {
      if (!n && chosen.outcome !== o) return [];
      const chip = el('button', {type: 'button', class: 'chip', 'aria-pressed': String(chosen.outcome === o)}, number(n) + ' ' + d.outcomes[o]);
      chip.style.borderLeftColor = 'var(--c' + o + ')';
      chip.onclick = () => { chosen.outcome = chosen.outcome === o ? -1 : o; drawChips(); choose(true); };
      return [chip];
    }));
  };

  // A cell for each host.
  const map = el('canvas', {role: 'img', 'aria-label': 'a cell for each host, coloured by outcome'}), under = el('div', {class: 'dim'}, 'each cell is a host; press one to see it');
  let cell = 8, perRow = 1;
  const drawMap = () => {
    const width = map.clientWidth || 600, ratio = devicePixelRatio || 1;
    cell = count > 4000 ? 7 : count > 500 ? 10 : 14;
    perRow = Math.max(1, Math.floor(width / cell));
    const height = Math.ceil(count / perRow) * cell;
    map.style.height = height + 'px';
    map.width = width * ratio; map.height = height * ratio;
    const c = map.getContext('2d'), colours = d.outcomes.map((_, o) => variable('--c' + o));
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
  const drawRows = () => {
    list.style.height = Math.min(Math.max(rows.length, 1), 14) * rowHeight + 2 + 'px';
    const from = Math.max(0, Math.floor(list.scrollTop / rowHeight) - 5), to = Math.min(rows.length, from + Math.ceil(list.clientHeight / rowHeight) + 10);
    const kids = [];
    for (let at = from; at < to; at++) {
      const i = rows[at], row = el('button', {type: 'button', class: 'row' + (i === selected ? ' on' : '')},
        el('span', {class: 'n'}, hosts.Name[i]), el('span', {}, d.outcomes[hosts.Outcome[i]]), el('span', {class: 'dim'}, d.causes[hosts.Cause[i]]),
        el('span', {class: 'dim t'}, !hosts.Attempt[i] ? '' : d.watch ? since(i) : ms(hosts.Took[i])));
      row.style.top = at * rowHeight + 'px';
      row.style.borderLeftColor = 'var(--c' + hosts.Outcome[i] + ')';
      row.onclick = () => select(i, false);
      kids.push(row);
    }
    space.style.height = rows.length * rowHeight + 'px';
    space.replaceChildren(...kids);
  };
  const choose = async rewind => {
    const want = chosen.find.toLowerCase(), of = d, t = want.length > 1 ? await allTexts() : [];
    if (want !== chosen.find.toLowerCase() || of !== d) return; // typed on, or read anew meanwhile
    const inText = t.map(x => x[0].toLowerCase().includes(want));
    rows = [];
    for (let i = 0; i < count; i++) {
      const fits = (chosen.outcome < 0 || hosts.Outcome[i] === chosen.outcome) && (!want || hosts.Name[i].toLowerCase().includes(want) ||
        d.causes[hosts.Cause[i]].toLowerCase().includes(want) || inText[hosts.Text[i]] || inText[hosts.Error[i]]);
      shown[i] = fits ? 1 : 0;
      if (fits) rows.push(i);
    }
    found.textContent = number(rows.length) + ' of ' + number(count) + ' hosts';
    if (rewind) list.scrollTop = 0;
    drawRows(); drawMap();
  };
  const whole = (text, left) => left ? text + '\n… ' + number(left) + ' bytes more: ' + d.more : text;
  const textOf = async at => whole(...(await allTexts())[at]);
  const outputOf = async i => { // what a host said: the error, the output, and of a watch its last answer and what changed, or undefined
    if (hosts.Text[i] !== unread && !(d.watch && base)) return [hosts.Error[i], hosts.Text[i]].map(async at => at >= 0 ? textOf(at) : undefined);
    const h = await read(base + '/host?index=' + (hosts.Index ? hosts.Index[i] : i));
    return [h.Error, h.Output, h.Answer, h.Diff].map(t => t ? whole(...t) : undefined);
  };
  const select = async (i, scroll) => {
    selected = i;
    history.replaceState(null, '', '#host=' + i);
    const at = rows.indexOf(i);
    if (scroll && at >= 0) list.scrollTop = at * rowHeight - list.clientHeight / 2;
    drawRows();
    await drawDetail();
    if (scroll) detail.scrollIntoView({block: 'nearest'});
  };
  const drawDetail = async () => {
    const i = selected, parts = [el('h2', {}, brief(i))];
    if (hosts.Attempt[i]) parts.push(el('div', {class: 'dim'}, d.watch ? since(i) : 'attempt ' + hosts.Attempt[i] + ', began after ' + ms(hosts.Start[i]) + ', took ' + ms(hosts.Took[i])));
    try {
      const [error, output, answer, changed] = await Promise.all(await outputOf(i));
      if (error !== undefined) parts.push(el('pre', {}, error));
      parts.push(output !== undefined ? el('pre', {}, output) : el('div', {class: 'dim'}, 'no output'));
      if (answer !== undefined) parts.push(el('h2', {}, 'Its last answer'), el('pre', {}, answer));
      if (changed !== undefined) parts.push(el('h2', {}, 'How its last answer differs from the one before'), diff(changed));
    } catch (e) {
      parts.push(el('div', {class: 'dim'}, String(e.message)));
    }
    if (selected === i) detail.replaceChildren(...parts);
  };
  list.onscroll = drawRows;
  find.oninput = () => { chosen.find = find.value; choose(true); };

  // Groups are unfolded when they are opened.
  const groupsHead = el('h2'), groupsNote = el('div', {class: 'dim'}), groups = el('div'), opened = new Set();
  let next = 0;
  const moreGroups = el('button', {type: 'button'}, 'more');
  const diff = text => el('pre', {class: 'diff'}, ...text.replace(/\n$/, '').split('\n').map(line =>
    el('span', {class: {'+': 'add', '-': 'del', '@': 'dim'}[line[0]] || ''}, line + '\n')));
  const fill = async (one, g) => {
    if (!one.open || one.children.length > 1) return;
    one.append(el('div'));
    const parts = [];
    try {
      if (g.Note) parts.push(el('div', {class: 'dim'}, g.Note));
      if (g.Error >= 0) parts.push(el('pre', {}, await textOf(g.Error)));
      if (g.Diff >= 0) parts.push(diff(await textOf(g.Diff)));
      const output = g.Text >= 0 ? el('pre', {}, await textOf(g.Text)) : el('div', {class: 'dim'}, 'no output');
      parts.push(g.Diff >= 0 ? el('details', {}, el('summary', {}, 'the whole output'), output) : output);
    } catch (e) {
      parts.push(el('div', {class: 'dim'}, String(e.message)));
    }
    one.lastChild.replaceChildren(...parts);
  };
  const addGroups = n => {
    for (const g of (d.groups || []).slice(next, next + n)) {
      const one = el('details', {class: 'group'}, el('summary', {}, g.Head));
      one.ontoggle = () => { one.open ? opened.add(g.Head) : opened.delete(g.Head); fill(one, g); };
      one.open = opened.has(g.Head);
      groups.append(one);
    }
    next += n;
    moreGroups.hidden = next >= (d.groups || []).length;
  };
  moreGroups.onclick = () => addGroups(20);
  const lines = el('details', {class: 'lines'}, el('summary'), el('pre'));
  lines.ontoggle = async () => {
    if (!lines.open || d.lines < 0) return;
    try { lines.lastChild.textContent = await textOf(d.lines); } catch (e) { lines.lastChild.textContent = e.message; }
  };
  const drawGroups = () => {
    lines.hidden = d.lines < 0;
    lines.firstChild.textContent = d.linesHead;
    lines.ontoggle();
    const results = (d.groups || []).length;
    groupsHead.textContent = number(results) + (results === 1 ? ' distinct result' : ' distinct results');
    groupsNote.textContent = d.compared;
    const n = Math.max(next, 20);
    next = 0;
    groups.replaceChildren();
    addGroups(n);
  };

  // Phases, with a histogram of the one that is chosen.
  const table = el('table'), which = el('select', {'aria-label': 'phase'}), bars = el('div', {class: 'bars'});
  const phases = el('div', {}, el('h2', {}, 'Phases'), el('div', {class: 'scroll'}, table), el('h2', {}, 'Times of ', which), bars);
  const drawBars = () => {
    const bins = d.phases[which.value].Bins, most = Math.max(...bins.map(b => b[1]), 1);
    bars.replaceChildren(...bins.flatMap(([below, n]) => {
      const bar = el('div', {class: 'bar'});
      bar.style.width = 100 * n / most + '%';
      return [el('span', {class: 'dim'}, 'below ' + below), bar, el('span', {}, number(n))];
    }));
  };
  which.onchange = drawBars;
  const drawPhases = () => {
    phases.hidden = !d.phases;
    if (!d.phases) return;
    table.replaceChildren(el('tr', {}, ...['phase', 'hosts', 'p50', 'p90', 'p99', 'max'].map(h => el('th', {}, h))),
      ...d.phases.map(p => el('tr', {}, ...p.Cells.map(c => el('td', {}, c)))));
    const was = which.selectedOptions[0]?.textContent, names = d.phases.map(p => p.Name);
    which.replaceChildren(...names.map((name, i) => el('option', {value: i}, name)));
    which.value = names.includes(was) ? names.indexOf(was) : names.length - 1;
    drawBars();
  };

  // Open sessions.
  const timeline = el('canvas', {role: 'img', 'aria-label': 'open sessions over time'}), span = el('div', {class: 'dim'});
  const sessions = el('div', {}, el('h2', {}, 'Open sessions'), timeline, span);
  const drawTimeline = () => {
    const most = Math.max(...(d.open || []), 0);
    sessions.hidden = !most;
    if (!most) return;
    span.textContent = 'up to ' + number(most) + ', in ' + ms(d.span * d.open.length);
    const width = timeline.clientWidth || 600, height = 90, ratio = devicePixelRatio || 1, c = timeline.getContext('2d');
    timeline.style.height = height + 'px';
    timeline.width = width * ratio; timeline.height = height * ratio;
    c.scale(ratio, ratio);
    c.fillStyle = variable('--accent');
    d.open.forEach((n, i) => c.fillRect(i * width / d.open.length, height - height * n / most, width / d.open.length + .5, height * n / most));
  };

  const draw = async () => {
    drawHead(); drawChanges(); drawChips(); drawGroups(); drawPhases();
    await choose(false);
    drawTimeline();
    if (selected >= 0) await drawDetail();
  };

  // While the run goes on, the server tells what has changed: rows of hosts at once, and from time
  // to time that the whole, with groups and times, is to be read anew.
  const unread = -2; // a text that is read when it is asked for
  let at, place, due = false;
  const redraw = () => {
    due = false;
    drawChips(); choose(false);
    if (selected >= 0 && hosts.Text[selected] === unread) drawDetail();
  };
  const takeRows = event => {
    const news = JSON.parse(event.data);
    at = news.seq;
    const known = new Map(d.causes.map((cause, i) => [cause, i]));
    for (const [index, outcome, cause, start, took, attempt] of news.rows) {
      const i = place ? place.get(index) : index;
      if (!(i < count)) continue;
      if (!known.has(cause)) { known.set(cause, d.causes.length); d.causes.push(cause); }
      hosts.Outcome[i] = outcome; hosts.Cause[i] = known.get(cause); hosts.Start[i] = start; hosts.Took[i] = took; hosts.Attempt[i] = attempt;
      hosts.Text[i] = unread;
    }
    if (!due) { due = true; setTimeout(redraw, 100); }
  };
  const goesOn = () => d.watch ? 'this watch goes on: what changes is shown at once, groups from time to time' :
    'this run goes on: hosts are shown as they end, groups and times from time to time';
  const say = text => { state.textContent = text; state.hidden = !text; };
  const load = async () => {
    take(await unpack('data'));
    at = d.seq;
    place = hosts.Index && new Map(hosts.Index.map((index, i) => [index, i]));
    say(d.live ? goesOn() : '');
    await draw();
  };
  const watch = () => {
    const events = follow(() => base + '/events?seq=' + at, {
      rows: takeRows,
      reload: async () => {
        events.close();
        try {
          await load();
          d.live ? events.open() : events.end();
        } catch (e) { say(String(e.message)); setTimeout(events.open, 3000); }
      },
      watch: event => {
        const news = JSON.parse(event.data);
        at = news.seq;
        Object.assign(d.watch, news);
        drawHead(); drawChanges();
      },
      open: () => say(goesOn()),
      lost: () => say('no connection to shoal web; trying again'),
    });
  };

  main.append(top, state, head, changesHead, changes, chips, el('h2', {}, 'Hosts'), map, under, el('div', {class: 'find'}, find, found), list, detail,
    groupsHead, groupsNote, lines, groups, moreGroups, phases, sessions);
  try { await load(); } catch (e) { say(String(e.message)); state.hidden = false; }
  if (!d) return;
  const named = /^#host=(\d+)$/.exec(location.hash); // a link to one host
  if (named && named[1] < count) await select(Number(named[1]), true);
  addEventListener('resize', () => { drawMap(); drawRows(); drawTimeline(); });
  if (d.live) watch();
  document.documentElement.dataset.ready = Math.round(performance.now());
})();
