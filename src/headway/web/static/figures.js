// A column: the answer, and its figures with their equations.

import { chart, lookOf } from "./charts.js";
import { command, sources, table } from "./details.js";
import { keep, make, renew, setText, shape } from "./dom.js";
import { reading } from "./reading.js";

/** The top of a column: what it is about, and the answer. */
export function head({ key }) {
  const heading = make("h2", { id: `heading-${key}` });
  const answer = make("p", { class: "answer", "data-answer": key });
  const element = make("div", { class: "head", "data-column": key }, heading, answer);
  return {
    element,
    update(column) {
      setText(heading, column.heading);
      setText(answer, column.answer);
      element.classList.toggle("refused", column.refused);
    },
  };
}

/** The rest of it: why, facts, figures, assumptions. */
export function body({ key }) {
  const which = make("p", { class: "which" });
  const why = make("p", { class: "why" });
  const facts = make("dl", { class: "facts" });
  const figures = make("div", { class: "figures" });
  const lines = make("ul");
  const assumptions = make("details", { class: "assumptions" }, make("summary", {}, "Assumptions"), lines);
  const element = make("section", { class: "body", "aria-labelledby": `heading-${key}` }, which, why, facts, figures,
    assumptions);
  return {
    element,
    update(column) {
      setText(which, column.heading);
      setText(why, column.why);
      renew(facts, column.facts, (shown) => shown.map(fact));
      keep(figures, column.figures, (one) => one.key, (one) => figure(one, key));
      renew(lines, column.assumptions, (shown) => shown.map((text) => make("li", {}, text)));
      assumptions.hidden = !column.assumptions.length;
    },
  };
}

const fact = ({ label, text }) => make("div", {}, make("dt", {}, label), make("dd", {}, text));

function figure({ key }, column) {
  const id = `${key}-${column}`;
  const title = make("h3", { id: `title-${id}` });
  const caption = make("p", { class: "caption" });
  const about = make("p", { id: `about-${id}`, class: "unseen" });
  const legend = make("ul", { class: "legend" });
  const picture = drawing(id);
  const marks = make("ul", { class: "key" });
  const equations = make("div", { class: "equations" });
  const more = make("div", { class: "more" });
  const parts = [table(column, key), sources(column, key), command("Python", "call"), command("Command", "command")];
  more.append(...parts.map((part) => part.element));
  return {
    element: make("figure", { "data-figure": key, "data-column": column, "aria-labelledby": title.id },
      make("figcaption", {}, title, caption), about, legend, picture.element, marks, equations, more),
    update(shown) {
      setText(title, shown.title);
      setText(caption, shown.caption);
      setText(about, shown.about);
      renew(legend, entries(shown), (list) => list.map(entry));
      picture.update(shown);
      renew(marks, [shown.present, shown.x.label, shown.marks, shown.notes], keyOf);
      renew(equations, shown.equations, (list) => list.map(equation));
      for (const part of parts) part.update(shown);
    },
  };
}

/** The chart, drawn again for new numbers and for another width. */
function drawing(id) {
  const element = make("div", { class: "chart" });
  let width = 0;
  let figure = null;
  let svg = null;
  const draw = () => {
    const drawn = chart(figure, width);
    const told = { role: "img", "aria-label": figure.title, "aria-describedby": `about-${id}` };
    for (const [name, value] of Object.entries(told)) drawn.setAttribute(name, value);
    if (svg) svg.replaceWith(drawn);
    else element.prepend(drawn);
    svg = drawn;
  };
  new ResizeObserver(([{ contentRect }]) => {
    if (Math.round(contentRect.width) === width) return;
    width = Math.round(contentRect.width);
    if (width) draw();
  }).observe(element);
  reading(element, () => ({ figure, svg }));
  return {
    element,
    update(shown) {
      figure = shown;
      if (width) draw();
    },
  };
}

/** What a legend tells apart: curves by colour and dash, groups of dots by colour and symbol. */
const entries = ({ curves, groups }) => groups ?? curves.map(({ label, role }) => ({ label, role }));

function entry(shown) {
  if (shown.role) {
    const dash = shape("g", { class: `curve ${shown.role}` }, shape("path", { d: "M0,6H30" }));
    return make("li", {}, shape("svg", { width: 30, height: 12, "aria-hidden": "true" }, dash), shown.label);
  }
  const { symbol, colour } = lookOf(shown);
  const drawn = d3[`symbol${symbol[0].toUpperCase()}${symbol.slice(1)}`];
  const dot = shape("g", { class: `dots ${colour}`, transform: "translate(7,7)" }, shape("path", { d: d3.symbol(drawn, 50)() }));
  return make("li", {}, shape("svg", { width: 14, height: 14, "aria-hidden": "true" }, dot), shown);
}

/** What the lines in the picture stand for, and what lies outside it. */
function keyOf([present, label, places, notes]) {
  const stroke = shape("line", { x1: 4, x2: 4, y1: 0, y2: 12 });
  const now = shape("svg", { width: 8, height: 12, class: "present", "aria-hidden": "true" }, stroke);
  return [
    ...(present ? [make("li", {}, now, ` now, ${label}: ${present.text}`)] : []),
    ...d3.sort(places.filter((one) => one.letter), (one) => one.letter).map(place),
    ...notes.map(note),
  ];
}

const place = ({ letter, label, text }) => make("li", {}, make("b", {}, letter), ` ${label}: ${text}`);
const note = (text) => make("li", {}, text);

/** An equation with the present numbers put in. */
export function equation({ name, symbols, numbers, value, summary, source, gap }) {
  const lines = [`${name} = ${symbols}`, numbers && `= ${numbers}`, value ? `= ${value}` : `= not known${gap && `: ${gap}`}`];
  const told = [summary, source && `Source: ${source}`].filter(Boolean).join(" ");
  const codes = lines.filter(Boolean).map((text, i) => make("code", { class: i ? "with" : "" }, text));
  return make("div", { class: "equation" }, ...codes, make("small", {}, told));
}
