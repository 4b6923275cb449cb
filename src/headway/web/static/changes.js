// A model of one's own, and numbers of one's own.

import { keep, make, renew, setText, setValue } from "./dom.js";
import { beside, change, given, refuse } from "./state.js";

/** base64url of deflate-raw; a RangeError where that is longer than an address may hold. */
async function pack(text, longest) {
  const packed = new Blob([text]).stream().pipeThrough(new CompressionStream("deflate-raw"));
  const bytes = new Uint8Array(await new Response(packed).arrayBuffer());
  const letters = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  if (letters.length > longest) {
    const [found, most] = [letters.length, longest].map((size) => size.toLocaleString("en"));
    throw new RangeError(`This config takes ${found} characters of the address when packed, and at most ${most} fit.`);
  }
  return letters.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

/** Paste, choose or drop a config.json; it goes nowhere but into the address. */
export function config({ name, label, longest, largest_bytes: largest }) {
  const text = make("textarea", { id: name, rows: 6, spellcheck: "false", autocomplete: "off" });
  const file = make("input", { type: "file", id: `${name}-file`, accept: ".json,application/json" });
  const use = make("button", { type: "button" }, "Use this config");
  const back = make("button", { type: "button" }, "Back to the catalog");
  const inUse = make("p", { class: "in-use", hidden: true }, make("span", {}, "In use: "), make("b"), back);
  const title = inUse.querySelector("b");
  let source = "";
  const read = async (chosen) => {
    element.open = true; // a file may be dropped on it when it is folded
    if (chosen.size > largest) return refuse(name, text, `${chosen.name} is larger than ${largest.toLocaleString("en")} bytes.`);
    text.value = await chosen.text();
    source = chosen.name;
  };
  file.addEventListener("change", () => file.files[0] && read(file.files[0]));
  text.addEventListener("input", () => (source = ""));
  use.addEventListener("click", (event) => {
    const typed = text.value;
    change(event, name, async () => [await pack(typed, longest)], { input: text });
  });
  back.addEventListener("click", (event) => {
    change(event, name, [], { input: null });
    element.querySelector("summary").focus(); // the button goes away
  });
  const element = make("details", { class: "control own", "data-control": name }, make("summary", {}, label),
    make("label", { for: text.id }, "The text of a config.json"), text,
    make("label", { for: file.id }, "or a file, chosen or dropped here"), file, use);
  element.addEventListener("dragover", (event) => event.preventDefault());
  element.addEventListener("drop", (event) => {
    event.preventDefault();
    if (event.dataTransfer.files[0]) read(event.dataTransfer.files[0]);
  });
  return {
    element: make("div", {}, element, inUse),
    update({ value }) {
      inUse.hidden = !value;
      setText(title, source || "a pasted config.json");
    },
  };
}

const nameOf = (edit) => edit.split("=", 1)[0];

/** Replace or remove one of the numbers changed by hand. */
function edit(event, field, name, text, input) {
  const values = (before) => [...before.filter((one) => nameOf(one) !== name), ...(text ? [`${name}=${text}`] : [])];
  change(event, field, values, { input, control: `${field} ${name}` });
}

export function edits({ name: field, label }) {
  const column = field.startsWith("vs_") ? "b" : "a";
  const list = make("ul", { class: "edited" });
  const numbers = make("ul", { class: "numbers", "aria-label": "Numbers that may be changed" });
  const problem = make("p", { role: "alert" });
  const element = make("details", { class: "control edits", "data-control": field }, make("summary", {}, label), problem, numbers,
    freeRow(field));
  const load = async () => {
    const answer = await beside("inputs.json", { column });
    if (!answer) return;
    setText(problem, answer.error ?? "");
    keep(numbers, answer.inputs ?? [], (input) => input.name, (input) => row(field, input));
  };
  element.addEventListener("toggle", () => element.open && load());
  element.addEventListener("settled", load);
  return {
    element: make("div", {}, element, list),
    update({ value }) {
      renew(list, value, (pairs) => pairs.map(([name, text]) => edited(field, name, text, element)));
    },
  };
}

/** A number, what it is now and where that is from; what is typed is sent when it is done. */
function row(field, { name }) {
  const id = `${field}-${name}`;
  const typed = make("input", { type: "text", id, "aria-describedby": `${id}-now`, autocomplete: "off", spellcheck: "false" });
  typed.addEventListener("change", (event) => edit(event, field, name, typed.value.trim(), typed));
  const present = make("span");
  const origin = make("small");
  const now = make("p", { id: `${id}-now` }, present, " ", origin);
  return {
    element: make("li", {}, make("label", { for: id }, make("code", {}, name)), now, typed),
    update(input) {
      setText(present, input.value);
      setText(origin, input.origin);
      origin.title = input.origin; // shown in full where it is cut
      const own = given(field).find((one) => nameOf(one) === name);
      setValue(typed, own ? own.slice(name.length + 1) : "");
    },
  };
}

/** Any other number, such as a field of the config. */
function freeRow(field) {
  const typed = (id) => make("input", { type: "text", id, autocomplete: "off", spellcheck: "false" });
  const [name, value] = [typed(`${field}-other`), typed(`${field}-other-value`)];
  const button = make("button", { type: "button" }, "Set");
  button.addEventListener("click", (event) => edit(event, field, name.value.trim(), value.value.trim(), name));
  return make("div", { class: "free" }, make("label", { for: name.id }, "Another, by name"), name,
    make("label", { for: value.id }, "Its value"), value, button);
}

function edited(field, name, text, opener) {
  const remove = make("button", { type: "button", "aria-label": `Remove ${name}` }, "remove");
  remove.addEventListener("click", (event) => {
    edit(event, field, name, "", null);
    opener.querySelector("summary").focus(); // the button goes away
  });
  return make("li", {}, make("code", {}, `${name} = ${text}`), " ", remove);
}
