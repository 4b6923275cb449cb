// The state is a query string. Controls change it, the server answers with a board, and the newest value wins.

const SETTLED_MS = 250; // browsers limit how often the address may change
// A pasted config stands in place of a model, and the other way round.
const RIVALS = { model: "config", config: "model", vs_model: "vs_config", vs_config: "vs_model" };
const TOO_LONG = [400, 414, 431]; // what servers say to an address that they do not read to its end
const GONE = { error: "The server does not answer. Is headway ui still running? What is shown is its last answer; the next change "
  + "asks again.", gone: true };

let last = null; // the last good board
let shown = null; // the query that the address shows
let entry = null; // the control that made the present entry of the history
const queue = new Map(); // changes to ask for, by their control, in the order in which they were made; null: a step in the history
const moved = new Set(); // controls whose changes were accepted since the last rest
const refusals = new Map(); // control -> {input, error}
let gone = "";
let busy = false;
let timer = null;
let show = null;

/**
 * Begin with a board. `board(board, fresh)` draws, where fresh says that nothing newer was asked; `controls(board)` brings
 * these alone up to date; `problems(list)` complains of {error, input}; `busy(yes)` is whether an answer is under way or not
 * yet settled; `settled(board)` follows a rest.
 */
export function begin(board, how) {
  show = how;
  shown = location.search;
  accept(board);
  timer = setTimeout(settle, SETTLED_MS);
  window.addEventListener("popstate", () => {
    if (location.search === shown) return; // a place within the page
    shown = location.search;
    entry = null;
    queue.clear();
    moved.clear();
    forgive(() => true);
    enqueue(null, { query: shown.slice(1) });
  });
  window.addEventListener("input", ({ target }) => forgive(({ input }) => input === target));
}

/** The values of a name at the last good board. */
export const given = (name) => new URLSearchParams(last.query).getAll(name);

/** The address of something that belongs to the last good board. */
function address(file, more) {
  const query = new URLSearchParams(last.query);
  for (const [name, value] of Object.entries(more)) query.set(name, value);
  return `/${last.board}/${file}?${query}`;
}

/** Fetch something that belongs to the board; null where the state has moved on in the meantime. */
export async function beside(file, more) {
  const url = address(file, more);
  const answer = await fetched(url);
  return url === address(file, more) ? answer : null;
}

/**
 * Give a name other values, none to go back to its default, and ask for the board. `values` is a list, or a function of the
 * list before, which may take its time and may throw what is to be told. Where a name has several controls, `control` tells
 * these apart. A refusal marks the input.
 */
export function change(event, name, values, { input = event.target, control = name } = {}) {
  forgive((one, other) => other === control || one.input === input);
  enqueue(control, { name, values, input, since: event.timeStamp });
}

/** Complain of an input without asking the server. */
export function refuse(control, input, error) {
  refusals.set(control, { input, error });
  report();
}

/** Refusals that have lost their input cannot be put right by it, and go with the first change. */
function forgive(test) {
  for (const [control, one] of refusals) if (!one.input?.isConnected || test(one, control)) refusals.delete(control);
  report();
}

function report() {
  show.problems([...(gone ? [{ error: gone }] : []), ...refusals.values()]);
}

function enqueue(control, asked) {
  queue.delete(control);
  queue.set(control, asked);
  clearTimeout(timer);
  show.busy(true);
  run();
}

/** One request at a time, each with one change, so that a refusal concerns this change alone. */
async function run() {
  if (busy) return;
  busy = true;
  gone = "";
  while (queue.size && !gone) {
    const [[control, asked]] = queue;
    queue.delete(control);
    await ask(control, asked);
  }
  busy = false;
  if (gone) show.busy(false);
  else timer = setTimeout(settle, SETTLED_MS);
}

async function ask(control, asked) {
  const query = Promise.resolve(asked.query ?? queryWith(asked));
  const answer = await query.then((text) => fetched(`/${last.board}.json?${text}`), ({ message }) => ({ error: message }));
  if (answer.gone) {
    gone = answer.error;
    const newer = [...queue];
    queue.clear();
    for (const [other, one] of [[control, asked], ...newer]) queue.set(other, one);
  } else if (answer.error) {
    const overtaken = queue.has(control) || queue.has(null);
    if (!overtaken) refuse(control, asked.input, answer.error);
    if (!queue.size) show.controls(last);
  } else {
    if (control) moved.add(control);
    accept(answer);
    if (asked.since) performance.measure("headway:redraw", { start: asked.since, end: performance.now() });
  }
  report();
}

/** The query of the last good board with one name changed. */
async function queryWith({ name, values }) {
  const query = new URLSearchParams(last.query);
  const next = typeof values === "function" ? await values(query.getAll(name)) : values;
  query.delete(name);
  for (const value of next) query.append(name, value);
  if (next.length && RIVALS[name]) query.delete(RIVALS[name]);
  keepSecond(query);
  return query;
}

/** A second column stands as long as anything of it is asked; where the last such thing goes, its machine stays. */
function keepSecond(query) {
  const second = last.columns.find(({ key }) => key === "b");
  if (!second || [...query.keys()].some((name) => name.startsWith("vs_"))) return;
  query.set("vs_on", second.controls.find(({ kind, name }) => kind === "choice" && name === "vs_on").value);
}

/** The JSON behind an address, or {error} in one line. */
async function fetched(url) {
  try {
    const response = await fetch(url);
    const json = await response.json().catch(() => null);
    if (json && (response.ok || json.error)) return json;
    if (response.ok) return GONE; // it broke off
    const what = TOO_LONG.includes(response.status) ? "The address is too long" : "The server failed";
    return { error: `${what} (${response.status}).` };
  } catch {
    return GONE;
  }
}

function accept(board) {
  last = board;
  show.board(board, !queue.size);
}

/** Write the address: a new entry, unless the control that made the present one has gone on moving. */
function settle() {
  const query = last.query && `?${last.query}`;
  if (query !== shown) {
    const same = [...moved].every((control) => control === entry);
    history[same ? "replaceState" : "pushState"](null, "", `/${last.board}${query}`);
    entry = [...moved].at(-1) ?? entry;
    shown = location.search;
  }
  moved.clear();
  show.settled(last);
  show.busy(false);
}
