(async () => {
  const main = document.getElementById('main');
  const top = el('div', {class: 'top'}, el('h1', {}, 'runs'), el('span', {class: 'buttons'}, themeButton(() => {})));
  const field = (name, text) => el('input', {name, placeholder: text, 'aria-label': text});
  const outcome = el('select', {name: 'outcome', 'aria-label': 'outcome'}, el('option', {value: ''}, 'any outcome'));
  const form = el('form', {class: 'filter'}, field('since', 'since: 24h'), field('host', 'host: web*'), field('command', 'in the command'),
    field('user', 'logged in as'), outcome, el('button', {}, 'show'));
  const state = el('div', {class: 'dim', role: 'status'}), list = el('div'), pager = el('div', {class: 'pager'});
  main.append(top, form, state, list, pager);

  const bar = counts => {
    const all = el('div', {class: 'outcomes', 'aria-hidden': 'true'});
    counts.forEach((n, o) => {
      if (!n) return;
      const part = el('span');
      part.style.flexGrow = n;
      part.style.background = 'var(--c' + o + ')';
      all.append(part);
    });
    return all;
  };
  const entry = r => el('a', {class: 'run' + (r.rerun ? ' rerun' : ''), href: '/run/' + encodeURIComponent(r.run)},
    el('div', {class: 'line'}, el('span', {class: 'id'}, r.run), el('span', {}, r.began), el('span', {class: 'dim'}, r.took), el('span', {}, r.became)),
    bar(r.counts), el('div', {class: 'dim'}, r.about), el('code', {}, r.command));
  const go = (text, query) => {
    const button = el('button', {type: 'button'}, text);
    button.onclick = () => { history.pushState(null, '', '?' + query); show(); };
    return button;
  };
  const fill = () => {
    const query = new URLSearchParams(location.search);
    for (const e of form.elements) if (e.name) e.value = query.get(e.name) || '';
  };
  let shown = 0;
  const show = async () => {
    const now = ++shown, query = new URLSearchParams(location.search);
    let page;
    try {
      const answer = await fetch('/runs?' + query);
      if (!answer.ok) throw new Error((await answer.text()).trim());
      page = await answer.json();
    } catch (e) {
      if (now === shown) state.textContent = e.message;
      return;
    }
    if (now !== shown) return; // another was asked for meanwhile
    if (outcome.length === 1) {
      outcome.append(...page.outcomes.map(o => el('option', {value: o}, o)));
      fill();
    }
    state.textContent = page.damaged || (page.runs.length ? '' : 'no run is like that');
    list.replaceChildren(...page.runs.map(entry));
    const older = new URLSearchParams(query), newest = new URLSearchParams(query);
    newest.delete('before');
    older.set('before', page.next);
    pager.replaceChildren(...(query.has('before') ? [go('newest', newest)] : []), ...(page.next ? [go('older', older)] : []));
    document.documentElement.dataset.ready = now;
  };
  form.onsubmit = event => {
    event.preventDefault();
    const query = new URLSearchParams([...new FormData(form)].filter(([, value]) => value.trim()));
    history.pushState(null, '', '?' + query);
    show();
  };
  onpopstate = () => { fill(); show(); };
  await show();

  // The newest page follows what happens, at most every two seconds.
  let due = false, lost = false;
  follow(() => '/events', {
    open: () => { if (lost) show(); lost = false; },
    lost: () => { lost = true; state.textContent = 'no connection to shoal web; trying again'; },
    changed: () => {
      if (due || new URLSearchParams(location.search).has('before')) return;
      due = true;
      setTimeout(() => { due = false; show(); }, 2000);
    },
  });
  document.addEventListener('visibilitychange', () => { if (!document.hidden) show(); });
})();
