// What a figure has folded away: its table, its sources, and how to get the same from Python and the command line.

import { make, renew, setText } from "./dom.js";
import { equation } from "./figures.js";
import { beside } from "./state.js";

/** Text with a button that copies it. */
export function command(title, field) {
  const text = make("code");
  const copy = make("button", { type: "button" }, "Copy");
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text.textContent);
    setText(copy, "Copied");
    setTimeout(() => setText(copy, "Copy"), 1500);
  });
  const block = make("pre", { tabindex: "0", role: "group", "aria-label": title }, text);
  return {
    element: make("details", { "data-part": field }, make("summary", {}, title), block, copy),
    update: (figure) => setText(text, figure[field]),
  };
}

export const table = (column, figure) => fetchedPart("Table", "tables", column, figure, (list) => list.map(tableOf));
export const sources = (column, figure) => fetchedPart("Sources", "derivation", column, figure, derivationOf);

/** A part that is asked for when it is opened, and again whenever the state has come to rest. */
function fetchedPart(title, field, column, figure, build) {
  const holder = make("div", { class: "wide", tabindex: "0", role: "group", "aria-label": title });
  const element = make("details", { "data-part": field }, make("summary", {}, title), holder);
  const load = async () => {
    const answer = await beside("details.json", { column, figure });
    if (answer) renew(holder, answer.error ?? answer[field], (shown) => (answer.error ? [make("p", {}, shown)] : build(shown)));
  };
  element.addEventListener("toggle", () => element.open && load());
  element.addEventListener("settled", load);
  return { element, update() {} };
}

function tableOf({ caption, header, rows }) {
  const cells = (tag, list, scope) => list.map((text) => make(tag, { scope }, text));
  const line = ([first, ...rest]) => make("tr", {}, make("th", { scope: "row" }, first), ...cells("td", rest));
  const head = make("thead", {}, make("tr", {}, ...cells("th", header, "col")));
  return make("table", {}, make("caption", {}, caption), head, make("tbody", {}, ...rows.map(line)));
}

function derivationOf({ where, steps, inputs, pages, lecture }) {
  return [
    ...where.map((text) => make("p", {}, text)),
    ...steps.map(equation),
    make("ul", { class: "inputs" }, ...inputs.map(input)),
    make("ol", { class: "pages" }, ...pages.map(page)),
    ...(lecture ? [make("p", {}, lecture)] : []),
  ];
}

function input({ name, value, origin, pages, gap }) {
  const cited = pages.length ? ` [${pages.map((place) => place + 1).join(", ")}]` : "";
  return make("li", {}, make("code", {}, `${name} = ${value || "not known"}`), ` ${origin}${gap ? ` (${gap})` : ""}${cited}`);
}

function page({ where, checked }) {
  const link = /^https?:/.test(where) ? make("a", { href: where, rel: "noreferrer" }, where) : where;
  return make("li", {}, link, ` checked ${checked}`);
}
