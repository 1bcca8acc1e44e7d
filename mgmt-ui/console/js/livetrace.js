// Messages as they pass: a sample of what is published, delivered and dead-lettered, by exchange,
// key or queue.

import { h } from "./dom.js";
import { query } from "./api.js";
import { href } from "./router.js";
import { bytes, number, peer, plural } from "./format.js";
import { follow } from "./stream.js";
import { badge, button, card, field, heading, notice } from "./ui.js";

const SHOWN_MAX = 200;

/** `values()` says which vhost, exchange and key are of interest. */
export function liveTrace(ctx, values) {
  const state = { running: false, items: [], leftOut: 0, queue: "", rate: "20", paused: false, ended: false, number: 0 };
  let stop = () => {};
  const end = () => {
    stop();
    state.running = false;
  };
  ctx.onEnd(end);
  const begin = () => {
    end();
    const { vhost, exchange, routing_key } = values();
    Object.assign(state, { running: true, ended: false, items: [], leftOut: 0 });
    stop = follow("/api/console/trace" + query({ vhost, exchange, key: routing_key, queue: state.queue, rate: state.rate }), "seen", (data) => {
      const items = data.items.map((item) => ({ ...item, at_ms: data.at_ms, id: ++state.number }));
      state.items = [...items.reverse(), ...state.items].slice(0, SHOWN_MAX);
      state.leftOut += data.left_out;
      ctx.redraw();
    }, (how) => {
      if (how === "ended") Object.assign(state, { running: false, ended: true });
      ctx.redraw();
    }, { again: false });
    ctx.redraw();
  };
  const why = ctx.may("administrator") ? undefined : "Needs the administrator tag: it shows what is in messages";
  return () => {
    const { exchange, routing_key } = values();
    return card("Trace live", { aside: state.running ? button("Stop", () => { end(); ctx.redraw(); }, { small: true, icon: "pause" }) : button("Start", begin, { small: true, kind: "primary", icon: "play", why }) },
      h("p.quiet", "A sample of what really passes ", exchange ? ["through ", h("strong", exchange)] : "through all exchanges", routing_key && [" with ", h("code", routing_key), " in its key"], ", as chosen above: published, delivered, dead-lettered. It takes nothing away from anybody."),
      h("div.columns", field("Only to or from queue", state.queue, (value) => (state.queue = value), { id: "trace-queue" }), field("At most, a second", state.rate, (value) => (state.rate = value), { id: "trace-rate", kind: "select", options: ["5", "20", "50", "200"] })),
      state.ended && notice("warn", "The trace has ended: it lasts ten minutes at most, and few may look at a time."),
      state.running && !state.items.length && h("p.quiet", { role: "status" }, "Waiting for the next message…"),
      state.items.length > 0 && [
        state.leftOut > 0 && h("p.quiet.small", `${plural(state.leftOut, "message")} more passed than the rate lets through.`),
        h("div.scroll.trace", h("table.plain", h("thead", h("tr", ["Time", "What", "Exchange", "Routing key", "Queues", "Client", "Size", "Body"].map(heading))),
          h("tbody", state.items.map((item) => h("tr", { key: item.id },
            h("td", new Date(item.at_ms).toLocaleTimeString("en-GB")), h("td", mark(item)), h("td", item.exchange || h("span.quiet", "default")), h("td", h("code", item.routing_key)), h("td", queues(values().vhost, item)),
            h("td", item.client ? h("a", { href: href("connections", item.client.connection), title: `${item.client.connection} as ${item.client.user}` }, item.client.name ?? peer(item.client.connection)) : h("span.quiet", "the broker")), h("td.num", bytes(item.bytes)), h("td.cut", h("code", item.body))))))),
        h("p.quiet.small", `The last ${number(state.items.length)} of those seen.`)]);
  };
}

function mark(item) {
  if (item.what === "died") return badge(`died: ${item.death.reason}`, "bad");
  if (item.what === "delivered") return badge(item.redelivered ? "redelivered" : "delivered", item.redelivered ? "warn" : "accent");
  return badge("published", "good");
}

function queues(vhost, item) {
  const link = (name) => h("a", { key: name, href: href("queues", vhost, name) }, name);
  if (item.what === "died") return [link(item.death.queue), " → ", item.queues.length ? item.queues.map(link) : h("span.quiet", "nowhere")];
  if (!item.queues.length) return badge("no queue", "warn");
  return h("span.marks", item.queues.slice(0, 4).map(link), item.queues.length > 4 && h("span.quiet", `and ${item.queues.length - 4} more`));
}
