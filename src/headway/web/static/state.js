// The state is a query string. Controls change it, the server answers with a board, and the newest value wins.

const SETTLED_MS = 250; // browsers limit how often the address may change
// A pasted config stands in place of a model, and the other way round.
const RIVALS = { model: "config", config: "model", vs_model: "vs_config", vs_config: "vs_model" };

let last = null; // the last good board
let params = null; // what was asked since
let culprit = null; // the input that was changed last
let changedAt = null;
let busy = false;
let stale = false;
let timer = null;
let show = null;

/**
 * Begin with a board. `board(board, fresh)` draws, where fresh says that nothing newer was asked; `problem(text, culprit)`
 * complains; `busy(yes)` is whether an answer is under way or not yet settled; `settled(board)` follows a rest.
 */
export function begin(board, how) {
  show = how;
  accept(board);
  window.addEventListener("popstate", () => {
    params = new URLSearchParams(location.search);
    changedAt = null;
    refresh();
  });
}

/** The values of a name in what is asked now. */
export const asked = (name) => params.getAll(name);

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

/** Give a name other values, none to go back to its default, and ask for the board. A refusal marks the input. */
export function change(event, name, values, input = event.target) {
  params.delete(name);
  for (const value of values) params.append(name, value);
  if (values.length && RIVALS[name]) params.delete(RIVALS[name]);
  keepSecond();
  culprit = input;
  changedAt = event.timeStamp;
  refresh();
}

/** A second column stands as long as anything of it is asked; where the last such thing goes, its machine stays. */
function keepSecond() {
  const second = last.columns.find(({ key }) => key === "b");
  if (!second || [...params.keys()].some((name) => name.startsWith("vs_"))) return;
  params.set("vs_on", second.controls.find(({ kind, name }) => kind === "choice" && name === "vs_on").value);
}

async function refresh() {
  stale = true;
  show.busy(true);
  if (busy) return;
  busy = true;
  try {
    while (stale) {
      stale = false;
      await ask();
    }
  } finally {
    busy = false;
  }
}

async function ask() {
  const since = changedAt;
  const answer = await fetched(`/${last.board}.json?${params}`);
  if (answer.error) return refuse(answer);
  accept(answer);
  if (since) performance.measure("headway:redraw", { start: since, end: performance.now() });
}

/** The JSON behind an address, or {error} in one line. */
async function fetched(url) {
  try {
    const response = await fetch(url);
    const json = await response.json();
    return response.ok || json.error ? json : { error: `The server failed (${response.status}).` };
  } catch {
    return { error: "The server does not answer. Is headway ui still running? The next change asks again.", gone: true };
  }
}

function refuse({ error, gone }) {
  if (stale) return; // a newer value is already on its way
  show.problem(error, gone ? null : culprit);
  show.busy(false);
  if (!gone) params = new URLSearchParams(last.query);
}

function accept(board) {
  last = board;
  if (!stale) params = new URLSearchParams(board.query);
  show.board(board, !stale);
  clearTimeout(timer);
  timer = setTimeout(settle, SETTLED_MS);
}

function settle() {
  history.replaceState(null, "", `/${last.board}${last.query && "?"}${last.query}`);
  show.settled(last);
  show.busy(busy);
}
