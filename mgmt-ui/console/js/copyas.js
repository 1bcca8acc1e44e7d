// "Copy as": what a form is about to do, as a curl command, a rabbitmqadmin command and a piece of
// a definitions file, to be kept in a script.

import { h } from "./dom.js";
import { session } from "./api.js";
import { code } from "./ui.js";

/** A word for a shell. */
const quoted = (word) => (/^[\w@%+=:,./-]+$/.test(word) ? word : `'${String(word).replaceAll("'", "'\\''")}'`);

function curl({ method, url, body }) {
  const lines = [`curl -u ${quoted(session.user?.name ?? "guest")} -X ${method} ${quoted(location.origin + url)}`];
  if (body !== undefined) lines.push("-H 'content-type: application/json'", `-d ${quoted(JSON.stringify(body))}`);
  return lines.join(" \\\n  ");
}

function rabbitmqadmin({ vhost, admin: [command, options] }) {
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  const words = given.map(([name, value]) => ` \\\n  --${name} ${quoted(typeof value === "object" ? JSON.stringify(value) : String(value))}`);
  const where = `--host ${location.hostname || "localhost"} --port ${location.port || (location.protocol === "https:" ? 443 : 80)}`;
  return `rabbitmqadmin ${where}${vhost ? ` --vhost ${quoted(vhost)}` : ""} ${command}${words.join("")}`;
}

const WAYS = [["curl", curl], ["rabbitmqadmin", (request) => request.admin && rabbitmqadmin(request)], ["definitions", (request) => request.definition && JSON.stringify(request.definition, null, 2)]];

/**
 * The part of a form that shows its request: `state` keeps what is chosen, `describe()` answers
 * {method, url, body, vhost, admin: [command, options], definition} and may throw.
 */
export function copyAs(state, describe, redraw) {
  const toggled = (event) => {
    if (state.open === event.target.open) return;
    state.open = event.target.open;
    redraw();
  };
  return h("details.copyas", { open: state.open ?? false, ontoggle: toggled }, h("summary", "Copy as curl, rabbitmqadmin or definitions"), state.open && body(state, describe, redraw));
}

function body(state, describe, redraw) {
  let request;
  try {
    request = describe();
  } catch (error) {
    return h("p.hint.bad", error.message);
  }
  const texts = WAYS.map(([name, make]) => [name, make(request)]).filter(([, text]) => text);
  const [name, text] = texts.find(([known]) => known === state.way) ?? texts[0];
  return [
    h("div.segmented", { role: "group", "aria-label": "Copy as" }, texts.map(([known]) => h("button", { key: known, type: "button", "aria-pressed": String(known === name), onclick: () => { state.way = known; redraw(); } }, known))),
    code(text, name),
  ];
}
