// The page: reads its first board, draws it, and draws each that follows.

import { controls } from "./controls.js";
import { fold, keep, make, renew, setText } from "./dom.js";
import { body, head } from "./figures.js";
import { begin } from "./state.js";

const ORDINALS = { a: "First column", b: "Second column" };
const part = (id) => document.getElementById(id);
const first = JSON.parse(part("first").textContent);

function show(board, fresh) {
  document.title = `${board.title} · headway`;
  setText(part("question"), board.question);
  renew(part("boards"), board.boards, (list) => list.map(tab));
  showCompare(board.compare);
  if (fresh) showControls(board);
  setText(part("compared"), board.compared);
  part("compared").hidden = !board.compared;
  part("board").className = board.columns.length > 1 ? "two" : "one";
  keep(part("heads"), board.columns, ({ key }) => key, head);
  keep(part("bodies"), board.columns, ({ key }) => key, body);
  part("board").hidden = false;
}

const tab = ({ title, href, current }) => make("li", {}, make("a", { href, "aria-current": current ? "page" : null }, title));

function showCompare(compare) {
  const link = part("compare");
  link.hidden = !compare;
  if (!compare) return;
  link.href = compare.href;
  setText(link, compare.label);
}

/** The controls of the question as a whole, then those of each column. */
function showControls(board) {
  const whole = (list) => (list.some(({ kind }) => kind === "config") ? "Model and machine" : "Machine");
  const named = (key, list) => (board.columns.length > 1 ? ORDINALS[key] : whole(list));
  const groups = [{ key: "question", legend: "The question", list: board.controls },
    ...board.columns.map(({ key, controls: list }) => ({ key, legend: named(key, list), list }))];
  keep(part("controls"), groups.filter(({ list }) => list.length), ({ key }) => key, group);
}

function group({ key, legend }) {
  const holder = make("div", { class: "group", role: "group", "aria-label": legend });
  const element = key === "question" ? make("div", {}, holder) : fold({}, legend, holder);
  return {
    element,
    update({ legend: text, list }) {
      if (key !== "question") setText(element.firstElementChild, text);
      holder.setAttribute("aria-label", text);
      controls(holder, list, first.choices);
    },
  };
}

function wait(busy) {
  part("board").setAttribute("aria-busy", busy);
}

/** A line for each problem, and a mark on its input. */
function complain(problems) {
  renew(part("problem"), problems.map(({ error }) => error), (lines) => lines.map((line) => make("p", {}, line)));
  const wrong = new Set(problems.map(({ input }) => input).filter(Boolean));
  for (const input of document.querySelectorAll("[aria-invalid]")) if (!wrong.has(input)) mark(input, false);
  for (const input of wrong) mark(input, true);
}

function mark(input, wrong) {
  for (const [name, value] of [["aria-invalid", "true"], ["aria-errormessage", "problem"]]) {
    if (wrong) input.setAttribute(name, value);
    else input.removeAttribute(name);
  }
}

/** Once the state has come to rest: say the answer, and bring what is open up to date. */
function tell(board) {
  setText(part("told"), board.columns.map(({ answer }) => answer).join(" "));
  for (const open of document.querySelectorAll("details[open]")) open.dispatchEvent(new Event("settled"));
}

/** A malformed address has no board, only a sentence and a way on. */
function refuse({ error, start }) {
  complain([{ error }]);
  setText(part("question"), "This address cannot be read.");
  part("main").append(make("p", {}, make("a", { href: start }, "Start again")));
}

if (first.board) begin(first.board, { board: show, controls: showControls, problems: complain, settled: tell, busy: wait });
else refuse(first);
