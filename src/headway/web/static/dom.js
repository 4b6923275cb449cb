// Small tools to build the page and to bring it up to date in place.

/** An element with attributes and children; an attribute that is false, null or undefined is left out. */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

/** The same in the language of drawings. */
export function shape(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  setAttributes(element, attributes);
  element.append(...children);
  return element;
}

function setAttributes(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value === true ? "" : value);
  }
}

/** A part that can be folded away, open where there is room beside the figures. */
export function fold(attributes, title, ...children) {
  const open = matchMedia("(min-width: 900px)").matches;
  return make("details", { ...attributes, class: `fold ${attributes.class ?? ""}`, open }, make("summary", {}, title), ...children);
}

let typing = null;
addEventListener("input", ({ target }) => (typing = target));
for (const done of ["change", "focusout"]) addEventListener(done, () => (typing = null));

export const isRefused = (input) => input.hasAttribute("aria-invalid");

/** Give a text box its value, unless somebody is typing in it, or it was refused and is theirs to put right. */
export function setValue(input, value) {
  if (input !== typing && !isRefused(input)) input.value = value;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * Bring the children of a parent in line with a list of items. What has the same key is kept and updated, and moved only
 * where the order changed, since moving takes the focus away. `build(item)` returns {element, update(item)}.
 */
export function keep(parent, items, keyOf, build) {
  const old = parent.parts ?? new Map();
  parent.parts = new Map(items.map((item) => [keyOf(item), old.get(keyOf(item)) ?? build(item)]));
  for (const [key, part] of old) if (!parent.parts.has(key)) part.element.remove();
  let next = parent.firstElementChild;
  for (const item of items) {
    const part = parent.parts.get(keyOf(item));
    if (part.element === next) next = next.nextElementSibling;
    else parent.insertBefore(part.element, next);
    part.update(item);
  }
}

/** Build the children of a parent anew where what they show has changed. For parts that never have the focus. */
export function renew(parent, shown, build) {
  const text = JSON.stringify(shown);
  if (parent.shown === text) return;
  parent.shown = text;
  parent.replaceChildren(...build(shown));
}
