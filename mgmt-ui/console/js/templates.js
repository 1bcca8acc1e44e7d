// What the publish form keeps in this browser: templates under a name, and what was published
// lately.

import { h } from "./dom.js";
import { badge, button, card, toast } from "./ui.js";

const HISTORY = "publish-history";
const TEMPLATES = "publish-templates";
const HISTORY_MAX = 12;
// Larger payloads are not kept.
const KEPT_CHARS = 20000;

const read = (name, otherwise) => JSON.parse(localStorage.getItem(name) || "null") ?? otherwise;

function write(name, value) {
  try {
    localStorage.setItem(name, JSON.stringify(value));
  } catch {
    toast("The browser has no room to keep this", "bad");
  }
}

/** `use(values)` fills the form, `values()` are what is in it. */
export function kept(use, values, redraw) {
  const templates = () => read(TEMPLATES, {});
  const entry = (old, label) => h("button", { type: "button", onclick: () => use(old) },
    h("span", label && h("strong", label), label && " ", h("code", `${old.exchange || "default"} → ${old.key || "(empty)"}`), old.headers?.length > 0 && [" ", badge(`${old.headers.length} headers`)]),
    h("span.quiet", old.payload.slice(0, 80) || "(empty)"));
  const save = (name) => {
    if (!name) return toast("Give the template a name first", "bad");
    if (values().payload.length > KEPT_CHARS) return toast("The payload is too long to be kept here", "bad");
    write(TEMPLATES, { ...templates(), [name]: values() });
    toast(`Template ${name} is kept in this browser`);
    redraw();
  };
  const forget = (name) => {
    const { [name]: gone, ...others } = templates();
    write(TEMPLATES, others);
    redraw();
  };
  const nameField = () => document.getElementById("template-name");
  const saveNamed = () => {
    save(nameField().value.trim());
    nameField().value = "";
  };
  return {
    remember(message) {
      if (message.payload.length > KEPT_CHARS) return;
      const known = JSON.stringify(message);
      write(HISTORY, [message, ...read(HISTORY, []).filter((old) => JSON.stringify(old) !== known)].slice(0, HISTORY_MAX));
    },
    draw() {
      const named = Object.entries(templates());
      const past = read(HISTORY, []);
      return [
        card("Templates",
          named.length ? h("ul.history", named.map(([name, old]) => h("li", { key: name }, entry(old, name), button("", () => forget(name), { small: true, icon: "close", title: `Forget template ${name}` })))) : h("p.quiet", "A template keeps this message in your browser, to be published again."),
          h("div.row.save", h("input", { id: "template-name", "aria-label": "Name of the template", placeholder: "Keep this message as…", onkeydown: (event) => { if (event.key === "Enter") { event.preventDefault(); saveNamed(); } } }), button("Save", saveNamed))),
        past.length > 0 && card("Published before", { aside: button("Forget", () => { write(HISTORY, []); redraw(); }, { small: true }) }, h("ul.history", past.map((old, i) => h("li", { key: i }, entry(old))))),
      ];
    },
  };
}
