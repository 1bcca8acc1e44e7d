// The node: its limits, listeners, versions and where memory goes.

import { h } from "../dom.js";
import { path } from "../api.js";
import { bytes, duration, number } from "../format.js";
import { badge, card, facts, figure, meter, notice, heading } from "../ui.js";
import { chart, samples } from "../chart.js";

export function node(ctx) {
  ctx.title("Node");
  const state = { nodes: null, overview: null, memory: null, error: null };
  ctx.watch("/api/nodes?node_stats_age=600&node_stats_incr=5&lengths_age=600&lengths_incr=5", (data) => {
    if (!state.nodes && data[0]) ctx.watch(path("nodes", data[0].name, "memory"), (memory) => (state.memory = memory.memory));
    state.nodes = data;
  }, (error) => (state.error = error.message));
  ctx.watch("/api/overview", (data) => (state.overview = data));
  return {
    draw: () => {
      if (!state.nodes) return [h("h1", "Node"), state.error ? notice("warn", state.error) : h("p.quiet", "Loading…")];
      const o = state.overview ?? {};
      return state.nodes.map((n) => [
        h("div.pagehead", h("h1", n.name), n.mem_alarm && badge("memory alarm", "bad"), n.disk_free_alarm && badge("disk alarm", "bad")),
        h("div.figures", figure("Up", duration(n.uptime)), figure("Memory", bytes(n.mem_used), `of ${bytes(n.mem_limit)}`), figure("Disk free", bytes(n.disk_free), `alarm below ${bytes(n.disk_free_limit)}`), figure("Sockets", number(n.sockets_used ?? 0)), figure("Cores", number(n.processors))),
        card("Limits", h("div.meters", meter("Memory", n.mem_used, n.mem_limit, bytes, n.mem_alarm ? "bad" : ""), meter("File descriptors", n.fd_used, n.fd_total, number), meter("Sockets", n.sockets_used ?? 0, n.sockets_total || n.fd_total, number))),
        n.mem_used_details?.samples && card("Memory over time", chart({ id: "node-memory", label: "Memory", format: bytes, series: [{ name: "Used", color: 1, points: samples(n.mem_used_details) }], limits: [{ name: "watermark", value: n.mem_limit }] })),
        h("div.columns",
          card("Facts", facts([["Version", `${o.product_name ?? ""} ${o.product_version ?? ""}`], ["RabbitMQ API level", n.rabbitmq_version ?? o.rabbitmq_version], ["Process", n.os_pid], ["Data directory", h("code", n.db_dir ?? "–")], ["Durability", o.durability ?? "fsync"], ["Configuration", (n.config_files ?? []).join(", ") || "none"], ["Logs", (n.log_files ?? []).join(", ") || "–"]])),
          card("Listeners", h("table.plain", h("thead", h("tr", ["Protocol", "Address", "Port", "TLS"].map(heading))), h("tbody", (o.listeners ?? []).map((l) => h("tr", { key: l.protocol + l.port }, h("td", l.protocol), h("td", h("code", l.ip_address)), h("td.num", String(l.port)), h("td", l.tls ? "yes" : "no"))))))),
        state.memory && typeof state.memory === "object" && card("Where memory goes", h("dl.bars", Object.entries(state.memory).filter(([key, value]) => typeof value === "number" && value > 0 && key !== "strategy").sort((a, b) => b[1] - a[1]).map(([key, value]) => h("div", { key }, h("dt", key.replaceAll("_", " ")), h("dd", bytes(value), h("div.bar", h("i", { vars: { "--share": Math.min(1, value / n.mem_used).toFixed(3) } }))))))),
      ]);
    },
  };
}
