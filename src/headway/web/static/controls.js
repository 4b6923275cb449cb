// Native inputs with labels, updated in place. Each builder returns {element, update(control)}.

import { config, edits } from "./changes.js";
import { fold, isRefused, keep, make, setText, setValue } from "./dom.js";
import { change } from "./state.js";

const BUILDERS = { slider, choice, switch: toggle, several, count, config, edits };

export function controls(parent, list, choices) {
  keep(parent, list, ({ kind, name }) => `${kind} ${name}`, (control) => BUILDERS[control.kind](control, choices));
}

const frame = (kind, name, ...children) => make("div", { class: `control ${kind}`, "data-control": name }, ...children);

/** A label bound to an input by its id. */
const labelled = (id, text) => make("label", { for: id }, text);

function slider({ name, label, unit }) {
  let stops = [];
  const range = make("input", { type: "range", id: name, name, min: 0, step: 1 });
  const exact = make("input", { type: "text", id: `${name}-exact`, "aria-label": `${label}, exact value`, inputmode: "text",
    autocomplete: "off", spellcheck: "false" });
  const hint = make("small", { id: `${name}-hint` });
  const tell = (text) => range.setAttribute("aria-valuetext", `${text} ${unit}`);
  range.addEventListener("input", (event) => {
    const value = stops[range.value];
    exact.value = value.toLocaleString("en");
    tell(exact.value);
    change(event, name, [value]);
  });
  exact.addEventListener("change", (event) => change(event, name, [exact.value.trim()]));
  const typed = make("span", { class: "typed" }, exact, make("span", { class: "unit" }, unit));
  return {
    element: frame("slider", name, make("div", { class: "line" }, labelled(name, label), typed), range, hint),
    update(control) {
      if (stops.join() !== control.stops.join()) {
        stops = control.stops;
        range.max = stops.length - 1;
      }
      if (!isRefused(range)) range.value = d3.bisectCenter(stops, control.value);
      tell(control.text);
      setValue(exact, control.text);
      setText(hint, control.hint ?? "");
    },
  };
}

function choice({ name, label }, choices) {
  const select = make("select", { id: name, name });
  const isChip = (value) => choices.chips.includes(value);
  select.addEventListener("change", (event) => {
    if (!machines.has(name)) return change(event, name, select.value ? [select.value] : []);
    const { of, count: before } = machines.get(name);
    change(event, name, machine(name, select.value, isChip(of) && isChip(select.value) ? before : 1));
  });
  return {
    element: frame("choice", name, labelled(name, label), select),
    update({ options, value }) {
      const groups = typeof options === "string" ? choices[options] : options;
      if (select.shown !== groups) select.replaceChildren(...groups.map(option));
      select.shown = groups;
      select.querySelector("[data-other]")?.remove();
      if (isRefused(select)) return;
      if (![...select.options].some((one) => one.value === value)) {
        select.prepend(make("option", { value, "data-other": true }, value || "your own"));
      }
      select.value = value;
    },
  };
}

/** [group, [names...]] or [value, text]. */
function option([first, second]) {
  if (typeof second === "string") return make("option", { value: first }, second);
  return make("optgroup", { label: first }, ...second.map((name) => make("option", { value: name }, name)));
}

function toggle({ name, label }) {
  const box = make("input", { type: "checkbox", id: name, name });
  box.addEventListener("change", (event) => change(event, name, box.checked ? ["1"] : []));
  return {
    element: frame("switch", name, make("label", { class: "tick" }, box, label)),
    update({ value }) {
      if (!isRefused(box)) box.checked = value;
    },
  };
}

function several({ name, label, options, most }) {
  const boxes = options.map(([value]) => make("input", { type: "checkbox", name, value }));
  for (const box of boxes) {
    const values = (before) => [...before.filter((one) => one !== box.value), ...(box.checked ? [box.value] : [])];
    box.addEventListener("change", (event) => change(event, name, values, { control: `${name} ${box.value}` }));
  }
  const lines = options.map(([, text], i) => make("label", { class: "tick" }, boxes[i], text));
  const legend = most < options.length ? `${label} (${most} at most)` : label;
  const holder = make("div", { class: "several", role: "group", "aria-label": legend }, ...lines);
  return {
    element: fold({ class: "control", "data-control": name }, legend, holder),
    update({ value, forced }) {
      for (const box of boxes.filter((one) => !isRefused(one))) {
        const must = forced.includes(box.value);
        box.checked = must || value.includes(box.value);
        box.disabled = must || (!box.checked && value.length >= most);
      }
    },
  };
}

// A machine and how many of it are two controls and one field of the query.
const machines = new Map();

function machine(name, of, number) {
  machines.set(name, { of, count: number });
  return [Number(number) === 1 ? of : `${of}:${number}`];
}

/** How many chips, beside the choice of the machine. */
function count({ name, label }) {
  const id = `${name}-count`;
  const number = make("input", { type: "number", id, min: 1, step: 1 });
  number.addEventListener("change", (event) => change(event, name, machine(name, machines.get(name).of, number.value || 1)));
  return {
    element: frame("count", name, labelled(id, label), number),
    update({ of, value }) {
      machines.set(name, { of, count: value });
      setValue(number, value);
    },
  };
}
