// Overview: first what needs attention, then what flows, then the node's limits. A new broker
// says how to connect.

import { h } from "../dom.js";
import { get, path } from "../api.js";
import { mode } from "../live.js";
import { href } from "../router.js";
import { bytes, duration, number, plural, rate, short } from "../format.js";
import { card, code, figure, icon, meter, tabs } from "../ui.js";
import { chart, samples } from "../chart.js";

const RANGES = [["60", "1 min"], ["600", "10 min"], ["3600", "1 h"], ["28800", "8 h"], ["86400", "24 h"]];
const RANKED_MS = 5000;
const INCREMENT = { 60: 5, 600: 5, 3600: 60, 28800: 600, 86400: 1800 };

export function home(ctx) {
  ctx.title("Overview");
  const state = { overview: null, nodes: [], attention: null, range: "60", language: "python" };
  const overviewUrl = () => `/api/overview?lengths_age=${state.range}&lengths_incr=${INCREMENT[state.range]}&msg_rates_age=${state.range}&msg_rates_incr=${INCREMENT[state.range]}`;
  let stop = () => {};
  const follow = () => {
    stop();
    stop = ctx.watch(overviewUrl(), (data) => (state.overview = data));
  };
  follow();
  if (ctx.may("monitoring")) ctx.watch("/api/nodes", (data) => (state.nodes = data));
  for (const [name, sort] of [["deepest", "messages_ready"], ["busiest", "message_stats.publish_details.rate"]]) {
    const from = ctx.vhost() ? path("queues", ctx.vhost()) : "/api/queues";
    const url = `${from}?page=1&page_size=5&sort=${sort}&sort_reverse=true&columns=name,vhost,${sort}`;
    // Sorting all queues costs more than the rest of the page: seldom, and only while it is looked at.
    const look = () => !document.hidden && mode() !== "paused" && get(url).then((data) => {
      state[name] = data.items;
      ctx.redraw();
    }, () => {});
    look();
    const timer = setInterval(look, RANKED_MS);
    ctx.onEnd(() => clearInterval(timer));
  }
  ctx.watch("/api/console/attention", (data) => (state.attention = data));
  return { draw: () => draw(ctx, state, (range) => {
    state.range = range;
    follow();
    ctx.redraw();
  }) };
}

function draw(ctx, state, setRange) {
  const { overview, nodes, attention } = state;
  if (!overview) return [h("h1", "Overview"), h("p.quiet", "Loading…")];
  const stats = overview.message_stats ?? {};
  const totals = overview.queue_totals ?? {};
  const objects = overview.object_totals ?? {};
  const rateOf = (name) => stats[`${name}_details`]?.rate ?? 0;
  return [
    h("div.pagehead", h("h1", "Overview"), h("span.quiet", `${overview.product_name ?? "Warren"} ${overview.product_version ?? ""} on ${overview.node ?? "this node"}`)),
    attentionCards(attention),
    h("div.figures",
      figure("Ready", short(totals.messages_ready ?? 0), "messages"),
      figure("Unacked", short(totals.messages_unacknowledged ?? 0), "messages"),
      figure("Published", rate(rateOf("publish")), `${rate(rateOf("confirm"))} confirmed`),
      figure("Delivered", rate(rateOf("deliver_get")), `${rate(rateOf("ack"))} acked`),
      h("a.figure", { href: href("connections") }, h("span.label", "Connections"), h("strong", number(objects.connections ?? 0)), h("span.sub", plural(objects.channels ?? 0, "channel"))),
      h("a.figure", { href: href("queues") }, h("span.label", "Queues"), h("strong", number(objects.queues ?? 0)), h("span.sub", plural(objects.consumers ?? 0, "consumer")))),
    objects.queues === 0 && firstSteps(ctx, state),
    h("div.pagehead.section", h("h2", "Throughput and depth"), h("div.segmented", { role: "group", "aria-label": "Time range" }, RANGES.map(([seconds, label]) => h("button", { key: seconds, type: "button", "aria-pressed": String(seconds === state.range), onclick: () => setRange(seconds) }, label)))),
    h("div.columns.even",
      card("Message rates", chart({ id: "rates", label: "Message rates", format: rate, series: [["Publish", "publish"], ["Confirm", "confirm"], ["Deliver", "deliver_get"], ["Ack", "ack"], ["Redeliver", "redeliver"], ["Returned", "return_unroutable"], ["Dropped", "drop_unroutable"]].map(([name, key], i) => ({ name, color: (i % 6) + 1, points: samples(stats[`${key}_details`], "rate") })) })),
      card("Queued messages", chart({ id: "depth", label: "Queued messages", format: short, series: [["Ready", "messages_ready"], ["Unacked", "messages_unacknowledged"]].map(([name, key], i) => ({ name, color: i + 1, points: samples(totals[`${key}_details`]) })) }))),
    objects.queues > 0 && h("div.columns.even",
      ranking("Deepest queues", state.deepest, "messages_ready", number, "No queue holds messages."),
      ranking("Busiest queues", state.busiest, "message_stats.publish_details.rate", rate, "Nothing is being published to any queue.")),
    nodes.map((node) => card(node.name, { key: node.name, aside: h("a", { href: href("node") }, "Details") },
      h("div.meters",
        meter("Memory", node.mem_used, node.mem_limit, bytes, node.mem_alarm ? "bad" : ""),
        meter("File descriptors", node.fd_used, node.fd_total, number),
        meter("Sockets", node.sockets_used ?? 0, node.sockets_total || node.fd_total, number)),
      h("p.quiet", `Disk free ${bytes(node.disk_free)} (alarm below ${bytes(node.disk_free_limit)}) · up ${duration(node.uptime)} · ${plural(node.processors, "core")}`))),
  ];
}

function attentionCards(attention) {
  if (!attention) return null;
  if (!attention.items.length) return h("div.attention.calm", { role: "status" }, icon("ok"), h("div", h("strong", "Nothing needs attention"), h("p.quiet", "No alarms, no growing queues, no stuck consumers, no dead letters, nothing unroutable.")));
  return h("ul.attention", { "aria-label": "What needs attention" }, attention.items.map((item) => h("li", { key: item.kind + (item.vhost ?? ""), class: item.severity },
    icon("warn"), h("div", h("strong", item.title), h("p", item.detail)), item.page ? h("a.button.small", { href: href(item.page, { filter: item.filter, vhost: item.vhost, ...(item.sort ? { sort: item.sort, reverse: "true" } : item.page === "queues" ? { sort: "messages_ready", reverse: "true" } : {}) }) }, "Show") : null)));
}

/** The first few queues by one figure, with bars to compare. */
function ranking(title, rows, field, format, none) {
  const value = (row) => field.split(".").reduce((at, part) => at?.[part], row) ?? 0;
  const some = (rows ?? []).filter((row) => value(row) > 0);
  const peak = Math.max(1, ...some.map(value));
  return card(title, { aside: h("a", { href: href("queues", { sort: field, reverse: "true" }) }, "All queues") }, !rows ? h("p.quiet", "…") : !some.length ? h("p.quiet", none) :
    h("ol.rank", some.map((row) => h("li", { key: `${row.vhost}|${row.name}` }, h("a.name", { href: href("queues", row.vhost, row.name), title: `${row.name} in ${row.vhost}` }, row.name, h("span.quiet", ` ${row.vhost}`)),
      h("div.bar", { "aria-hidden": "true" }, h("i", { vars: { "--share": (value(row) / peak).toFixed(3) } })), h("span.num", format(value(row)))))));
}

function firstSteps(ctx, state) {
  const host = location.hostname || "localhost";
  const port = state.overview.listeners?.find((l) => l.protocol === "amqp")?.port ?? 5672;
  const url = `amqp://guest:guest@${host}:${port}/`;
  const examples = {
    python: ["Python (pika)", `import pika

connection = pika.BlockingConnection(pika.URLParameters("${url}"))
channel = connection.channel()
channel.queue_declare("hello", durable=True)
channel.basic_publish("", "hello", b"Hello, Warren",
                      pika.BasicProperties(delivery_mode=2))
connection.close()`],
    java: ["Java", `var factory = new ConnectionFactory();
factory.setUri("${url}");
try (var connection = factory.newConnection(); var channel = connection.createChannel()) {
    channel.queueDeclare("hello", true, false, false, null);
    channel.basicPublish("", "hello", MessageProperties.PERSISTENT_TEXT_PLAIN, "Hello, Warren".getBytes());
}`],
    rust: ["Rust (lapin)", `let connection = Connection::connect("${url}", ConnectionProperties::default()).await?;
let channel = connection.create_channel().await?;
let durable = QueueDeclareOptions { durable: true, ..Default::default() };
channel.queue_declare("hello".into(), durable, FieldTable::default()).await?;
channel.basic_publish("".into(), "hello".into(), BasicPublishOptions::default(),
    b"Hello, Warren", BasicProperties::default().with_delivery_mode(2)).await?;`],
    node: ["Node (amqplib)", `const connection = await amqplib.connect("${url}");
const channel = await connection.createChannel();
await channel.assertQueue("hello", { durable: true });
channel.sendToQueue("hello", Buffer.from("Hello, Warren"), { persistent: true });`],
  };
  return card("Connect your first client", h("p", "Any AMQP 0-9-1 library for RabbitMQ works unchanged. This publishes one message into a new queue:"),
    tabs(Object.entries(examples).map(([id, [label]]) => [id, label]), state.language, (id) => {
      state.language = id;
      ctx.redraw();
    }), code(examples[state.language][1], `${examples[state.language][0]} example`),
    h("p.quiet", "Rather by hand? ", h("a", { href: href("queues", { create: "1" }) }, "Create a queue"), " or ", h("a", { href: href("definitions") }, "import your definitions"), "."));
}
