// Editing a table of arguments: names with their types, the known ones one click away.

import { h } from "./dom.js";
import { path } from "./api.js";
import { button } from "./ui.js";

const KNOWN = {
  queue: [["x-message-ttl", "number", "Message TTL (ms)"], ["x-expires", "number", "Queue expires after (ms unused)"], ["x-max-length", "number", "Max length (messages)"], ["x-max-length-bytes", "number", "Max length (bytes)"], ["x-overflow", "string", "Overflow"], ["x-dead-letter-exchange", "string", "Dead-letter exchange"], ["x-dead-letter-routing-key", "string", "Dead-letter key"], ["x-max-priority", "number", "Max priority"], ["x-single-active-consumer", "boolean", "Single active consumer"], ["x-delivery-limit", "number", "Delivery limit"]],
  exchange: [["alternate-exchange", "string", "Alternate exchange"]],
  headers: [],
  properties: [["priority", "number", "Priority"], ["expiration", "string", "Expiration (ms)"], ["correlation_id", "string", "Correlation id"], ["reply_to", "string", "Reply to"], ["message_id", "string", "Message id"], ["timestamp", "number", "Timestamp (s)"], ["type", "string", "Type"], ["app_id", "string", "App id"], ["content_encoding", "string", "Content encoding"], ["user_id", "string", "User id"]],
  binding: [["x-match", "string", "x-match"]],
  policy: [["message-ttl", "number", "Message TTL (ms)"], ["expires", "number", "Expires (ms)"], ["max-length", "number", "Max length"], ["max-length-bytes", "number", "Max bytes"], ["overflow", "string", "Overflow"], ["dead-letter-exchange", "string", "DLX"], ["dead-letter-routing-key", "string", "DL key"], ["delivery-limit", "number", "Delivery limit"], ["consumer-timeout", "number", "Consumer timeout (ms)"], ["alternate-exchange", "string", "Alternate exchange"], ["queue-mode", "string", "Queue mode"], ["ha-mode", "string", "HA mode"]],
};

/** Rows `[{name, type, value}]` edited in place. */
export function argumentEditor(rows, kind, redraw, label = "Arguments") {
  const add = (name = "", type = "string") => {
    rows.push({ name, type, value: type === "boolean" ? "true" : "" });
    redraw();
  };
  return h("fieldset.arguments", h("legend", label),
    rows.map((row, i) => h("div.row", { key: i },
      h("input", { "aria-label": "Argument name", value: row.name, placeholder: "name", oninput: (event) => { row.name = event.target.value; redraw(); } }),
      h("select", { "aria-label": `Type of ${row.name || "argument"}`, value: row.type, onchange: (event) => { row.type = event.target.value; redraw(); } }, ["string", "number", "boolean", "list", "json"].map((type) => h("option", { value: type }, type))),
      row.type === "boolean"
        ? h("select", { "aria-label": `Value of ${row.name}`, value: row.value, onchange: (event) => { row.value = event.target.value; redraw(); } }, h("option", { value: "true" }, "true"), h("option", { value: "false" }, "false"))
        : h("input", { "aria-label": `Value of ${row.name || "argument"}`, value: row.value, placeholder: { number: "0", list: "a, b, c", json: "{}" }[row.type] ?? "value", inputmode: row.type === "number" ? "numeric" : undefined, "aria-invalid": wrong(row) ? "true" : undefined, title: wrong(row), oninput: (event) => { row.value = event.target.value; redraw(); } }),
      button("", () => { rows.splice(i, 1); redraw(); }, { small: true, icon: "close", title: `Remove ${row.name || "argument"}` }))),
    h("div.chips", KNOWN[kind].filter(([name]) => !rows.some((row) => row.name === name)).map(([name, type, text]) => button(text, () => add(name, type), { small: true, title: name })), kind !== "properties" && button(KNOWN[kind].length ? "Other…" : "Add", () => add(), { small: true })));
}

/** What is wrong with a row, if anything. */
function wrong({ name, type, value }) {
  if (type === "number" && (value.trim() === "" || Number.isNaN(Number(value)))) return `${name}: "${value}" is not a number`;
  if (type !== "json") return undefined;
  try {
    JSON.parse(value);
    return undefined;
  } catch {
    return `${name}: not valid JSON`;
  }
}

/** The JSON object the rows stand for; throws what is wrong with them. */
export function argumentsOf(rows) {
  const out = {};
  for (const row of rows) {
    const { name, type, value } = row;
    if (!name.trim()) continue;
    const error = wrong(row);
    if (error) throw new Error(error);
    if (type === "number") out[name] = Number(value);
    else if (type === "boolean") out[name] = value === "true";
    else if (type === "list") out[name] = value.split(",").map((item) => item.trim()).filter(Boolean);
    else if (type === "json") out[name] = JSON.parse(value);
    else out[name] = value;
  }
  return out;
}

/** Rows for an object, to be edited. */
export function rowsOf(object) {
  return Object.entries(object ?? {}).map(([name, value]) => {
    if (typeof value === "number" || typeof value === "boolean" || typeof value === "string") return { name, type: typeof value, value: String(value) };
    return { name, type: "json", value: JSON.stringify(value) };
  });
}

/** An object shown as small pairs. */
export function argumentList(object) {
  const pairs = Object.entries(object ?? {});
  return pairs.length ? h("span.marks", pairs.map(([name, value]) => h("code.pair", { key: name }, `${name}: ${typeof value === "string" ? value : JSON.stringify(value)}`))) : h("span.quiet", "none");
}

/** The request that binds, for "copy as"; `to` is a queue ("q") or an exchange ("e"). */
export function bindingRequest(vhost, source, to, destination, { key, arguments: rows }) {
  const given = argumentsOf(rows);
  const destination_type = to === "q" ? "queue" : "exchange";
  return {
    method: "POST", url: path("bindings", vhost, "e", source, to, destination), body: { routing_key: key, arguments: given }, vhost,
    admin: ["bindings declare", { source, "destination-type": destination_type, destination, "routing-key": key, arguments: given }],
    definition: { bindings: [{ vhost, source, destination, destination_type, routing_key: key, arguments: given }] },
  };
}
