// Looking into a queue without taking anything out: browse, filter, inspect; then move, copy,
// delete or republish single messages, and replay dead letters.

import { h } from "./dom.js";
import { path, get, getBytes, post, del, query as search } from "./api.js";
import { bytes, exact, json, number, plural } from "./format.js";
import { attempt, badge, button, card, confirmDestroy, copy, dialog, download, empty, facts, field, formDialog, icon, notice, time, toast, heading } from "./ui.js";
import { bodyOf, shown, waysOf } from "./body.js";
import { refresh } from "./live.js";

const PAGE = 50;

export function messageBrowser(ctx, vhost, queue) {
  const url = path("console", "queues", vhost, queue, "messages");
  const state = { items: [], order: "oldest", filter: "", cursors: [null], next: null, total: 0, busy: false, error: null, picked: new Set(), loaded: false, scanned: 0, job: null };
  let stopJob = () => {};

  async function load(cursor = state.cursors.at(-1)) {
    state.busy = true;
    ctx.redraw();
    try {
      const data = await get(url + search({ order: state.order, filter: state.filter, cursor, limit: PAGE }));
      Object.assign(state, { items: data.items, next: data.next, total: data.total, scanned: data.scanned, error: null });
    } catch (error) {
      state.error = error.message;
    }
    state.busy = false;
    ctx.redraw();
  }

  const again = (change) => {
    Object.assign(state, change, { cursors: [null] });
    state.picked.clear();
    load(null);
  };

  async function act(action, seqs, destination) {
    const done = await attempt(async () => {
      const result = await post(url, { action, seqs, destination });
      const what = { delete: "Deleted", move: "Moved", copy: "Copied" }[action];
      toast(`${what} ${plural(result.done, "message")}${result.missing ? `; ${number(result.missing)} were gone already` : ""}`);
    });
    if (done) {
      state.picked.clear();
      refresh("/api/queues");
      load();
    }
    return done;
  }

  async function remove(items) {
    if (await confirmDestroy(`Delete ${plural(items.length, "message")}?`, [`${plural(items.length, "message")} (${bytes(items.reduce((n, m) => n + m.bytes, 0))}) of ${queue} will be gone for good; not dead-lettered.`], "Delete")) await act("delete", items.map((m) => m.seq));
  }

  const transfer = (action, items) => {
    const origin = items[0].death?.origin;
    return formDialog(`${action === "move" ? "Move" : "Copy"} ${plural(items.length, "message")}`, { exchange: origin?.exchange ?? "", routing_key: origin?.routing_key ?? "" }, (v, set) => [
      origin && notice("", `Died first in ${origin.queue}; it had been published to ${origin.exchange || "the default exchange"} with key "${origin.routing_key}".`),
      field("To exchange", v.exchange, set("exchange"), { hint: "Empty for the default exchange: the key is then the queue's name.", autofocus: true }), field("Routing key", v.routing_key, set("routing_key")),
    ], (v) => post(url, { action, seqs: items.map((m) => m.seq), destination: { exchange: v.exchange, routing_key: v.routing_key } }).then((result) => {
      toast(`${action === "move" ? "Moved" : "Copied"} ${plural(result.done, "message")}`);
      state.picked.clear();
      refresh("/api/queues");
      load();
    }), { action: action === "move" ? "Move" : "Copy" });
  };

  const chosen = () => state.items.filter((m) => state.picked.has(m.seq));

  function follow(job) {
    stopJob();
    state.job = job;
    stopJob = ctx.watch(path("console", "jobs", job.id), (data) => {
      state.job = data;
      if (data.state !== "running") {
        stopJob();
        refresh("/api/queues");
        load();
      }
    });
  }

  const replay = () => formDialog("Replay messages", { to: "origin", exchange: "", routing_key: "", filter: state.filter, limit: "", rate: "", mark: true, dry: true }, (v, set) => [
    h("p", "Publishes messages of this queue again, then removes them here: each one only after its copy is safe. Oldest first."),
    field("Destination", v.to, set("to"), { kind: "select", options: [["origin", "Where each came from (first x-death entry)"], ["fixed", "A chosen exchange and key"]] }),
    v.to === "fixed" && [field("Exchange", v.exchange, set("exchange"), { hint: "Must exist. Empty for the default exchange." }), field("Routing key", v.routing_key, set("routing_key"), { hint: "Empty keeps each message's own key." })],
    field("Only those that match", v.filter, set("filter"), { hint: "Same words as the browser's filter, e.g. header.tenant:acme $.order.total > 100" }),
    h("div.columns", field("At most", v.limit, set("limit"), { kind: "number", min: 1, hint: "messages; empty for all there are now" }), field("Rate limit", v.rate, set("rate"), { kind: "number", min: 1, hint: "messages a second; empty for none" })),
    field("Mark with header x-replayed", v.mark, set("mark"), { kind: "checkbox" }),
    field("Dry run", v.dry, set("dry"), { kind: "checkbox", hint: "Only counts what would go where. Nothing is moved." }),
  ], async (v) => {
    const body = { kind: "replay", vhost, queue, filter: v.filter, dry_run: v.dry, mark: v.mark, destination: v.to === "origin" ? "origin" : { exchange: v.exchange, ...(v.routing_key ? { routing_key: v.routing_key } : {}) } };
    if (v.limit) body.limit = Number(v.limit);
    if (v.rate) body.rate = Number(v.rate);
    follow(await post("/api/console/jobs", body));
  }, { action: "Start", wide: true });

  return {
    load: () => {
      if (!state.loaded) {
        state.loaded = true;
        load(null);
      }
    },
    draw: () => [
      h("div.toolbar",
        h("form.search", { role: "search", onsubmit: (event) => { event.preventDefault(); again({ filter: event.target.elements.filter.value }); } },
          h("input", { id: "filter", name: "filter", type: "search", "aria-label": "Filter messages", placeholder: "key:orders.* header.tenant:acme body~timeout $.order.id = 7", value: state.filter }),
          button("Filter", null, { small: true, type: "submit" })),
        h("div.segmented", { role: "group", "aria-label": "Order" }, [["oldest", "Oldest first"], ["newest", "Newest first"]].map(([id, label]) => h("button", { key: id, type: "button", "aria-pressed": String(state.order === id), onclick: () => again({ order: id }) }, label))),
        h("span.grow"),
        state.picked.size > 0 && h("span.chosen", `${number(state.picked.size)} selected`, button("Move", () => transfer("move", chosen()), { small: true }), button("Copy", () => transfer("copy", chosen()), { small: true }), button("Delete", () => remove(chosen()), { small: true, kind: "danger" })),
        button("Replay…", replay), button("Refresh", () => load(), { small: true, why: state.busy ? "Loading…" : undefined })),
      h("p.aside", icon("help"), "Browsing takes nothing out: messages keep their place and are not marked as redelivered."),
      state.job && jobCard(state.job, () => { stopJob(); state.job = null; ctx.redraw(); }),
      state.error && notice("bad", state.error),
      !state.loaded || (state.busy && !state.items.length) ? h("p.quiet", "Loading…") : !state.items.length ? empty(state.filter ? "No message matches" : "No ready messages", state.filter ? `${plural(state.scanned, "message")} looked at.` : "What is unacked is with its consumers.") : table(),
      h("div.pager", button("Previous", () => { state.cursors.pop(); load(); }, { small: true, why: state.cursors.length < 2 ? "This is the first page" : undefined }), h("span.quiet", `${plural(state.total, "ready message")}${state.filter ? `, ${number(state.scanned)} looked at` : ""}`), button("Next", () => { state.cursors.push(state.next); load(); }, { small: true, why: state.next === null ? "This is the last page" : undefined })),
    ],
  };

  function table() {
    return h("div.scroll", h("table.plain.messages", h("thead", h("tr", h("th.pick", { scope: "col" }, h("input", { type: "checkbox", "aria-label": "Select all", checked: state.items.every((m) => state.picked.has(m.seq)), onchange: (event) => { state.items.forEach((m) => (event.target.checked ? state.picked.add(m.seq) : state.picked.delete(m.seq))); ctx.redraw(); } })),
      ["#", "Routing key", "Exchange", "Size", "Enqueued", "Body"].map(heading))),
    h("tbody", state.items.map((m) => h("tr", { key: m.seq, class: state.picked.has(m.seq) ? "picked" : "" },
      h("td.pick", h("input", { type: "checkbox", "aria-label": `Select message ${m.position}`, checked: state.picked.has(m.seq), onchange: () => { state.picked.has(m.seq) ? state.picked.delete(m.seq) : state.picked.add(m.seq); ctx.redraw(); } })),
      h("td.num", number(m.position)), h("td", h("code", m.routing_key)), h("td", m.exchange || h("span.quiet", "default")), h("td.num", bytes(m.bytes)), h("td", time(m.enqueued_ms)),
      h("td", h("button.preview", { type: "button", onclick: () => inspect(m), title: "Inspect" }, m.redelivered && badge("redelivered", "warn"), m.death && badge(m.death.reason, "bad"), m.decoded && badge(m.decoded.from), h("span", preview(m)))))))));
  }

  function inspect(m) {
    let asSent = false;
    let whole = null;
    let busy = false;
    let body = bodyOf(m, asSent, whole);
    let way = waysOf(body)[0][0];
    const origin = m.death?.origin;
    const address = () => `${url}/${m.seq}/body${m.decoded && !asSent ? "?decoded=true" : ""}`;
    // The story of its deaths is told above; raw, it would be told twice.
    const headers = Object.entries(m.properties.headers ?? {}).filter(([key]) => !m.death || !/^x-(death|first-death|last-death)/.test(key));
    return dialog(`Message ${number(m.position)} of ${queue}`, (close, redraw) => {
      const look = (change) => {
        change();
        body = bodyOf(m, asSent, whole);
        if (!waysOf(body).some(([id]) => id === way)) way = waysOf(body)[0][0];
        redraw();
      };
      const fetchAll = () => attempt(async () => {
        busy = true;
        redraw();
        whole = await getBytes(address()).finally(() => (busy = false));
        look(() => {});
      });
      const save = () => attempt(async () => download(`${queue}-${m.seq}${{ json: ".json", xml: ".xml", text: ".txt" }[way] ?? ".bin"}`, await getBytes(address()), "application/octet-stream"));
      const publish = () => {
        close();
        sessionStorage.setItem("draft", JSON.stringify({ payload: m.payload, payload_encoding: m.payload_encoding, properties: m.properties }));
        location.hash = "#/publish?" + new URLSearchParams({ vhost, exchange: origin?.exchange ?? m.exchange, key: origin?.routing_key ?? m.routing_key });
      };
      return [
        m.death && notice("warn", h("strong", "Dead letter. "), story(m.death), origin && [" Published first to ", h("strong", origin.exchange || "the default exchange"), " with key ", h("code", origin.routing_key || "(empty)"), "."]),
        facts([["Exchange", m.exchange || "default"], ["Routing key", h("code", m.routing_key)], ["Size", bytes(m.bytes)], ["Enqueued", time(m.enqueued_ms)], ["Redelivered", m.redelivered ? "yes" : "no"], ["Sequence number", number(m.seq)]]),
        h("h3", "Properties"), facts(Object.entries(m.properties).filter(([key]) => key !== "headers").map(([key, value]) => [key, h("code", json(value))])),
        headers.length > 0 && [h("h3", "Headers"), facts(headers.map(([key, value]) => [key, h("code", json(value))]))],
        h("div.pagehead.bodyhead", h("h3", "Body"),
          h("div.segmented", { role: "group", "aria-label": "Show body as" }, waysOf(body).map(([id, label]) => h("button", { key: id, type: "button", "aria-pressed": String(way === id), onclick: () => { way = id; redraw(); } }, label))),
          m.decoded && h("div.segmented", { role: "group", "aria-label": "Compression" }, [[false, `From ${m.decoded.from}`], [true, "As sent"]].map(([id, label]) => h("button", { key: label, type: "button", "aria-pressed": String(asSent === id), onclick: () => look(() => { asSent = id; whole = null; }) }, label))),
          h("span.grow"), button("Copy", () => copy(shown(body, way)), { small: true, title: "Copy the body" }), button("Download", save, { small: true })),
        h("pre.body", { tabindex: 0, "aria-label": "Body" }, shown(body, way)),
        body.more && h("p.quiet", `The first ${bytes(body.bytes.length)} of ${m.decoded && !asSent ? "more" : bytes(m.bytes)}. `, button("Show all", fetchAll, { small: true, why: busy ? "Loading…" : undefined })),
        h("div.actions",
          button("Delete", () => { close(); remove([m]); }, { kind: "danger" }), button("Edit and publish", publish, { why: m.truncated ? "Too long to edit here: move or copy it" : undefined }),
          button("Copy to…", () => { close(); transfer("copy", [m]); }), button("Move to…", () => { close(); transfer("move", [m]); }),
          origin && button("Return to origin", () => { close(); act("move", [m.seq], { exchange: origin.exchange, routing_key: origin.routing_key }); }, { kind: "primary", title: "Publish it again as it was published first, and take it out here" })),
      ];
    }, { wide: true });
  }
}

function jobCard(job, dismiss) {
  const share = job.total ? Math.min(1, job.done / job.total) : job.state === "running" ? 0 : 1;
  return card(job.dry_run ? "Dry run" : "Replay", { class: "job", aside: job.state === "running" ? button("Stop", () => attempt(() => del(path("console", "jobs", job.id)), "Stopping"), { small: true, kind: "danger" }) : button("Dismiss", dismiss, { small: true }) },
    h("div.bar", { role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100, "aria-valuenow": Math.round(share * 100) }, h("i", { vars: { "--share": share.toFixed(3) } })),
    h("p", { role: "status" }, `${{ running: "Running", done: "Done", stopped: "Stopped", failed: "Failed" }[job.state]}: ${number(job.done)} of ${plural(job.total, "message")} ${job.dry_run ? "would be replayed" : "replayed"}, ${number(job.skipped)} left in place${job.error ? `. ${job.error}` : ""}`),
    job.destinations?.length ? h("div.scroll", h("table.plain", h("thead", h("tr", ["Exchange", "Routing key", "Messages"].map(heading))), h("tbody", job.destinations.map((d) => h("tr", { key: d.exchange + d.routing_key }, h("td", d.exchange || "default"), h("td", h("code", d.routing_key)), h("td.num", number(d.count))))))) : null);
}

/** x-death as a sentence. */
export function story(death) {
  const reasons = { rejected: "was rejected", expired: "expired", maxlen: "was pushed out by the length limit", delivery_limit: "had been delivered too often" };
  return death.entries.map((e, i) => `${i ? "Before that it" : "It"} ${reasons[e.reason] ?? e.reason} in ${e.queue}${e.count > 1 ? ` ${number(e.count)} times` : ""}${e.time ? ` (${exact(e.time * 1000)})` : ""}.`).join(" ");
}

function preview(m) {
  const { payload, payload_encoding } = m.decoded ?? m;
  if (payload_encoding === "base64") return `binary, ${bytes(m.bytes)}`;
  return payload.length > 140 ? payload.slice(0, 140) + "…" : payload || "(empty)";
}
