// The values under the pointer, in a small box beside it.

import { make, shape } from "./dom.js";
import { readText } from "./ticks.js";

/** `drawn()` returns the figure and its present SVG. */
export function reading(holder, drawn) {
  const box = make("div", { class: "reading", "aria-hidden": "true", hidden: true });
  const hair = shape("line", { class: "hair" });
  holder.append(box);
  holder.addEventListener("pointermove", (event) => {
    const { figure, svg } = drawn();
    const [left, top] = d3.pointer(event, svg);
    const found = figure.kind === "dots" ? nearestDot(figure, svg, left, top) : valuesAt(figure, svg, left);
    box.hidden = !found;
    if (!found) return hair.remove();
    box.replaceChildren(...found.words);
    box.style.left = `${found.at}px`;
    box.classList.toggle("leftwards", found.at > svg.clientWidth / 2);
    box.classList.remove("low");
    box.classList.toggle("low", coversNow(box, svg));
    if (figure.kind === "curves") placeHair(svg, hair, found.at);
  });
  holder.addEventListener("pointerleave", () => {
    box.hidden = true;
    hair.remove();
  });
}

function coversNow(box, svg) {
  const { left, right, top, bottom } = box.getBoundingClientRect();
  return [...svg.querySelectorAll(".present circle")].map((dot) => dot.getBoundingClientRect())
    .some((dot) => dot.right > left && dot.left < right && dot.bottom > top && dot.top < bottom);
}

function placeHair(svg, hair, at) {
  const [bottom, top] = svg.scale("y").range;
  for (const [name, value] of Object.entries({ x1: at, x2: at, y1: top, y2: bottom })) hair.setAttribute(name, value);
  svg.append(hair);
}

function valuesAt({ x, y, curves }, svg, left) {
  const scale = svg.scale("x");
  const [low, high] = scale.range;
  if (left < low || left > high) return null;
  const i = d3.bisectCenter(x.values, scale.invert(left));
  const rows = curves.filter(({ values }) => values[i] !== null);
  return {
    at: scale.apply(x.values[i]),
    words: [
      make("strong", {}, `${readText(x.values[i])} ${x.unit}`),
      ...rows.map(({ label, values }) => make("div", {}, `${label} `, make("b", {}, `${readText(values[i])} ${y.unit}`))),
    ],
  };
}

function nearestDot({ dots }, svg, left, top) {
  const [x, y] = [svg.scale("x"), svg.scale("y")];
  const distance = (dot) => Math.hypot(x.apply(dot.x) - left, y.apply(dot.y) - top);
  const dot = d3.least(dots, distance);
  if (!dot || distance(dot) > 30) return null;
  return { at: x.apply(dot.x), words: [make("strong", {}, dot.name), make("div", {}, dot.text)] };
}
