// Publishing by hand: where it will go is shown while typing; the last ones can be used again.

import { h } from "./dom.js";
import { path, get, post, query } from "./api.js";
import { number, plural } from "./format.js";
import { badge, button, card, field, icon, notice, toast } from "./ui.js";
import { argumentEditor, argumentsOf, rowsOf } from "./arguments.js";
import { refresh } from "./live.js";
import { names } from "./names.js";

const HISTORY = "publish-history";

export function publishForm(ctx, start) {
  const v = { vhost: start.vhost, exchange: start.exchange, key: start.key, payload: "", encoding: "string", persistent: true, contentType: "", headers: [], more: [], count: "1" };
  const draft = sessionStorage.getItem("draft");
  if (draft && start.draft) {
    sessionStorage.removeItem("draft");
    const { payload, payload_encoding, properties } = JSON.parse(draft);
    const { headers, content_type, delivery_mode, ...rest } = properties;
    Object.assign(v, { payload, encoding: payload_encoding, contentType: content_type ?? "", persistent: delivery_mode === 2, headers: rowsOf(headers), more: rowsOf(rest) });
  }
  const list = names(ctx);
  let route = null;
  let busy = false;
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
  const invalidJson = () => {
    if (!/json/.test(v.contentType) || !v.payload) return undefined;
    try {
      JSON.parse(v.payload);
      return undefined;
    } catch (failure) {
      return `Not valid JSON: ${failure.message}`;
    }
  };
  async function send(event) {
    event.preventDefault();
    busy = true;
    error = "";
    ctx.redraw();
    try {
      const properties = { delivery_mode: v.persistent ? 2 : 1, ...argumentsOf(v.more) };
      if (v.contentType) properties.content_type = v.contentType;
      const headers = argumentsOf(v.headers);
      if (Object.keys(headers).length) properties.headers = headers;
      const body = { properties, routing_key: v.key, payload: v.payload, payload_encoding: v.encoding };
      const count = Math.max(1, Math.min(10000, Number(v.count) || 1));
      let routed = 0;
      for (let i = 0; i < count; i++) routed += (await post(path("exchanges", v.vhost, v.exchange || "amq.default", "publish"), body)).routed ? 1 : 0;
      toast(routed === count ? `Published ${plural(count, "message")}` : `${number(count - routed)} of ${plural(count, "message")} reached no queue`, routed === count ? "good" : "bad");
      remember();
      refresh("/api/queues");
    } catch (failure) {
      error = failure.message;
    }
    busy = false;
    ctx.redraw();
  }
  const past = () => JSON.parse(localStorage.getItem(HISTORY) || "[]");
  function remember() {
    const entry = { ...v, count: "1" };
    const list = [entry, ...past().filter((old) => JSON.stringify(old) !== JSON.stringify(entry))].slice(0, 12);
    localStorage.setItem(HISTORY, JSON.stringify(list));
  }
  preview();
  return {
    draw: () => h("form.publish", { onsubmit: send },
      h("div.columns",
        card("Message",
          ctx.vhosts().length > 1 && !start.key && field("Virtual host", v.vhost, set("vhost"), { kind: "select", options: ctx.vhosts() }),
          list("publish-exchanges", "exchanges", v.vhost),
          field("Exchange", v.exchange, set("exchange"), { list: "publish-exchanges", hint: "Empty is the default exchange: the key names the queue." }),
          field("Routing key", v.key, set("key")),
          field("Payload", v.payload, set("payload"), { kind: "textarea", rows: 6, error: invalidJson() }),
          h("div.columns", field("Content type", v.contentType, set("contentType"), { list: "content-types" }), field("Payload is", v.encoding, set("encoding"), { kind: "select", options: [["string", "text"], ["base64", "base64"]] })),
          h("datalist", { id: "content-types" }, ["application/json", "text/plain", "application/octet-stream", "application/xml"].map((t) => h("option", { value: t }))),
          field("Persistent", v.persistent, set("persistent"), { kind: "checkbox" }),
          argumentEditor(v.headers, "headers", () => { preview(); ctx.redraw(); }, "Headers"),
          argumentEditor(v.more, "headers", ctx.redraw, "Other properties"),
          error && notice("bad", error),
          h("div.actions", field("How many", v.count, set("count"), { kind: "number", min: 1, max: 10000 }), button("Publish", null, { kind: "primary", type: "submit", why: busy ? "Publishing…" : undefined }))),
        h("div",
          card("Where it will go", routeView(route)),
          past().length > 0 && card("Published before", h("ul.history", past().map((old, i) => h("li", { key: i }, h("button", { type: "button", onclick: () => { Object.assign(v, structuredClone(old)); preview(); ctx.redraw(); } }, h("code", `${old.exchange || "default"} → ${old.key}`), h("span.quiet", old.payload.slice(0, 60)))))))))),
  };
}

/** The answer of the route tester: queues reached and each hop with its reason. */
export function routeView(route) {
  if (!route) return h("p.quiet", "…");
  if (route.error) return notice("warn", route.error);
  const [first] = route.hops;
  if (first && !first.exchange && !first.routing_key) return h("p.quiet", "Name an exchange, or a queue as routing key, and this shows every hop.");
  return [
    route.queues.length ? h("p", `Reaches ${plural(route.queues.length, "queue")}: `, h("span.marks", route.queues.map((name) => badge(name, "good")))) : notice("warn", "Reaches no queue: the message would be dropped, or returned when mandatory."),
    h("ol.hops", route.hops.map((hop, i) => h("li", { key: i },
      h("header", icon("exchange"), h("strong", hop.exchange || "default exchange"), badge(hop.type), hop.routing_key && h("code", hop.routing_key)),
      // What matched comes first: the rest explains itself when asked.
      h("ul", [...hop.bindings].sort((a, b) => b.matched - a.matched).map((b, n) => h("li", { key: n, class: b.matched ? "yes" : "no" },
        icon(b.matched ? "ok" : "close"), h("span", h("span.sr", b.matched ? "matched: " : "not matched: "), h("span.quiet", `${b.destination_type} `), h("strong", b.destination), h("span.quiet", " by "), h("code", b.routing_key || "(empty key)"), b.why && h("div.quiet.small", b.why))))),
      hop.note && h("p.quiet.small", hop.note)))),
  ];
}
