// From the plain table of a figure to an SVG. Observable Plot has the scales, curves, bands and dots; axes and marks are
// drawn here, without Plot's shift by half a pixel, so that a tick and a curve at the same value lie at the same place.

import { shape } from "./dom.js";
import { ticks } from "./ticks.js";

const MARGIN = { marginTop: 36, marginRight: 18, marginBottom: 40, marginLeft: 46 };
// Plot moves what it draws by half a pixel on a coarse screen; this takes it back.
const EXACT = window.devicePixelRatio > 1 ? {} : { dx: -0.5, dy: -0.5 };
const SYMBOLS = ["square", "triangle", "diamond", "cross", "circle", "star", "wye"];
const LETTER = 6.5; // pixels, about as wide as one of the words on a line
const COLOURS = 8; // as many as the style sheet has
const groupsSeen = new Map();

export function chart(figure, width) {
  const height = Math.max(240, Math.round(width * 0.55));
  const marks = figure.kind === "dots" ? dotMarks(figure) : curveMarks(figure);
  return Plot.plot({
    width, height, ...MARGIN, x: scale(figure.x), y: scale(figure.y),
    marks: [axisX(figure.x), axisY(figure.y), ...marks, lines(figure), present(figure)],
  });
}

const scale = ({ log, range }) => ({ type: log ? "log" : "linear", domain: range, axis: null });

/** Whether a curve is a pass as a whole, and not one of its terms. */
const isWhole = (curve) => /^(total|family)/.test(curve.role);

function curveMarks(figure) {
  const drawn = d3.sort(figure.curves, (curve) => curve.role !== "total"); // the total is thick and lies under its terms
  return [
    ...drawn.filter((curve) => curve.low).map((curve) => band(figure, curve)),
    ...drawn.map((curve) => line(figure, curve)),
  ];
}

function band({ x }, { role, label, low, high }) {
  const look = dressed({ class: `band ${role}`, "data-band": label });
  return Plot.areaY(x.values, { x: x.values, y1: low, y2: high, clip: true, ...EXACT, render: look });
}

function line({ x }, { role, label, values }) {
  const look = dressed({ class: `curve ${role}`, "data-curve": label });
  return Plot.line(x.values, { x: x.values, y: values, clip: true, ...EXACT, render: look });
}

/** Attributes on the group that Plot draws for a mark. */
function dressed(attributes) {
  return (index, scales, values, dimensions, context, next) => {
    const group = next(index, scales, values, dimensions, context);
    group.removeAttribute("aria-label"); // the picture is one image with one name
    for (const [name, value] of Object.entries(attributes)) group.setAttribute(name, value);
    return group;
  };
}

/** The present value: a thin line, and a dot where it crosses a whole curve. */
function present(figure) {
  return (_, { x, y }, __, size) => {
    const group = shape("g", { class: "present" });
    if (!figure.present || !within(figure.x.range, figure.present.x)) return group;
    const at = x(figure.present.x);
    group.append(shape("line", { x1: at, x2: at, y1: size.marginTop, y2: size.height - size.marginBottom }));
    for (const curve of figure.curves.filter(isWhole)) {
      const height = crossing(figure, curve, x, y);
      if (height >= size.marginTop) group.append(shape("circle", { class: curve.role, cx: at, cy: height, r: 4.5 }));
    }
    return group;
  };
}

/** How high a curve, as it is drawn, stands at the present value; NaN where it is not drawn. */
function crossing({ x: { values: xs }, present: { x: at } }, { values }, x, y) {
  const right = Math.min(Math.max(d3.bisectLeft(xs, at), 1), xs.length - 1);
  if (values[right - 1] === null || values[right] === null) return NaN;
  const share = (x(at) - x(xs[right - 1])) / (x(xs[right]) - x(xs[right - 1]));
  return y(values[right - 1]) * (1 - share) + y(values[right]) * share;
}

/** Symbol and colour of a group of dots, the same in all figures of the page. */
export function lookOf(group) {
  if (!groupsSeen.has(group)) groupsSeen.set(group, groupsSeen.size);
  const i = groupsSeen.get(group);
  return { symbol: SYMBOLS[i % SYMBOLS.length], colour: `group${i % COLOURS}` };
}

function dotMarks({ dots, groups, x }) {
  const look = (group, more = "") => dressed({ class: `dots ${lookOf(group).colour} ${more}`, "data-group": group });
  const place = { x: "x", y: "y", title: (dot) => `${dot.name}: ${dot.text}`, ...EXACT };
  const [chosen, others] = [dots.filter((dot) => dot.chosen), dots.filter((dot) => !dot.chosen)];
  return [
    ...groups.map((group) => {
      const symbol = lookOf(group).symbol;
      return Plot.dot(others.filter((dot) => dot.group === group), { ...place, r: 4, symbol, render: look(group) });
    }),
    ...chosen.map((dot) => {
      const symbol = lookOf(dot.group).symbol;
      return Plot.dot([dot], { ...place, r: 7, symbol, render: look(dot.group, "chosen") });
    }),
    ...chosen.map((dot) => name(dot, x.range)),
  ];
}

/** The name of a chosen dot on the side where there is room: over the first, under the second. */
function name(dot, [low, high]) {
  const left = dot.x > (low + high) / 2;
  return Plot.text([dot], {
    x: "x", y: "y", text: "name", textAnchor: left ? "end" : "start", dx: left ? 4 : -4, dy: dot.chosen === "b" ? 18 : -16,
    render: dressed({ class: "name", "data-name": dot.name }),
  });
}

const named = ({ label, unit }) => (unit ? `${label} [${unit}]` : label);
const within = ([low, high], value) => value >= low && value <= high;

/** The position of a tick is the x of its text. */
function axisX(spec) {
  return (_, { x }, __, { width, height, marginTop, marginBottom, marginLeft, marginRight }) => {
    const group = shape("g", { class: "axis", "data-axis": "x" });
    const foot = height - marginBottom;
    for (const [value, words] of ticks(spec, (width - marginLeft - marginRight) / 56)) {
      const at = x(value);
      group.append(shape("line", { x1: at, x2: at, y1: marginTop, y2: foot }));
      const place = { x: at, y: foot + 17, "text-anchor": "middle" };
      group.append(shape("text", { ...place, "data-value": value }, words));
    }
    group.append(shape("text", { x: width - marginRight, y: height - 4, "text-anchor": "end", class: "label" }, named(spec)));
    return group;
  };
}

/** The position of a tick is the y of its text. */
function axisY(spec) {
  return (_, { y }, __, { width, height, marginTop, marginBottom, marginLeft, marginRight }) => {
    const group = shape("g", { class: "axis", "data-axis": "y" });
    for (const [value, words] of ticks(spec, (height - marginTop - marginBottom) / 30)) {
      const at = y(value);
      group.append(shape("line", { x1: marginLeft, x2: width - marginRight, y1: at, y2: at }));
      const place = { x: marginLeft - 7, y: at, dy: "0.32em", "text-anchor": "end" };
      group.append(shape("text", { ...place, "data-value": value }, words));
    }
    group.append(shape("text", { x: 2, y: 12, "text-anchor": "start", class: "label" }, named(spec)));
    return group;
  };
}

/** Places worth naming: a letter over a vertical line; words on a horizontal one, over what they cover. */
function lines({ marks, present: now }) {
  return (_, { x, y }, __, size) => {
    const group = shape("g", { class: "marks" });
    const [left, right] = [size.marginLeft, size.width - size.marginRight];
    const [top, foot] = [size.marginTop, size.height - size.marginBottom];
    const upright = marks.filter((one) => one.letter && within([left, right], x(one.x)));
    for (const { x: at } of upright) group.append(shape("line", { x1: x(at), x2: x(at), y1: top, y2: foot }));
    const crossed = upright.map((one) => x(one.x));
    for (const mark of marks.filter((one) => one.y !== undefined && one.y !== null)) {
      const at = y(mark.y);
      if (!within([top, foot], at)) continue;
      group.append(shape("line", { x1: left, x2: right, y1: at, y2: at }));
      const words = `${mark.label} ${mark.text}`;
      const from = freePlace(words.length * LETTER, [left + 5, right - 5], crossed, now ? x(now.x) : null);
      group.append(shape("text", { x: from, "text-anchor": "start", y: at - top < 16 ? at + 14 : at - 5 }, words));
    }
    for (const [at, letters] of together(upright, x)) {
      group.append(shape("text", { x: at, y: top - 5, "text-anchor": "middle", class: "letter" }, letters));
    }
    return group;
  };
}

/** Where words of a width begin that lie on a line: clear of the present value, and across the fewest others. */
function freePlace(width, [left, right], crossed, now) {
  const covers = (from) => (at) => within([from - 4, from + width + 4], at);
  const cost = (from) => (now !== null && covers(from)(now) ? Infinity : crossed.filter(covers(from)).length);
  const places = [right - width, left, ...(now === null ? [] : [now + 6, now - 6 - width])];
  return d3.least(places.filter((from) => within([left, right - width], from)), cost) ?? left;
}

/** Letters of lines that all but touch stand together, over the middle of their lines. */
function together(marks, x) {
  const groups = [];
  for (const mark of d3.sort(marks, (one) => one.x)) {
    const last = groups.at(-1);
    if (last && x(mark.x) - x(last.at(-1).x) < 12 + LETTER * last.length) last.push(mark);
    else groups.push([mark]);
  }
  return groups.map((group) => [d3.mean(group, (one) => x(one.x)), group.map(({ letter }) => letter).join(", ")]);
}
