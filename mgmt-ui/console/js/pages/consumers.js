// All consumers of all queues.

import { h } from "../dom.js";
import { path } from "../api.js";
import { href } from "../router.js";
import { number, peer } from "../format.js";
import { List } from "../table.js";
import { empty, stateMark } from "../ui.js";

export function consumers(ctx) {
  ctx.title("Consumers");
  const list = new List({
    name: "consumers", noun: "consumer", sort: "consumer_tag",
    url: () => (ctx.vhost() ? path("consumers", ctx.vhost()) : "/api/consumers"), key: (row) => `${row.channel_details?.name}|${row.consumer_tag}`, open: (row) => href("queues", row.queue.vhost, row.queue.name, { tab: "consumers" }),
    columns: [
      { id: "queue", label: "Queue", sort: "queue.name", wide: true, cell: (row) => h("a.name", { href: href("queues", row.queue.vhost, row.queue.name) }, row.queue.name) },
      { id: "vhost", minor: true, label: "Virtual host", sort: "queue.vhost", cell: (row) => row.queue.vhost },
      { id: "tag", label: "Tag", sort: "consumer_tag", cell: (row) => h("code", row.consumer_tag) },
      { id: "channel", label: "Client", sort: "channel_details.name", cell: (row) => h("a", { href: href("channels", row.channel_details?.name ?? ""), title: row.channel_details?.name }, row.channel_details?.user_provided_name ? `${row.channel_details.user_provided_name} #${row.channel_details.number}` : peer(row.channel_details?.name)) },
      { id: "user", minor: true, label: "User", sort: "channel_details.user", cell: (row) => row.channel_details?.user ?? "–" },
      { id: "acks", minor: true, label: "Acks", sort: "ack_required", cell: (row) => (row.ack_required ? "manual" : "automatic") },
      { id: "prefetch", label: "Prefetch", sort: "prefetch_count", num: true, cell: (row) => (row.prefetch_count ? number(row.prefetch_count) : "∞") },
      { id: "trend", label: "Held", trend: (row) => row.unacked ?? 0 },
      { id: "unacked", label: "Unacked", sort: "unacked", num: true, cell: (row) => number(row.unacked ?? 0) },
      { id: "state", label: "State", sort: "activity_status", cell: (row) => stateMark(row.paused ? "paused" : (row.activity_status ?? (row.active ? "up" : "waiting"))) },
    ],
    words: ["queue:orders*", "unacked>0", "prefetch=0", "is:paused", "is:exclusive"],
    none: () => empty("No consumers", "Nobody is taking messages from any queue: they wait there until a client consumes.", h("a.button", { href: href("queues", { filter: "ready>0 no:consumers" }) }, "Queues with messages")),
  }, ctx.redraw);
  ctx.onEnd(() => list.stop());
  return { query: (query) => list.view({ ...query, vhost: ctx.vhost() }), draw: () => [h("h1", "Consumers"), list.draw()] };
}
