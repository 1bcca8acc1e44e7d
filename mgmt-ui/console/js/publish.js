// Publishing by hand: where it will go is shown while typing; templates and what was published
// before are kept in this browser.

import { h } from "./dom.js";
import { path, post } from "./api.js";
import { number, plural } from "./format.js";
import { button, card, field, notice, toast } from "./ui.js";
import { argumentEditor, argumentsOf, rowsOf } from "./arguments.js";
import { copyAs } from "./copyas.js";
import { refresh } from "./live.js";
import { names } from "./names.js";
import { kept } from "./templates.js";
import { routeView } from "./routeview.js";

const COUNT_MAX = 10000;
const TYPES = ["application/json", "text/plain", "application/octet-stream", "application/xml"];

/** What the fields are before anything is typed; only these are kept in templates. */
const EMPTY = { payload: "", encoding: "string", persistent: true, contentType: "", headers: [], more: [], count: "1" };

export function publishForm(ctx, start) {
  const v = { vhost: start.vhost, exchange: start.exchange, key: start.key, ...structuredClone(EMPTY) };
  takeDraft(v, start);
  const list = names(ctx);
  const copying = {};
  let route = null;
  let sending = null; // {done, count, stop} while it publishes
  let error = "";
  let timer = 0;
  const preview = () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      try {
        route = await post("/api/console/route-test", { vhost: v.vhost, exchange: v.exchange, routing_key: v.key, headers: argumentsOf(v.headers) });
      } catch (failure) {
        route = { error: failure.message };
      }
      ctx.redraw();
    }, 150);
  };
  const set = (name) => (value) => {
    v[name] = value;
    if (["vhost", "exchange", "key"].includes(name)) preview();
    ctx.redraw();
  };
  const target = () => path("exchanges", v.vhost, v.exchange || "amq.default", "publish");

  async function send(event) {
    event.preventDefault();
    error = "";
    const count = Math.max(1, Math.min(COUNT_MAX, Math.floor(Number(v.count)) || 1));
    sending = { done: 0, count, stop: false };
    let routed = 0;
    try {
      for (; sending.done < count && !sending.stop; sending.done++) {
        ctx.redraw();
        routed += (await post(target(), message(v, sending.done + 1))).routed ? 1 : 0;
      }
      const to = routed && route?.queues?.length ? ` to ${route.queues.slice(0, 3).join(", ")}${route.queues.length > 3 ? " …" : ""}` : "";
      toast(routed === sending.done ? `Published ${plural(routed, "message")}${to}` : `${number(sending.done - routed)} of ${plural(sending.done, "message")} reached no queue`, routed === sending.done ? "good" : "bad");
      store.remember({ ...v, count: "1" });
      refresh("/api/queues");
    } catch (failure) {
      error = sending.done ? `After ${plural(sending.done, "message")}: ${failure.message}` : failure.message;
    }
    sending = null;
    ctx.redraw();
  }
  const store = kept((old) => {
    const { vhost, exchange, key, ...rest } = structuredClone(old);
    Object.assign(v, EMPTY, rest, start.bound ? {} : { vhost, exchange, key });
    preview();
    ctx.redraw();
  }, () => ({ ...v }), ctx.redraw);
  preview();
  return {
    draw: () => h("form.publish", { onsubmit: send },
      h("div.columns",
        card("Message",
          ctx.vhosts().length > 1 && !start.bound && field("Virtual host", v.vhost, set("vhost"), { kind: "select", options: ctx.vhosts() }),
          list("publish-exchanges", "exchanges", v.vhost), !v.exchange && list("publish-queues", "queues", v.vhost),
          h("div.columns", field("Exchange", v.exchange, set("exchange"), { list: "publish-exchanges", placeholder: "default", hint: v.exchange ? undefined : "Empty is the default exchange: the key names the queue." }),
            field("Routing key", v.key, set("key"), { list: v.exchange ? undefined : "publish-queues" })),
          field("Payload", v.payload, set("payload"), { kind: "textarea", rows: 7, error: invalid(v), hint: placeholders(v) }),
          looksLikeJson(v) && h("div.under", button("Lay out", () => set("payload")(JSON.stringify(JSON.parse(v.payload), null, 2)), { small: true, title: "Lay out the JSON" }), !/json/.test(v.contentType) && button("Set application/json", () => set("contentType")("application/json"), { small: true })),
          h("div.columns", field("Content type", v.contentType, set("contentType"), { list: "content-types" }), field("Payload is", v.encoding, set("encoding"), { kind: "select", options: [["string", "text"], ["base64", "base64"]] })),
          h("datalist", { id: "content-types" }, TYPES.map((t) => h("option", { value: t }))),
          field("Persistent: survives a restart in a durable queue", v.persistent, set("persistent"), { kind: "checkbox", id: "f-persistent" }),
          argumentEditor(v.headers, "headers", () => { preview(); ctx.redraw(); }, "Headers"),
          argumentEditor(v.more, "properties", ctx.redraw, "Other properties"),
          copyAs(copying, () => request(v, target()), ctx.redraw),
          error && notice("bad", error),
          h("div.actions.publishing",
            sending && h("span.quiet", { role: "status" }, `${number(sending.done)} of ${number(sending.count)}`),
            sending && sending.count > 1 && button("Stop", () => { sending.stop = true; }, { kind: "danger" }),
            field("How many", v.count, set("count"), { kind: "number", min: 1, max: COUNT_MAX }),
            button(Number(v.count) > 1 ? `Publish ${number(Math.min(COUNT_MAX, Number(v.count)))}` : "Publish", null, { kind: "primary", type: "submit", why: sending ? "Publishing…" : invalid(v) }))),
        h("div", card("Where it will go", routeView(route)), store.draw()))),
  };
}

/** What another page left to be edited: a message that was looked at. */
function takeDraft(v, start) {
  const draft = sessionStorage.getItem("draft");
  if (!draft || !start.draft) return;
  sessionStorage.removeItem("draft");
  const { payload, payload_encoding, properties } = JSON.parse(draft);
  const { headers, content_type, delivery_mode, ...rest } = properties;
  Object.assign(v, { payload, encoding: payload_encoding, contentType: content_type ?? "", persistent: delivery_mode === 2, headers: rowsOf(headers), more: rowsOf(rest) });
}

/** The message of a publish request, the n-th of a series. */
function message(v, n) {
  const properties = { delivery_mode: v.persistent ? 2 : 1, ...argumentsOf(v.more) };
  if (v.contentType) properties.content_type = v.contentType;
  const headers = argumentsOf(v.headers);
  if (Object.keys(headers).length) properties.headers = headers;
  const fill = (text) => (v.encoding === "string" ? text.replaceAll("{{n}}", n).replaceAll("{{now}}", new Date().toISOString()).replaceAll("{{id}}", () => crypto.randomUUID?.() ?? Math.random().toString(16).slice(2)) : text);
  return { properties, routing_key: v.key, payload: fill(v.payload), payload_encoding: v.encoding };
}

function request(v, url) {
  const body = message(v, 1);
  return {
    method: "POST", url, body, vhost: v.vhost,
    admin: v.encoding === "string" ? ["publish message", { exchange: v.exchange, "routing-key": v.key, payload: body.payload, properties: body.properties }] : null,
  };
}

function placeholders(v) {
  return Number(v.count) > 1 && v.encoding === "string" ? "{{n}} becomes the number of the message, {{now}} the time, {{id}} a new id." : undefined;
}

function parses(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

const looksLikeJson = (v) => v.encoding === "string" && /^\s*[[{]/.test(v.payload) && parses(v.payload);

/** What is wrong with the payload, if anything. */
function invalid(v) {
  if (v.encoding === "base64") return /^[A-Za-z0-9+/\s]*={0,2}\s*$/.test(v.payload) ? undefined : "Not base64";
  if (!/json/.test(v.contentType) || !v.payload) return undefined;
  try {
    JSON.parse(message({ ...v, headers: [], more: [] }, 1).payload);
    return undefined;
  } catch (failure) {
    return `Not valid JSON: ${failure.message}`;
  }
}
