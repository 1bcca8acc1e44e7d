// All exchanges; create and delete.

import { h } from "../dom.js";
import { path, put, del } from "../api.js";
import { href, setQuery } from "../router.js";
import { plural, rate } from "../format.js";
import { before } from "../chart.js";
import { List } from "../table.js";
import { badge, button, confirmDestroy, empty, field, formDialog, toast } from "../ui.js";
import { argumentEditor, argumentsOf } from "../arguments.js";
import { refresh } from "../live.js";

export const TYPES = ["direct", "fanout", "topic", "headers", "x-consistent-hash", "x-modulus-hash", "x-random", "x-local-random", "x-recent-history", "x-delayed-message"];
export const builtIn = (name) => !name || name.startsWith("amq.");
export const shownName = (name) => name || "(default)";

export function exchangeMarks(exchange) {
  return h("span.marks", exchange.durable === false && badge("transient", "", "gone after a restart"), exchange.auto_delete && badge("auto-delete", "", "deleted when its last binding goes"), exchange.internal && badge("internal", "", "clients cannot publish to it"),
    exchange.arguments?.["alternate-exchange"] && badge("AE", "", `alternate exchange: ${exchange.arguments["alternate-exchange"]}`), exchange.policy && badge(exchange.policy, "accent", `policy ${exchange.policy}`));
}

export function exchanges(ctx) {
  ctx.title("Exchanges");
  const list = new List({
    name: "exchanges", noun: "exchange", sort: "name",
    url: () => (ctx.vhost() ? path("exchanges", ctx.vhost()) : "/api/exchanges"),
    key: (row) => `${row.vhost}\n${row.name}`, open: (row) => href("exchanges", row.vhost, row.name || "amq.default"),
    columns: [
      { id: "name", label: "Name", sort: "name", wide: true, cell: (row) => h("a", { class: builtIn(row.name) ? "name builtin" : "name", href: href("exchanges", row.vhost, row.name || "amq.default") }, shownName(row.name)) },
      { id: "vhost", label: "Virtual host", sort: "vhost", cell: (row) => row.vhost },
      { id: "type", label: "Type", sort: "type", cell: (row) => row.type },
      { id: "features", minor: true, label: "Features", cell: exchangeMarks },
      { id: "trend", label: "Traffic", trend: (row) => row.message_stats?.publish_in_details?.rate ?? 0, past: { params: ["msg_rates"], fields: "name,vhost,message_stats.publish_in_details.samples", values: (row) => before(row.message_stats?.publish_in_details, "rate") } },
      { id: "in", label: "In", sort: "message_stats.publish_in_details.rate", num: true, cell: (row) => rate(row.message_stats?.publish_in_details?.rate ?? 0) },
      { id: "out", label: "Out", sort: "message_stats.publish_out_details.rate", num: true, cell: (row) => rate(row.message_stats?.publish_out_details?.rate ?? 0) },
    ],
    actions: [{
      label: "Delete", kind: "danger",
      run: async (rows) => {
        const own = rows.filter((row) => !builtIn(row.name));
        if (!own.length) return toast("The built-in exchanges stay", "bad");
        if (!(await confirmDestroy(`Delete ${plural(own.length, "exchange")}?`, [own.slice(0, 5).map((row) => row.name).join(", "), "Their bindings go too; publishing to them closes the publisher's channel (404)."], "Delete", own.length > 1 ? String(own.length) : undefined))) return false;
        const results = await Promise.allSettled(own.map((row) => del(path("exchanges", row.vhost, row.name))));
        const failed = results.filter((r) => r.status === "rejected");
        toast(failed.length ? failed[0].reason.message : `Deleted ${plural(own.length, "exchange")}`, failed.length ? "bad" : "good");
        return true;
      },
    }],
    create: () => button("New exchange", () => create(ctx), { kind: "primary" }),
    words: ["type:topic", "is:durable", "in>0", "out=0"],
    hide: { words: "has:name -name:amq.*", unless: "amq", label: "built-in" },
    none: (hiding) => empty(hiding ? "No exchanges of your own yet" : "No exchanges", "Clients publish to exchanges, which hand messages on to queues by their bindings. Clients usually declare their own; you can also make one here.", button("New exchange", () => create(ctx), { kind: "primary" }), hiding && button("Show the built-in ones", () => setQuery({ all: "1" }))),
  }, ctx.redraw);
  ctx.onEnd(() => list.stop());
  return {
    query: (query) => {
      list.view({ ...query, vhost: ctx.vhost() });
      if (query.create) {
        setQuery({ create: undefined });
        create(ctx);
      }
    },
    draw: () => [h("h1", "Exchanges"), list.draw()],
  };
}

function create(ctx) {
  const values = { vhost: ctx.vhost() || ctx.vhosts()[0] || "/", name: "", type: "direct", durable: true, auto_delete: false, internal: false, arguments: [] };
  const body = (v) => ({ type: v.type, durable: v.durable, auto_delete: v.auto_delete, internal: v.internal, arguments: argumentsOf(v.arguments) });
  return formDialog("New exchange", values, (v, set, redraw) => [
    field("Virtual host", v.vhost, set("vhost"), { kind: "select", options: ctx.vhosts().length ? ctx.vhosts() : [v.vhost] }),
    field("Name", v.name, set("name"), { required: true, autofocus: true, maxlength: 255 }),
    field("Type", v.type, set("type"), { kind: "select", options: TYPES }),
    field("Durable", v.durable, set("durable"), { kind: "checkbox" }), field("Auto-delete", v.auto_delete, set("auto_delete"), { kind: "checkbox" }), field("Internal", v.internal, set("internal"), { kind: "checkbox", hint: "Only other exchanges may publish to it." }),
    argumentEditor(v.arguments, "exchange", redraw),
  ], async (v) => {
    await put(path("exchanges", v.vhost, v.name), body(v));
    toast(`Exchange ${v.name} is there`);
    refresh("/api/exchanges");
  }, { action: "Create exchange", wide: true, as: (v) => ({
    method: "PUT", url: path("exchanges", v.vhost, v.name), body: body(v), vhost: v.vhost,
    admin: v.internal ? null : ["exchanges declare", { name: v.name, type: v.type, durable: v.durable, "auto-delete": v.auto_delete, arguments: argumentsOf(v.arguments) }],
    definition: { exchanges: [{ vhost: v.vhost, name: v.name, ...body(v) }] },
  }) });
}
