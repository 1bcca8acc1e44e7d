// All queues: depth, rates, consumers, state; create, purge and delete many at once.

import { h } from "../dom.js";
import { path, post, put, del } from "../api.js";
import { href, setQuery } from "../router.js";
import { bytes, number, plural, rate } from "../format.js";
import { before } from "../chart.js";
import { List } from "../table.js";
import { attempt, badge, button, confirmDestroy, empty, field, formDialog, stateMark, toast } from "../ui.js";
import { argumentEditor, argumentsOf } from "../arguments.js";
import { refresh } from "../live.js";

const FIELDS = "name,vhost,type,durable,auto_delete,exclusive,arguments,state,policy,messages,messages_ready,messages_unacknowledged,message_bytes,consumers,message_stats.publish_details.rate,message_stats.deliver_get_details.rate,message_stats.ack_details.rate,idle_since,paused";
const rates = (row, name) => row.message_stats?.[`${name}_details`]?.rate ?? 0;

/** The small marks of a queue: what it was declared as. */
export function features(queue) {
  const marks = [];
  if (!queue.durable) marks.push(["transient", "gone after a restart"]);
  if (queue.type && queue.type !== "classic") marks.push([queue.type, `type ${queue.type}`]);
  if (queue.auto_delete) marks.push(["auto-delete", "deleted when its last consumer goes"]);
  if (queue.exclusive) marks.push(["exclusive", "used by one connection only"]);
  const names = { "x-message-ttl": "TTL", "x-expires": "expires", "x-max-length": "limit", "x-max-length-bytes": "limit B", "x-overflow": "overflow", "x-dead-letter-exchange": "DLX", "x-dead-letter-routing-key": "DLK", "x-max-priority": "priority", "x-single-active-consumer": "SAC", "x-delivery-limit": "delivery limit" };
  for (const [argument, label] of Object.entries(names)) if (argument in (queue.arguments ?? {})) marks.push([label, `${argument}: ${queue.arguments[argument]}`]);
  return h("span.marks", marks.map(([label, title]) => badge(label, "", title)), queue.policy && badge(queue.policy, "accent", `policy ${queue.policy}`), queue.internal && badge("internal"));
}

export function queues(ctx) {
  ctx.title("Queues");
  const list = new List({
    name: "queues", noun: "queue", sort: "name", fields: FIELDS,
    url: () => (ctx.vhost() ? path("queues", ctx.vhost()) : "/api/queues"),
    key: (row) => `${row.vhost}\n${row.name}`,
    open: (row) => href("queues", row.vhost, row.name),
    columns: [
      { id: "name", label: "Name", sort: "name", wide: true, cell: (row) => h("a.name", { href: href("queues", row.vhost, row.name) }, row.name) },
      { id: "vhost", label: "Virtual host", sort: "vhost", cell: (row) => row.vhost },
      { id: "type", label: "Type", sort: "type", off: true, cell: (row) => row.type },
      { id: "features", minor: true, label: "Features", cell: features },
      { id: "state", label: "State", sort: "state", cell: (row) => stateMark(row.paused ? "paused" : row.state) },
      { id: "trend", label: "Depth", trend: (row) => (row.messages_ready ?? 0) + (row.messages_unacknowledged ?? 0), past: { params: ["lengths"], fields: "name,vhost,messages_details.samples", values: (row) => before(row.messages_details) } },
      { id: "ready", label: "Ready", sort: "messages_ready", num: true, cell: (row) => number(row.messages_ready ?? 0) },
      { id: "unacked", label: "Unacked", sort: "messages_unacknowledged", num: true, cell: (row) => number(row.messages_unacknowledged ?? 0) },
      { id: "bytes", label: "Size", sort: "message_bytes", num: true, off: true, cell: (row) => bytes(row.message_bytes ?? 0) },
      { id: "consumers", label: "Consumers", sort: "consumers", num: true, cell: (row) => number(row.consumers ?? 0) },
      { id: "in", label: "In", sort: "message_stats.publish_details.rate", num: true, cell: (row) => rate(rates(row, "publish")) },
      { id: "out", label: "Out", sort: "message_stats.deliver_get_details.rate", num: true, cell: (row) => rate(rates(row, "deliver_get")) },
      { id: "ack", label: "Ack", sort: "message_stats.ack_details.rate", num: true, off: true, cell: (row) => rate(rates(row, "ack")) },
    ],
    actions: [
      { label: "Pause", run: (rows) => hold(rows, true) },
      { label: "Resume", run: (rows) => hold(rows, false) },
      { label: "Purge", run: (rows) => bulk("Purge", rows, (row) => del(path("queues", row.vhost, row.name, "contents"))) },
      { label: "Delete", kind: "danger", run: (rows) => bulk("Delete", rows, (row) => del(path("queues", row.vhost, row.name))) },
    ],
    create: () => button("New queue", () => createQueue(ctx), { kind: "primary" }),
    words: ["ready>1000", "no:consumers", "type:quorum", "policy:*", "in>0", "is:paused"],
    none: () => empty("No queues yet", "A queue keeps messages until a consumer takes them. Clients usually declare their own; you can also make one here.", button("New queue", () => createQueue(ctx), { kind: "primary" })),
  }, ctx.redraw);
  ctx.onEnd(() => list.stop());
  return {
    query: (query) => {
      list.view({ ...query, vhost: ctx.vhost() });
      if (query.create) {
        setQuery({ create: undefined });
        createQueue(ctx);
      }
    },
    draw: () => [h("h1", "Queues"), list.draw()],
  };
}

async function hold(rows, paused) {
  if (paused && rows.length > 1 && !(await confirmDestroy(`Pause ${plural(rows.length, "queue")}?`, ["Their consumers get nothing until they are resumed, or the broker is restarted.", `${plural(rows.reduce((n, row) => n + (row.consumers ?? 0), 0), "consumer")} will wait.`], "Pause"))) return false;
  return attempt(async () => {
    for (const row of rows) await post(path("console", "queues", row.vhost, row.name, "delivery"), { paused });
    refresh("/api/");
  }, `${paused ? "Paused" : "Resumed"} ${plural(rows.length, "queue")}`);
}

async function bulk(verb, rows, one) {
  const ready = rows.reduce((sum, row) => sum + (row.messages_ready ?? 0), 0);
  const unacked = rows.reduce((sum, row) => sum + (row.messages_unacknowledged ?? 0), 0);
  const consumers = rows.reduce((sum, row) => sum + (row.consumers ?? 0), 0);
  const lines = [`${plural(rows.length, "queue")}: ${rows.slice(0, 5).map((row) => row.name).join(", ")}${rows.length > 5 ? " …" : ""}`, `${plural(ready, "ready message")} will be gone for good.`];
  if (verb === "Delete" && unacked) lines.push(`${plural(unacked, "unacked message")} will be gone too.`);
  if (verb === "Delete" && consumers) lines.push(`${plural(consumers, "consumer")} will be cancelled.`);
  if (!(await confirmDestroy(`${verb} ${plural(rows.length, "queue")}?`, lines, verb, rows.length > 1 || ready > 0 ? String(rows.length > 1 ? rows.length : rows[0].name) : undefined))) return false;
  let failed = 0;
  let reason = "";
  for (let i = 0; i < rows.length; i += 8) {
    const results = await Promise.allSettled(rows.slice(i, i + 8).map(one));
    for (const result of results) {
      if (result.status === "rejected") {
        failed++;
        reason = result.reason.message;
      }
    }
  }
  toast(failed ? `${plural(failed, "queue")} failed: ${reason}` : `${verb === "Purge" ? "Purged" : "Deleted"} ${plural(rows.length, "queue")}`, failed ? "bad" : "good");
  return true;
}

export function createQueue(ctx) {
  const values = { vhost: ctx.vhost() || ctx.vhosts()[0] || "/", name: "", type: "classic", durable: true, auto_delete: false, arguments: [] };
  const body = (v) => ({ durable: v.durable, auto_delete: v.auto_delete, arguments: { ...argumentsOf(v.arguments), ...(v.type === "classic" ? {} : { "x-queue-type": v.type }) } });
  return formDialog("New queue", values, (v, set, redraw) => [
    field("Virtual host", v.vhost, set("vhost"), { kind: "select", options: ctx.vhosts().length ? ctx.vhosts() : [v.vhost] }),
    field("Name", v.name, set("name"), { required: true, autofocus: true, maxlength: 255 }),
    field("Type", v.type, set("type"), { kind: "select", options: [["classic", "Classic"], ["quorum", "Quorum"]] }),
    field("Durable", v.durable, set("durable"), { kind: "checkbox", hint: "The queue, and persistent messages in it, survive a restart." }),
    field("Auto-delete", v.auto_delete, set("auto_delete"), { kind: "checkbox", hint: "Deleted when its last consumer goes." }),
    argumentEditor(v.arguments, "queue", redraw),
  ], async (v) => {
    await put(path("queues", v.vhost, v.name), body(v));
    toast(`Queue ${v.name} is there`);
    refresh("/api/queues");
  }, { action: "Create queue", wide: true, as: (v) => ({
    method: "PUT", url: path("queues", v.vhost, v.name), body: body(v), vhost: v.vhost,
    admin: ["queues declare", { name: v.name, type: v.type, durable: v.durable, "auto-delete": v.auto_delete, arguments: argumentsOf(v.arguments) }],
    definition: { queues: [{ vhost: v.vhost, name: v.name, ...body(v) }] },
  }) });
}
