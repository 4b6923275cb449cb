// The page: reads its first board, draws it, and draws each that follows.

import { controls } from "./controls.js";
import { fold, keep, make, renew, setText } from "./dom.js";
import { body, head } from "./figures.js";
import { begin } from "./state.js";

const part = (id) => document.getElementById(id);
const first = JSON.parse(part("first").textContent);

function show(board, fresh) {
  document.title = `${board.title} · headway`;
  setText(part("question"), board.question);
  renew(part("boards"), board.boards, (list) => list.map(tab));
  showCompare(board.compare);
  if (fresh) showControls(board);
  part("board").className = board.columns.length > 1 ? "two" : "one";
  keep(part("heads"), board.columns, ({ key }) => key, head);
  keep(part("bodies"), board.columns, ({ key }) => key, body);
  part("board").hidden = false;
  if (fresh) settleProblem();
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
  const named = (key, list) => (board.columns.length > 1 ? `Column ${key.toUpperCase()}` : whole(list));
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

function complain(text, culprit) {
  setText(part("problem"), text);
  culprit?.setAttribute("aria-invalid", "true");
  culprit?.setAttribute("aria-errormessage", "problem");
}

function settleProblem() {
  setText(part("problem"), "");
  for (const input of document.querySelectorAll("[aria-invalid]")) input.removeAttribute("aria-invalid");
}

/** Once the state has come to rest: say the answer, and bring what is open up to date. */
function tell(board) {
  setText(part("told"), board.columns.map(({ answer }) => answer).join(" "));
  for (const open of document.querySelectorAll("details[open]")) open.dispatchEvent(new Event("settled"));
}

/** A malformed address has no board, only a sentence and a way on. */
function refuse({ error, start }) {
  complain(error);
  setText(part("question"), "This address cannot be read.");
  part("main").append(make("p", {}, make("a", { href: start }, "Start again")));
}

if (first.board) begin(first.board, { board: show, problem: complain, settled: tell, busy: wait });
else refuse(first);
