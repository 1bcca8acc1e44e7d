// The node's log as it is written, by level and text.

import { h } from "../dom.js";
import { get, path, put, query as search } from "../api.js";
import { setQuery } from "../router.js";
import { exact, plural } from "../format.js";
import { follow } from "../stream.js";
import { button, download, empty, field, formDialog, icon, notice, toast } from "../ui.js";

const LEVELS = [["error", "Errors"], ["warning", "Warnings"], ["info", "Information"], ["debug", "All"]];
const LINES_MAX = 2000;

export function logs(ctx) {
  ctx.title("Log");
  const state = { lines: [], level: "info", text: "", how: "", paused: false, held: [], last: 0 };
  let stop = () => {};
  let asked = null;
  const allowed = ctx.may("monitoring");
  const take = (lines) => {
    state.lines.push(...lines);
    state.lines.splice(0, state.lines.length - LINES_MAX);
  };
  const restart = () => {
    stop();
    Object.assign(state, { lines: [], held: [], last: 0, how: "" });
    stop = follow("/api/console/logs" + search({ level: state.level, text: state.text }), "lines", ({ items }) => {
      // A stream that was opened again begins with what is known already.
      const fresh = items.filter((line) => line.number > state.last);
      state.last = fresh.at(-1)?.number ?? state.last;
      if (state.paused) state.held.push(...fresh);
      else take(fresh);
      ctx.redraw();
    }, (how) => {
      state.how = how;
      ctx.redraw();
    });
  };
  ctx.onEnd(() => stop());
  const pause = () => {
    state.paused = !state.paused;
    if (!state.paused) take(state.held.splice(0));
    ctx.redraw();
  };
  let typing = 0;
  const type = (event) => {
    clearTimeout(typing);
    const text = event.target.value;
    typing = setTimeout(() => setQuery({ text: text || undefined }), 250);
  };
  // Who has scrolled up reads: new lines do not move what they read.
  const follows = (el) => el.scrollTop + el.clientHeight >= el.scrollHeight - 40;
  const hook = { mount: (el) => { el.scrollTop = el.scrollHeight; el.atEnd = true; el.onscroll = () => (el.atEnd = follows(el)); }, update: (el) => el.atEnd && (el.scrollTop = el.scrollHeight) };
  const level = () => formDialog("Log level of the node", { level: "info" }, (v, set) => [
    field("Log from this level on", v.level, set("level"), { kind: "select", options: ["debug", "info", "warning", "error"], hint: "Until the node stops; the configuration says what it starts with." }),
  ], async (v) => {
    const { node } = await get("/api/overview?columns=node");
    await put(path("nodes", node, "log-level"), v);
    toast(`The node logs from ${v.level} on`);
  });
  const save = () => download("warren.log", state.lines.map((l) => `${new Date(l.at_ms).toISOString()} [${l.level}] ${l.text}`).join("\n"), "text/plain");
  return {
    query: (query) => {
      const wanted = JSON.stringify([query.level ?? "info", query.text ?? ""]);
      if (!allowed || wanted === asked) return;
      asked = wanted;
      Object.assign(state, { level: query.level ?? "info", text: query.text ?? "" });
      restart();
    },
    draw: () => [
      h("h1", "Log"),
      !allowed ? notice("warn", "Reading the log needs the monitoring or the administrator tag.") : [
        h("div.toolbar",
          h("form.search", { role: "search", onsubmit: (event) => event.preventDefault() }, icon("search"), h("input", { id: "filter", type: "search", "aria-label": "Text in the line", placeholder: "queue, user, address…", value: state.text, oninput: type, spellcheck: "false" })),
          h("div.segmented", { role: "group", "aria-label": "Level" }, LEVELS.map(([id, label]) => h("button", { key: id, type: "button", "aria-pressed": String(state.level === id), onclick: () => setQuery({ level: id === "info" ? undefined : id }) }, label))),
          h("span.quiet", { role: "status" }, state.how === "broken" ? "Reconnecting…" : plural(state.lines.length, "line")),
          h("span.grow"),
          button(state.paused ? `Resume${state.held.length ? ` (${state.held.length} new)` : ""}` : "Pause", pause, { icon: state.paused ? "play" : "pause", small: true }),
          button("Log level…", level, { small: true, why: ctx.may("administrator") ? undefined : "Needs the administrator tag" }),
          button("Download", save, { small: true, why: state.lines.length ? undefined : "There is nothing yet" })),
        state.lines.length ? h("div.log", { role: "log", tabindex: 0, "aria-label": "Lines of the log", "aria-live": "off", hook }, state.lines.map((line) => h("div", { key: line.number, class: line.level },
          h("time", { title: exact(line.at_ms), datetime: new Date(line.at_ms).toISOString() }, clock(line.at_ms)), h("span.level", line.level), h("span.text", line.text))))
          : empty(state.text || state.level !== "info" ? "No line fits" : "Nothing yet", state.text ? "No line that is remembered has this text. New ones appear here by themselves." : "New lines appear here by themselves. What was logged before the start of the node is in its log file."),
        h("p.aside.after", icon("help"), "The last lines since the node started, from information upwards, or as much as is logged."),
      ],
    ],
  };
}

function clock(ms) {
  const at = new Date(ms);
  return `${at.toLocaleTimeString("en-GB")}.${String(at.getMilliseconds()).padStart(3, "0")}`;
}
