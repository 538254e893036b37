'use strict';
// Draws /api/overview every few seconds. Text is inserted as text, never as markup.

const EVERY_MS = 5000;
const SVG = 'http://www.w3.org/2000/svg';
const LANES = { live: 'newest calls', asked: 'asked for', reconcile: 'read again', backfill: 'history' };
const DAY_WORDS = {
  read_again: 'read again', read: 'read', partly: 'partly read', unread: 'not read yet', gap: 'gap',
};

// Above this many accounts the server describes only those in full that are asked for, as many at most.
const IN_FULL = 40;

let updates = 0;
let timer;
let recentOpen = new Set();
let accountsOpen = new Set();

function el(tag, attributes, ...children) {
  const svg = ['svg', 'rect', 'path', 'text', 'line', 'title'].includes(tag);
  const node = svg ? document.createElementNS(SVG, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

const number = (n) => n.toLocaleString('en');
const two = (n) => String(n).padStart(2, '0');
const instant = (text) => new Date(text);
// In UTC throughout, like the log and the commands: what is compared needs no arithmetic.
const day = (date) => `${date.getUTCFullYear()}-${two(date.getUTCMonth() + 1)}-${two(date.getUTCDate())}`;
const clock = (date) => `${minute(date)}:${two(date.getUTCSeconds())}`;
const minute = (date) => `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;

function span(seconds) {
  const units = [['d', 86400], ['h', 3600], ['min', 60], ['s', 1]];
  const first = units.findIndex(([, size]) => seconds >= size);
  if (first < 0) return '0 s';
  const [name, size] = units[first];
  const next = units[first + 1];
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return `${Math.floor(seconds / size)} ${name}` + (rest ? ` ${rest} ${next[0]}` : '');
}

function fact(heading, value, note) {
  return el('div', { class: 'fact' }, el('small', {}, heading), el('b', {}, value), el('small', {}, note || ''));
}

function facts(account, now) {
  const { status } = account;
  const box = el('div', { class: 'facts' });
  const until = status.synced_until && instant(status.synced_until);
  box.append(fact('behind', until ? span(Math.max(0, (now - until) / 1000)) : '–', until ? `synced until ${day(until)} ${clock(until)}` : 'not read yet'));
  const success = status.last_success_at && instant(status.last_success_at);
  box.append(fact('last success', success ? `${span(Math.max(0, (now - success) / 1000))} ago` : '–', success ? clock(success) : ''));
  const read = account.wanted_seconds ? 1 - account.unread_seconds / account.wanted_seconds : 0;
  const from = status.history_from && instant(status.history_from);
  box.append(fact('history', account.unread_seconds > 0 ? `${(Math.floor(read * 1000) / 10).toFixed(1)} %` : from ? 'complete' : '–', from ? `from ${day(from)}` : ''));
  if (Number.isFinite(account.overdue_seconds)) box.append(fact('read again', account.overdue_seconds ? `${span(account.overdue_seconds)} overdue` : 'on time', ''));
  if (account.completeness) box.append(settled(account.completeness));
  box.append(fact('open gaps', number(status.open_gaps), status.open_gaps ? 'see below' : ''));
  box.append(fact('rejected records', number(status.rejected_records), ''));
  if (status.pushes) box.append(pushed(status.pushes, now));
  box.append(fact('leader', status.leader ? status.leader.split(',')[0] : 'none', status.leader ? status.leader.split(', ')[1] || '' : ''));
  return box;
}

// What comes by CDR notification.
function pushed(known, now) {
  const last = known.last_received_at && instant(known.last_received_at);
  const open = [[known.waiting, 'not joined yet'], [known.provisional, 'not in the pull yet'], [known.unmatched, 'not found by the pull']];
  const note = open.filter(([count]) => count).map(([count, what]) => `${number(count)} ${what}`).join(', ');
  return fact('last push', last ? `${span(Math.max(0, (now - last) / 1000))} ago` : '–', note || (last ? 'all in the pull as well' : ''));
}

// How complete hours are; how late calls appear is in the note, for the few who ask.
function settled(known) {
  const until = known.settled_until && instant(known.settled_until);
  const age = span(known.settled_after_seconds);
  const learned = known.settled_after_seconds < known.final_after_seconds;
  const late = [['500', '50 %'], ['950', '95 %'], ['990', '99 %'], ['999', '99.9 %']]
    .filter(([key]) => known.late_seconds[key] !== null)
    .map(([key, share]) => `${share} within ${span(known.late_seconds[key])}`);
  const box = fact('settled until', until ? `${day(until)} ${clock(until)}` : '–', learned || known.hours_known >= 1000 ? `hours settle after ${age}` : `after ${age}, until more hours are known`);
  const proof = learned ? `After ${age}, at most one hour in 1,000 has still got a call.` : `Calls that appear after ${age} are not looked for.`;
  box.title = `${proof} ${number(known.hours_known)} hours are known. `
    + (late.length ? `Calls that were not there at the first read appeared, after they had ended: ${late.join(', ')}.` : 'How late calls appear is not known yet.');
  return box;
}

function problems(list) {
  return list.map((problem) => {
    const more = problem.handbook ? el('a', { href: problem.handbook }, 'handbook') : null;
    return el('div', { class: `problem ${problem.level}` }, problem.text, el('small', {}, problem.advice, ' ', more));
  });
}

function part(heading, ...children) {
  return el('section', { class: 'part' }, el('h3', {}, heading), ...children);
}

function calls(rows) {
  if (!rows) return part('Calls per hour', el('p', { class: 'key' }, 'The calls could not be counted: the database is too slow.'));
  // As wide as it is at least shown, so that labels are never drawn smaller than they are.
  const width = 340, height = 140, left = 42, bottom = 18, top = 16;
  // One spike does not flatten the rest: what is far above the usual busy hour is cut off, with its number above.
  const sorted = rows.map(([, now, before]) => Math.max(now, before)).sort((a, b) => a - b);
  const usual = sorted[Math.floor(sorted.length * 0.9)] || 0;
  const highest = Math.max(1, sorted[sorted.length - 1] || 0);
  const most = usual > 0 && highest > usual * 4 ? usual * 2 : highest;
  const x = (i) => left + (i * (width - left)) / rows.length;
  const y = (value) => height - bottom - (Math.min(value, most) / most) * (height - bottom - top);
  const chart = el('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'calls per hour of the last two days' });
  for (const share of [0, 0.5, 1]) {
    const value = Math.round(most * share);
    chart.append(el('line', { class: 'grid', x1: left, x2: width, y1: y(value), y2: y(value) }));
    chart.append(el('text', { class: 'axis', x: left - 4, y: y(value) + 3, 'text-anchor': 'end' }, number(value)));
  }
  const bar = (width - left) / rows.length;
  rows.forEach(([hour, now, before], i) => {
    const date = instant(hour);
    const last = i === rows.length - 1;
    const rect = el('rect', { class: last ? 'bar now' : 'bar', x: x(i) + 0.8, width: bar - 1.6, y: y(now), height: height - bottom - y(now) });
    rect.append(el('title', {}, `${day(date)} ${minute(date)}: ${number(now)} calls${last ? ' up to now' : ''}; a week earlier ${number(before)}`));
    chart.append(rect);
    if (now > most) {
      const end = x(i) > width / 2;
      chart.append(el('text', { class: 'axis', x: end ? x(i) + bar : x(i), y: top - 5, 'text-anchor': end ? 'end' : 'start' }, `▲ ${number(now)}`));
    }
    if (date.getUTCHours() % 12 === 0 && x(i) < width - 36) {
      const label = date.getUTCHours() === 0 ? date.toLocaleDateString('en', { weekday: 'short', day: 'numeric', timeZone: 'UTC' }) : '12:00';
      chart.append(el('text', { class: 'axis', x: x(i), y: height - 4 }, label));
    }
  });
  const steps = rows.map(([, , before], i) => `${i ? 'L' : 'M'}${x(i).toFixed(1)} ${y(before).toFixed(1)}H${(x(i) + bar).toFixed(1)}`);
  chart.append(el('path', { class: 'before', d: steps.join('') }));
  const key = el('div', { class: 'key' },
    el('span', {}, el('i', { class: 'live' }), 'last two days'),
    el('span', {}, el('i', { class: 'line' }), 'a week earlier'));
  return part('Calls per hour', chart, key);
}

function calendar(data) {
  // By month, so that each square has its date without a pointer to rest on it.
  const months = el('div', { class: 'days' });
  let month = '', days = null;
  for (const one of data.days) {
    if (one.date.slice(0, 7) !== month) {
      month = one.date.slice(0, 7);
      days = el('div', { class: 'month' });
      const same = data.days.filter(({ date }) => date.startsWith(month));
      const [from, to] = [same[0].date.slice(8), same[same.length - 1].date.slice(8)];
      months.append(el('div', {}, el('small', {}, from === to ? `${month}-${from}` : `${month}-${from} to ${to}`), days));
    }
    let words = DAY_WORDS[one.state];
    if (one.state === 'read_again') words = `read, and read again after ${one.again_days} ${one.again_days === 1 ? 'day' : 'days'}`;
    if (one.state === 'gap') words = `${one.gap_minutes} min could not be read`;
    days.append(el('span', { class: `day ${one.state}`, title: `${one.date}: ${words}` }));
  }
  const [first, last] = [data.days[0], data.days[data.days.length - 1]];
  const count = {};
  for (const one of data.days) count[one.state] = (count[one.state] || 0) + 1;
  const key = el('div', { class: 'key' });
  for (const state of Object.keys(DAY_WORDS)) {
    if (count[state]) key.append(el('span', {}, el('i', { class: `day ${state}` }), `${DAY_WORDS[state]}: ${count[state]}`));
  }
  const section = part(`Days covered${first ? `, ${first.date} to ${last.date}` : ''}`, months, key);
  if (data.earlier_days) {
    const open = data.earlier_incomplete ? `${number(data.earlier_incomplete)} of them incomplete` : 'all complete';
    section.append(el('p', { class: 'key' }, `and ${number(data.earlier_days)} earlier days, ${open}`));
  }
  return section;
}

function budget(data) {
  const stack = el('div', { class: 'stack' });
  const key = el('div', { class: 'key' });
  const hour = data.lanes.reduce((sum, lane) => sum + lane.hour, 0);
  const five = data.lanes.reduce((sum, lane) => sum + lane.five_minutes, 0);
  const whole = data.per_minute ? data.per_minute * 60 : Math.max(1, hour);
  for (const lane of data.lanes) {
    const piece = el('span', { class: lane.lane, title: `${LANES[lane.lane]}: ${lane.hour} requests` });
    piece.style.width = `${(100 * lane.hour) / whole}%`;
    stack.append(piece);
    key.append(el('span', {}, el('i', { class: lane.lane }), `${LANES[lane.lane]}: ${number(lane.hour)}`));
  }
  const allowed = data.per_minute ? ` of ${number(whole)} allowed` : '';
  return part(`Requests in the last hour: ${number(hour)}${allowed}; ${(five / 5).toFixed(1)} a minute in the last five minutes`, stack, key);
}

function backfill(account) {
  if (!(account.unread_seconds > 0)) return null;
  const done = el('span', { class: 'backfill' });
  done.style.width = `${100 * (1 - account.unread_seconds / account.wanted_seconds)}%`;
  const bar = el('div', { class: 'stack' }, done);
  const eta = account.eta_seconds === null ? 'no estimate yet' : `done in about ${span(account.eta_seconds)}`;
  return part(`History: ${span(account.unread_seconds)} still to be read, ${eta}`, bar);
}

// Charts are made of voicenter.calls, which follows the records in slices at first.
function building(data) {
  if (!data) return null;
  if (data.folded >= data.rows) return part('Calls for charts: the newest changes are not in them yet');
  const share = data.folded / data.rows;
  const done = el('span', { class: 'backfill' });
  done.style.width = `${100 * share}%`;
  const note = el('p', { class: 'key' }, 'Until then charts lack calls or show them as they were, and sync_state.calls_current is false.');
  return part(`Calls for charts: ${(Math.floor(share * 1000) / 10).toFixed(1)} % built, ${number(data.rows - data.folded)} records to go`, el('div', { class: 'stack' }, done), note);
}

// Which records had a CDR notification, and how soon it came.
function pushes(data) {
  if (!data) return null;
  const known = (seconds) => seconds !== null && seconds !== undefined;
  const latency = known(data.latency_seconds) && `Half come within ${span(Math.max(0, data.latency_seconds))} of the call's end, 95 % within ${span(Math.max(0, data.latency_of_most_seconds))}.`;
  const lead = known(data.lead_seconds) && `The median comes ${span(Math.abs(data.lead_seconds))} ${data.lead_seconds < 0 ? 'after' : 'before'} the pull.`;
  const offset = known(data.offset_seconds) && (data.offset_seconds ? `Their time is ${span(Math.abs(data.offset_seconds))} ${data.offset_seconds > 0 ? 'ahead of' : 'behind'} the pull's, which counts.` : "Their time is the pull's.");
  const notes = [latency, lead, offset].filter(Boolean).join(' ') || 'None has met its record in the pull yet.';
  // Of some types none is ever sent, which is nobody's fault.
  const never = (of) => !of.pushed && of.records > 50;
  const sent = data.shares.filter((of) => !never(of));
  const records = sent.reduce((sum, of) => sum + of.records, 0);
  const missed = records - sent.reduce((sum, of) => sum + of.pushed, 0);
  const share = (of, all) => `${(Math.round((1000 * of) / all) / 10).toFixed(1)} %`;
  const heading = records ? `CDR notifications: ${share(missed, records)} of ${number(records)} records of the last week had none` : 'CDR notifications: which records had none is known after a day';
  const rows = data.shares.map((of) => [of.type || 'without a type', number(of.records), number(of.records - of.pushed), never(of) ? 'never sent' : share(of.records - of.pushed, of.records)]);
  const section = part(heading, el('p', { class: 'key' }, notes), rows.length ? table(['type', 'records', 'without', 'share'], [1, 2, 3], rows) : null);
  section.classList.add('pushes');
  return section;
}

function gaps(list) {
  if (!list.length) return null;
  const rows = list.slice(0, 20).map((gap) => {
    const [from, to, next] = [gap.from, gap.to, gap.next_try_at].map(instant);
    return [`${day(from)} ${clock(from)}`, `${day(to)} ${clock(to)}`, gap.reason.replaceAll('_', ' '), gap.tries, `${day(next)} ${minute(next)}`];
  });
  const more = list.length > 20 ? el('p', { class: 'key' }, `and ${number(list.length - 20)} more: cdr-sync gaps`) : null;
  const section = part('Gaps', table(['from', 'to', 'why', 'tries', 'next try'], [3], rows), more);
  section.classList.add('wide', 'gaps');
  return section;
}

// Spans that somebody asked the daemon to read again, by a command or in SQL.
function work(list) {
  if (!list || !list.length) return null;
  const rows = list.map((asked) => {
    const [from, to] = [asked.from, asked.to].map(instant);
    const state = asked.state === 'running' ? `${Math.floor(asked.progress * 100)} % read` : asked.error ? `${asked.state}: ${asked.error}` : asked.state;
    return [asked.id, `${day(from)} ${clock(from)}`, `${day(to)} ${clock(to)}`, asked.reason, state];
  });
  const section = part('To be read again, because somebody asked for it', table(['number', 'from', 'to', 'why', 'state'], [0], rows));
  section.classList.add('wide', 'work');
  return section;
}

// On a phone each cell stands on a line of its own, with its heading before it.
function table(headings, numeric, rows) {
  const line = (tag, cells) => el('tr', {}, ...cells.map((cell, i) => {
    const attributes = tag === 'th' ? { scope: 'col' } : { 'data-heading': headings[i] };
    if (numeric.includes(i)) attributes.class = 'n';
    return el(tag, attributes, cell instanceof Node ? cell : String(cell));
  }));
  const lines = el('table', {}, el('thead', {}, line('th', headings)), el('tbody', {}, ...rows.map((cells) => line('td', cells))));
  return el('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': headings.join(', ') }, lines);
}

function recent(name, list) {
  const rows = list.map((read) => {
    const [from, to] = [read.from, read.to].map(instant);
    const window = `${day(from)} ${clock(from)} – ${day(from) === day(to) ? clock(to) : `${day(to)} ${clock(to)}`}`;
    const why = el('span', {}, el('span', { class: `tag ${read.lane}` }), read.reason);
    return [clock(instant(read.started_at)), why, window, read.requests, number(read.seen), number(read.inserted), number(read.updated), number(read.removed), read.outcome.replaceAll('_', ' '), number(read.elapsed_ms)];
  });
  const headings = ['asked', 'why', 'window', 'requests', 'records', 'new', 'changed', 'removed', 'outcome', 'ms'];
  const details = el('details', {}, el('summary', {}, `Recent windows (${list.length})`), table(headings, [3, 4, 5, 6, 7, 9], rows));
  if (recentOpen.has(name)) details.setAttribute('open', '');
  details.addEventListener('toggle', () => (details.open ? recentOpen.add(name) : recentOpen.delete(name)));
  return el('section', { class: 'part wide' }, details);
}

// Opens and closes an account of very many: only what is open is asked for.
function opener(name, account) {
  const summary = el('summary', {}, 'Calls, days covered, requests and recent windows');
  const details = el('details', { class: 'opener' }, summary);
  if (accountsOpen.has(name)) {
    details.setAttribute('open', '');
    if (!account.calendar) details.append(el('p', { class: 'key' }, 'loading …'));
  }
  summary.addEventListener('click', (event) => {
    event.preventDefault();
    if (!accountsOpen.delete(name)) accountsOpen.add(name);
    if (accountsOpen.size > IN_FULL) accountsOpen.delete(accountsOpen.values().next().value);
    update();
  });
  return details;
}

function draw(account, now, many) {
  const name = account.status.account;
  const box = el('article', { class: 'account', 'data-account': name });
  const title = el('div', { class: 'title' }, el('h2', {}, name), el('span', { class: `badge ${account.state}` }, account.state.replaceAll('_', ' ')));
  if (account.reading) title.append(el('span', { class: 'key' }, `reading: ${LANES[account.reading.lane]}`));
  box.append(title, ...problems(account.problems), facts(account, now));
  if (many) box.append(opener(name, account));
  if (!account.calendar) return box;
  const parts = el('div', { class: 'parts' });
  for (const piece of [calls(account.calls), calendar(account.calendar), budget(account.budget), backfill(account), building(account.building), pushes(account.pushes), work(account.work), gaps(account.gaps), recent(name, account.recent)]) {
    if (piece) parts.append(piece);
  }
  box.append(parts);
  return box;
}

// A screen reader reads an alert again whenever it is replaced, so an unchanged one stays.
let alarm = '';

function trouble(text, advice, handbook) {
  if (alarm === (text || '')) return;
  alarm = text || '';
  document.getElementById('trouble').replaceChildren(...(text ? problems([{ level: 'bad', text, advice, handbook }]) : []));
}

// Finds the focused element again after a redraw: by its account, and its number among those that can have the focus there.
function place(element) {
  const name = element?.closest('[data-account]')?.dataset.account;
  if (name === undefined) return null;
  const all = () => [...document.querySelectorAll('[data-account]')].find((one) => one.dataset.account === name)?.querySelectorAll('a, summary, .scroll') || [];
  const number = [...all()].indexOf(element);
  return () => all()[number];
}

async function update() {
  try {
    // Without a timeout, a process that hangs or an unreachable host would leave the last state on display.
    const open = new URLSearchParams([...accountsOpen].map((name) => ['account', name]));
    const answer = await fetch(`api/overview?${open}`, { cache: 'no-store', signal: AbortSignal.timeout(2 * EVERY_MS) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const data = await answer.json();
    const now = instant(data.now);
    trouble(data.database_failure && `The database does not answer: ${data.database_failure}`, 'The last known state is shown. Answers are held, and stored once the database is back.', 'docs/operations.md#cdrsyncdatabaseaway');
    const many = data.accounts.length > IN_FULL;
    // An account's worst problem comes first; of very many accounts, so do those with the worst.
    const rank = (account) => ({ bad: 0, warn: 1 })[account.problems[0]?.level] ?? 2;
    const accounts = many ? [...data.accounts].sort((one, other) => rank(one) - rank(other)) : data.accounts;
    const cards = accounts.map((account) => draw(account, now, many));
    for (const name of data.starting) cards.push(el('article', { class: 'account' }, el('div', { class: 'title' }, el('h2', {}, name), el('span', { class: 'badge starting' }, 'starting'))));
    const focused = place(document.activeElement);
    const scrolled = [...document.querySelectorAll('.scroll')].map((box) => box.scrollLeft);
    document.getElementById('accounts').replaceChildren(...cards);
    document.querySelectorAll('.scroll').forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    focused?.()?.focus({ preventScroll: true });
    const bad = data.accounts.some((account) => account.problems.some((problem) => problem.level === 'bad'));
    document.title = (bad ? '✗ ' : '') + 'cdr-sync';
    document.getElementById('clock').textContent = `${day(now)} ${clock(now)} UTC, like all times here; updates every ${EVERY_MS / 1000} s`;
    document.getElementById('version').textContent = `cdr-sync ${data.version}`;
    updates += 1;
    document.body.dataset.updates = updates;
  } catch (error) {
    trouble(`cdr-sync does not answer (${error.message}).`, 'The page keeps trying.');
    document.title = '✗ cdr-sync';
  }
  clearTimeout(timer);
  timer = setTimeout(update, EVERY_MS);
}

update();
