// Who consumes from a queue and what they hold: cancel, pause and resume, the oldest deliveries
// that nobody has settled.

import { h } from "./dom.js";
import { path, post } from "./api.js";
import { href } from "./router.js";
import { bytes, duration, number, peer, plural } from "./format.js";
import { attempt, badge, button, confirmDestroy, empty, icon, stateMark } from "./ui.js";
import { refresh } from "./live.js";

const heads = (...labels) => h("thead", h("tr", labels.map((label) => h("th", { scope: "col", key: label, class: /^#/.test(label) ? "num" : "" }, label.replace("#", "") || h("span.sr", "Actions")))));

/** `state.unacked` is what `/api/console/queues/.../unacked` answers. */
export function consumerViews(vhost, queue) {
  const url = path("console", "queues", vhost, queue, "consumers");
  const operate = (action, c) => attempt(async () => {
    await post(url, { action, channel: c.channel, consumer_tag: c.consumer_tag });
    refresh("/api/");
  }, { cancel: "Cancelled", pause: "Paused", resume: "Resumed" }[action]);
  const cancel = async (c) => {
    const lines = [`The client of ${c.client || c.channel || "this consumer"} is told with basic.cancel; many clients do not subscribe again by themselves.`, `${plural(c.in_flight, "unacked delivery", "unacked deliveries")} stay with it until it settles them or disconnects.`];
    if (await confirmDestroy(`Cancel consumer ${c.consumer_tag}?`, lines, "Cancel consumer")) await operate("cancel", c);
  };
  const state = (c) => (c.paused ? "paused" : c.waiting ? "waiting" : c.prefetch && c.in_flight >= c.prefetch ? "full" : "up");
  return {
    consumers(data) {
      if (!data) return h("p.quiet", "Loading…");
      if (!data.consumers.length) return empty("No consumers", "Messages wait here until a client consumes from this queue.");
      return h("div.scroll", h("table.plain", heads("Consumer", "State", "User", "#Prefetch", "#Unacked", "#Settled", "Acks", ""),
        h("tbody", data.consumers.map((c) => h("tr", { key: `${c.channel}|${c.consumer_tag}` },
          h("td", h("strong", c.client || c.consumer_tag), c.exclusive && badge("exclusive"), h("div.quiet.small", c.client && h("code", c.consumer_tag), c.client && " on ", c.channel && h("a", { href: href("channels", c.channel), title: c.channel }, peer(c.channel)))),
          h("td", stateMark(state(c))), h("td", c.user ?? "–"), h("td.num", c.prefetch ? number(c.prefetch) : "∞"), h("td.num", number(c.in_flight)), h("td.num", number(c.settled)), h("td", c.ack_required ? "manual" : "automatic"),
          h("td.actions-cell", button(c.paused ? "Resume" : "Pause", () => operate(c.paused ? "resume" : "pause", c), { small: true, icon: c.paused ? "play" : "pause" }), button("Cancel", () => cancel(c), { small: true, kind: "danger" })))))));
    },
    unacked(data) {
      if (!data) return h("p.quiet", "Loading…");
      if (!data.held.length) return empty("Nothing is unacked", data.total ? "What is unacked here is being settled right now." : "Every message that was delivered has been settled.");
      return [
        h("p.aside", icon("help"), `${plural(data.total, "message")} delivered and not settled. The oldest are shown; they go back to the queue when their channel closes.`),
        h("div.scroll", h("table.plain", heads("#Held for", "Holder", "Routing key", "#Size", "#Delivery tag", "#Message"),
          h("tbody", data.held.map((m) => h("tr", { key: `${m.channel}|${m.delivery_tag}` },
            h("td.num", h("strong", { class: m.age_ms > 600000 ? "late" : "" }, duration(Math.floor(m.age_ms / 1000) * 1000))),
            h("td", m.consumer_tag ? h("code", m.consumer_tag) : h("span.quiet", "basic.get"), h("div.quiet.small", h("a", { href: href("channels", m.channel), title: m.channel }, peer(m.channel)), ` by ${m.user}`)),
            h("td", m.routing_key === null ? h("span.quiet", "in the log only") : h("code", m.routing_key), m.redelivered && [" ", badge("redelivered", "warn")]),
            h("td.num", bytes(m.bytes)), h("td.num", number(m.delivery_tag)), h("td.num.quiet", `#${m.seq}`)))))),
      ];
    },
  };
}

/** Holds back what a queue delivers, or lets it go on. */
export function pauseButton(q) {
  const paused = Boolean(q.paused);
  return button(paused ? "Resume" : "Pause", () => attempt(async () => {
    await post(path("console", "queues", q.vhost, q.name, "delivery"), { paused: !paused });
    refresh("/api/");
  }, paused ? `${q.name} delivers again` : `${q.name} holds its messages back`), { icon: paused ? "play" : "pause", title: paused ? "Deliver to consumers again" : "Hold back deliveries to all consumers, until resumed or restarted" });
}
