// Channels: what each has in flight, and whether a consumer on it is stuck.

import { h } from "../dom.js";
import { path } from "../api.js";
import { href } from "../router.js";
import { number, peer, rate } from "../format.js";
import { List } from "../table.js";
import { badge, card, empty, facts, figure, stateMark, time, heading } from "../ui.js";
import { before, chart, samples, sums } from "../chart.js";

const now = (row, key) => row.message_stats?.[`${key}_details`]?.rate ?? 0;
const stuck = (row) => row.prefetch_count > 0 && row.messages_unacknowledged >= row.prefetch_count && now(row, "ack") === 0;

export function channels(ctx) {
  ctx.title("Channels");
  const list = new List({
    name: "channels", noun: "channel", sort: "name",
    url: () => (ctx.vhost() ? path("vhosts", ctx.vhost(), "channels") : "/api/channels"), key: (row) => row.name, open: (row) => href("channels", row.name),
    columns: [
      { id: "name", label: "Channel", sort: "name", wide: true, cell: (row) => h("a.name", { href: href("channels", row.name), title: row.name }, row.user_provided_name ? [row.user_provided_name, h("span.quiet", ` #${row.number} · ${row.connection_details?.peer_host}:${row.connection_details?.peer_port}`)] : peer(row.name)) },
      { id: "vhost", label: "Virtual host", sort: "vhost", cell: (row) => row.vhost, off: true }, { id: "user", minor: true, label: "User", sort: "user", cell: (row) => row.user },
      { id: "mode", label: "Mode", cell: (row) => h("span.marks", row.confirm && badge("confirm"), row.transactional && badge("tx"), stuck(row) && badge("stuck?", "warn", "as many unacked as the prefetch allows, and no acks")) },
      { id: "state", label: "State", sort: "state", cell: (row) => stateMark(row.state) },
      { id: "prefetch", label: "Prefetch", sort: "prefetch_count", num: true, cell: (row) => (row.prefetch_count || row.global_prefetch_count ? number(row.prefetch_count || row.global_prefetch_count) : "∞") },
      { id: "unacked", label: "Unacked", sort: "messages_unacknowledged", num: true, cell: (row) => number(row.messages_unacknowledged) }, { id: "unconfirmed", minor: true, label: "Unconfirmed", sort: "messages_unconfirmed", num: true, cell: (row) => number(row.messages_unconfirmed) },
      { id: "trend", label: "Traffic", trend: (row) => now(row, "publish") + now(row, "deliver_get"), past: { params: ["msg_rates"], fields: "name,message_stats.publish_details.samples,message_stats.deliver_get_details.samples", values: (row) => sums(...["publish", "deliver_get"].map((key) => before(row.message_stats?.[`${key}_details`], "rate"))) } },
      { id: "publish", label: "Publish", sort: "message_stats.publish_details.rate", num: true, cell: (row) => rate(now(row, "publish")) }, { id: "deliver", label: "Deliver", sort: "message_stats.deliver_get_details.rate", num: true, cell: (row) => rate(now(row, "deliver_get")) }, { id: "ack", label: "Ack", sort: "message_stats.ack_details.rate", num: true, cell: (row) => rate(now(row, "ack")) },
    ],
    words: ["client:*", "unacked>0", "is:confirm", "consumer_count>0", "unconfirmed>0"],
    none: () => empty("No channels", "A channel is where a client publishes and consumes; none is open.", h("a.button", { href: href("") }, "How to connect")),
  }, ctx.redraw);
  ctx.onEnd(() => list.stop());
  return { query: (query) => list.view({ ...query, vhost: ctx.vhost() }), draw: () => [h("h1", "Channels"), list.draw()] };
}

export function channel(ctx) {
  const { name } = ctx.params;
  ctx.title(name);
  const state = { channel: null, error: null };
  ctx.watch(path("channels", name) + "?msg_rates_age=600&msg_rates_incr=5", (data) => (state.channel = data), (error) => (state.error = error));
  return {
    draw: () => {
      if (state.error?.status === 404) return [h("h1", name), empty("This channel is gone", "The client has closed it.", h("a.button", { href: href("channels") }, "All channels"))];
      const c = state.channel;
      if (!c) return [h("h1", name), h("p.quiet", state.error ? state.error.message : "Loading…")];
      return [
        h("nav.crumbs", { "aria-label": "Breadcrumb" }, h("a", { href: href("connections", c.connection_details?.name ?? "") }, c.user_provided_name || c.connection_details?.name)),
        h("div.pagehead.object", h("h1", `Channel ${c.number}`), c.user_provided_name && h("span.quiet", c.user_provided_name), stateMark(c.state), c.confirm && badge("confirm"), c.transactional && badge("tx"), stuck(c) && badge("stuck?", "warn")),
        h("div.figures", figure("Unacked", number(c.messages_unacknowledged), c.prefetch_count ? `prefetch ${number(c.prefetch_count)}` : "no prefetch limit"), figure("Unconfirmed", number(c.messages_unconfirmed)), figure("Publish", rate(now(c, "publish"))), figure("Deliver", rate(now(c, "deliver_get"))), figure("Ack", rate(now(c, "ack")))),
        card("Rates", chart({ id: `ch-${name}`, label: "Message rates", format: rate, series: [["Publish", "publish"], ["Confirm", "confirm"], ["Deliver", "deliver_get"], ["Ack", "ack"]].map(([label, key], i) => ({ name: label, color: i + 1, points: samples(c.message_stats?.[`${key}_details`], "rate") })) })),
        card("Consumers", (c.consumer_details ?? []).length ? h("div.scroll", h("table.plain", h("thead", h("tr", ["Tag", "Queue", "Acks", "Prefetch", "State"].map(heading))),
          h("tbody", c.consumer_details.map((k) => h("tr", { key: k.consumer_tag }, h("td", h("code", k.consumer_tag)), h("td", h("a", { href: href("queues", k.queue.vhost, k.queue.name) }, k.queue.name)), h("td", k.ack_required ? "manual" : "automatic"), h("td.num", number(k.prefetch_count)), h("td", stateMark(k.activity_status ?? "up"))))))) : h("p.quiet", "No consumer on this channel.")),
        card("Facts", facts([["Name", name], ["User", c.user], ["Virtual host", c.vhost], ["Uncommitted messages", number(c.messages_uncommitted)], ["Uncommitted acks", number(c.acks_uncommitted)], ["Idle since", c.idle_since ? time(Date.parse(c.idle_since)) : "busy"]])),
      ];
    },
  };
}
