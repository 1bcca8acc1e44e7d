// Connections: who is connected, by the client's own name first; one connection; closing.

import { h } from "../dom.js";
import { path, del } from "../api.js";
import { go, href } from "../router.js";
import { byteRate, bytes, number, plural } from "../format.js";
import { List } from "../table.js";
import { badge, button, card, empty, facts, field, figure, formDialog, stateMark, time, toast, heading } from "../ui.js";
import { before, chart, samples, sums } from "../chart.js";
import { refresh } from "../live.js";

const clientName = (row) => row.user_provided_name || row.client_properties?.connection_name;
const library = (row) => [row.client_properties?.product, row.client_properties?.version].filter((v) => typeof v === "string").join(" ");

export function connections(ctx) {
  ctx.title("Connections");
  const list = new List({
    name: "connections", noun: "connection", sort: "name",
    url: () => (ctx.vhost() ? path("vhosts", ctx.vhost(), "connections") : "/api/connections"), key: (row) => row.name, open: (row) => href("connections", row.name),
    columns: [
      { id: "name", label: "Client", sort: "name", wide: true, cell: (row) => h("a.name", { href: href("connections", row.name) }, clientName(row) || row.name, clientName(row) && h("span.quiet", ` ${row.peer_host}:${row.peer_port}`)) },
      { id: "vhost", minor: true, label: "Virtual host", sort: "vhost", cell: (row) => row.vhost }, { id: "user", label: "User", sort: "user", cell: (row) => row.user },
      { id: "state", label: "State", sort: "state", cell: (row) => stateMark(row.state) },
      { id: "tls", minor: true, label: "TLS", sort: "ssl", cell: (row) => (row.ssl ? badge("TLS", "good", row.ssl_protocol) : h("span.quiet", "no")) },
      { id: "library", minor: true, label: "Library", cell: library }, { id: "channels", label: "Channels", sort: "channels", num: true, cell: (row) => number(row.channels) },
      { id: "trend", label: "Traffic", trend: (row) => (row.recv_oct_details?.rate ?? 0) + (row.send_oct_details?.rate ?? 0), past: { params: ["data_rates"], fields: "name,recv_oct_details.samples,send_oct_details.samples", values: (row) => sums(before(row.recv_oct_details, "rate"), before(row.send_oct_details, "rate")) } },
      { id: "in", label: "From client", sort: "recv_oct_details.rate", num: true, cell: (row) => byteRate(row.recv_oct_details?.rate ?? 0) }, { id: "out", label: "To client", sort: "send_oct_details.rate", num: true, cell: (row) => byteRate(row.send_oct_details?.rate ?? 0) },
      { id: "since", label: "Connected", sort: "connected_at", off: true, cell: (row) => time(row.connected_at) },
    ],
    actions: [{ label: "Close", kind: "danger", run: (rows) => close(rows) }],
    words: ["state:blocked", "user:guest", "channels>10", "is:tls", "client:*"],
    none: () => empty("Nobody is connected", "Clients appear here as soon as they connect.", h("a.button", { href: href("") }, "How to connect")),
  }, ctx.redraw);
  ctx.onEnd(() => list.stop());
  return { query: (query) => list.view({ ...query, vhost: ctx.vhost() }), draw: () => [h("h1", "Connections"), list.draw()] };
}

async function close(rows) {
  const many = rows.length > 1;
  const values = { reason: "Closed via management plugin", typed: "" };
  const who = many ? plural(rows.length, "connection") : clientName(rows[0]) || rows[0].name;
  const sure = await formDialog(many ? `Close ${who}?` : "Close this connection", values, (v, set) => [
    h("ul.consequences", h("li", `${who}: ${plural(rows.reduce((n, r) => n + (r.channels ?? 0), 0), "channel")} will be closed.`), h("li", "What they hold unacked is requeued. Clients usually reconnect.")),
    field("Reason, told to the client", v.reason, set("reason"), { id: "close-reason" }),
    many && field(`Type ${rows.length} to go on`, v.typed, set("typed"), { id: "confirm-word", autofocus: true }),
  ], async (v) => {
    if (many && v.typed !== String(rows.length)) throw new Error(`Type ${rows.length} first`);
  }, { action: many ? "Close connections" : "Close connection", kind: "danger" });
  const { reason } = values;
  if (!sure) return false;
  const results = await Promise.allSettled(rows.map((row) => del(path("connections", row.name), { "x-reason": reason })));
  const failed = results.filter((r) => r.status === "rejected");
  toast(failed.length ? failed[0].reason.message : `Closed ${plural(rows.length, "connection")}`, failed.length ? "bad" : "good");
  refresh("/api/");
  return true;
}

export function connection(ctx) {
  const { name } = ctx.params;
  ctx.title(name);
  const state = { connection: null, channels: [], error: null };
  ctx.watch(path("connections", name) + "?data_rates_age=600&data_rates_incr=5", (data) => (state.connection = data), (error) => (state.error = error));
  ctx.watch(path("connections", name, "channels"), (data) => (state.channels = data));
  return {
    draw: () => {
      if (state.error?.status === 404) return [h("h1", name), empty("This connection is gone", "The client has left.", h("a.button", { href: href("connections") }, "All connections"))];
      const c = state.connection;
      if (!c) return [h("h1", name), h("p.quiet", state.error ? state.error.message : "Loading…")];
      return [
        h("nav.crumbs", { "aria-label": "Breadcrumb" }, h("a", { href: href("connections") }, "Connections")),
        h("div.pagehead.object", h("h1", clientName(c) || name), stateMark(c.state), c.ssl && badge("TLS", "good"), h("span.grow"), button("Close", async () => (await close([c])) && go(href("connections")), { kind: "danger" })),
        h("div.figures", figure("From client", byteRate(c.recv_oct_details?.rate ?? 0), bytes(c.recv_oct)), figure("To client", byteRate(c.send_oct_details?.rate ?? 0), bytes(c.send_oct)), figure("Channels", number(c.channels)), figure("Heartbeat", c.timeout ? `${c.timeout} s` : "off")),
        card("Data rates", chart({ id: `c-${name}`, label: "Data rates", format: byteRate, series: [["From client", "recv_oct"], ["To client", "send_oct"]].map(([label, key], i) => ({ name: label, color: i + 1, points: samples(c[`${key}_details`], "rate") })) })),
        card("Channels", state.channels.length ? channelTable(state.channels) : h("p.quiet", "No channel is open.")),
        h("div.columns",
          card("Facts", facts([["Name", name], ["User", c.user], ["Virtual host", c.vhost], ["Connected", time(c.connected_at)], ["Protocol", c.protocol], ["Login", c.auth_mechanism], ["Frame max", bytes(c.frame_max)], ["Channel max", number(c.channel_max)], ["TLS", c.ssl ? `${c.ssl_protocol} ${c.ssl_cipher ?? ""}` : "no"], c.peer_cert_subject && ["Certificate", c.peer_cert_subject]])),
          card("Client properties", facts(Object.entries(c.client_properties ?? {}).filter(([key]) => key !== "capabilities").map(([key, value]) => [key, typeof value === "object" ? JSON.stringify(value) : String(value)])), h("p", h("span.marks", Object.entries(c.client_properties?.capabilities ?? {}).filter(([, on]) => on).map(([key]) => badge(key)))))),
      ];
    },
  };
}

export function channelTable(list) {
  return h("div.scroll", h("table.plain", h("thead", h("tr", ["Channel", "Mode", "Prefetch", "Unacked", "Unconfirmed", "Consumers"].map(heading))),
    h("tbody", list.map((ch) => h("tr", { key: ch.name }, h("td", h("a", { href: href("channels", ch.name) }, `#${ch.number}`)), h("td", [ch.confirm && badge("confirm"), ch.transactional && badge("tx")]), h("td.num", ch.prefetch_count || ch.global_prefetch_count ? number(ch.prefetch_count || ch.global_prefetch_count) : "unlimited"), h("td.num", number(ch.messages_unacknowledged)), h("td.num", number(ch.messages_unconfirmed)), h("td.num", number(ch.consumer_count)))))));
}
