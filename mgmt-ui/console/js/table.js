// A list of any length: only the rows in sight are in the page, only the blocks in sight are
// fetched, and they are live. Sorting and filtering are the server's; what is chosen is in the
// address. On narrow screens rows become cards.

import { h } from "./dom.js";
import { get, query as search } from "./api.js";
import { watch } from "./live.js";
import { csv } from "./csv.js";
import { number, plural } from "./format.js";
import { button, download, empty, icon, toast } from "./ui.js";
import { setQuery } from "./router.js";
import { sparkline } from "./chart.js";

const BLOCK = 100;
// Values behind a small line, the time between them, and rows that have one at most.
const TREND = 40;
const TREND_MS = 5000;
const TRENDS_MAX = 2000;

/**
 * One list. `columns`: [{id, label, cell(row), sort, num, wide, off}]; one may have `trend(row)`, the
 * value behind a small line, and `past`: {params, fields, values(row)}, what it was before. `url`: the listing's path,
 * `key(row)`, `fields`: what the server is to send, `open(row)`: address of a row's page,
 * `actions`: [{label, kind, run(rows)}] for what is selected, `none`: what an empty list shows,
 * `words`: filters worth a click, `hide`: {words, label}, what is not shown unless asked for.
 */
export class List {
  constructor(options, redraw) {
    Object.assign(this, options);
    this.redraw = redraw;
    this.blocks = new Map();
    this.total = null;
    this.selected = new Map();
    this.trends = new Map();
    this.top = 0;
    this.height = 600;
    this.focus = -1;
    this.error = null;
    this.hiddenColumns = new Set(JSON.parse(localStorage.getItem(`columns:${this.name}`) || "null") ?? this.columns.filter((c) => c.off).map((c) => c.id));
    this.rowHeight = innerWidth < 720 ? 84 : 36;
  }

  /** Adopts the address's filter and sort; fetches what is needed. */
  view(query) {
    const next = JSON.stringify([query.filter, query.sort, query.reverse, query.vhost, query.all]);
    if (next !== this.viewed) {
      this.viewed = next;
      this.query = query;
      this.reset();
    }
  }

  reset() {
    this.stop();
    this.total = null;
    this.focus = -1;
    this.top = 0;
    if (this.el) this.el.scrollTop = 0;
    this.need();
  }

  stop() {
    this.blocks.forEach((block) => block.stop());
    this.blocks.clear();
  }

  address(page, size = BLOCK, more = {}) {
    const { filter, sort, reverse } = this.query;
    return this.url(this.query) + search({
      page, page_size: size, pagination: "true", filter: this.hiding() ? [filter, this.hide.words].filter(Boolean).join(" ") : filter, sort: sort || this.sort, sort_reverse: (reverse ?? this.reverse) || undefined, columns: this.fields, ...more,
    });
  }

  /** Whether what is usually of no interest is left out; who names it wants to see it. */
  hiding() {
    return this.hide && this.query.all !== "1" && !(this.query.filter || "").includes(this.hide.unless);
  }

  need() {
    const first = Math.floor(this.top / this.rowHeight / BLOCK) + 1;
    const last = Math.floor((this.top + this.height) / this.rowHeight / BLOCK) + 1;
    const wanted = new Set();
    for (let page = first; page <= last; page++) if (page === 1 || this.total === null || (page - 1) * BLOCK < this.total) wanted.add(page);
    for (const [page, block] of this.blocks) {
      if (!wanted.has(page)) {
        block.stop();
        this.blocks.delete(page);
      }
    }
    for (const page of wanted) {
      if (this.blocks.has(page)) continue;
      const block = { rows: [], stop: () => {} };
      this.blocks.set(page, block);
      this.recall(page);
      block.stop = watch(this.address(page), (data) => {
        this.error = null;
        block.rows = Array.isArray(data) ? data : data.items;
        this.remember(block.rows);
        this.total = Array.isArray(data) ? data.length : data.filtered_count;
        this.all = Array.isArray(data) ? data.length : data.total_count;
        this.redraw();
      }, (error) => {
        this.error = error.message;
        this.redraw();
      });
    }
  }

  row(index) {
    return this.blocks.get(Math.floor(index / BLOCK) + 1)?.rows[index % BLOCK];
  }

  async everything() {
    const rows = [];
    for (let page = 1; page === 1 || rows.length < this.total; page++) {
      const data = await get(this.address(page, 500));
      const items = Array.isArray(data) ? data : data.items;
      rows.push(...items);
      if (!items.length || Array.isArray(data)) break;
    }
    return rows;
  }

  async save(kind) {
    try {
      const rows = await this.everything();
      if (kind === "json") return download(`${this.name}.json`, JSON.stringify(rows, null, 1));
      download(`${this.name}.csv`, csv(rows), "text/csv");
    } catch (error) {
      toast(error.message, "bad");
    }
  }

  visible() {
    // With one virtual host chosen above, each row would only repeat it.
    return this.columns.filter((column) => !this.hiddenColumns.has(column.id) && !(column.id === "vhost" && this.query.vhost));
  }

  draw() {
    const columns = this.visible();
    const count = this.total ?? 0;
    const from = Math.max(0, Math.floor(this.top / this.rowHeight) - 6);
    const to = Math.min(count, Math.ceil((this.top + this.height) / this.rowHeight) + 6);
    const rows = [];
    for (let i = from; i < to; i++) rows.push([i, this.row(i)]);
    return h("div.list",
      this.toolbar(),
      this.error && h("div.notice.bad", { role: "alert" }, icon("warn"), h("div", this.error)),
      this.total === 0 && !this.query.filter ? this.none(this.hiding()) : [
        this.total === 0 && empty("Nothing matches", "No entry fits this filter.", button("Clear the filter", () => setQuery({ filter: undefined }))),
        count > 0 && h("div.scroller", {
          hook: { mount: (el) => this.attach(el), update: (el) => this.measure(el), unmount: () => this.detach?.() },
          tabindex: 0, role: "region", "aria-label": `${this.name}, ${plural(count, "entry", "entries")}`, onkeydown: (event) => this.keys(event),
        },
        h("table", { "aria-rowcount": count, class: this.actions ? "selectable" : "" },
          h("thead", h("tr",
            this.actions && h("th.pick", { scope: "col" }, h("input", { type: "checkbox", "aria-label": "Select all in sight", checked: this.selected.size > 0 && rows.every(([, row]) => row && this.selected.has(this.key(row))), onchange: (event) => this.pickAll(event.target.checked, rows) })),
            columns.map((column) => this.heading(column)))),
          h("tbody",
            h("tr.space", { key: "before", "aria-hidden": "true" }, h("td", { colspan: columns.length + 1, vars: { "--space": `${from * this.rowHeight}px` } })),
            rows.map(([i, row]) => this.line(i, row, columns)),
            h("tr.space", { key: "after", "aria-hidden": "true" }, h("td", { colspan: columns.length + 1, vars: { "--space": `${(count - to) * this.rowHeight}px` } })))))]);
  }

  heading(column) {
    const sort = this.query.sort || this.sort;
    const reverse = String((this.query.reverse ?? this.reverse) || "") === "true";
    const active = column.sort && column.sort === sort;
    const props = { scope: "col", key: column.id, class: column.num ? "num" : "", "aria-sort": active ? (reverse ? "descending" : "ascending") : undefined };
    if (!column.sort) return h("th", props, column.label);
    const arrow = h("span.arrow", { "aria-hidden": "true" }, active ? (reverse ? "↓" : "↑") : "");
    return h("th", props, h("button", {
      type: "button",
      onclick: () => setQuery({ sort: column.sort, reverse: active ? String(!reverse) : column.num ? "true" : "false" }),
    }, column.num && arrow, column.label, !column.num && arrow));
  }

  line(index, row, columns) {
    if (!row) return h("tr.loading", { key: `l${index}` }, h("td", { colspan: columns.length + 1 }, "…"));
    const key = this.key(row);
    const picked = this.selected.has(key);
    return h("tr", { key, class: [picked && "picked", index === this.focus && "focus"].filter(Boolean).join(" "), "aria-rowindex": index + 1 },
      this.actions && h("td.pick", h("input", { type: "checkbox", checked: picked, "aria-label": `Select ${row.name ?? key}`, onchange: () => this.pick(row) })),
      columns.map((column) => this.cell(column, row, key)));
  }

  cell(column, row, key) {
    const content = column.trend ? sparkline(this.trends.get(key)?.values ?? [], `${column.label} of ${row.name ?? key}`) : column.cell(row);
    // What is nothing steps back, so that what is something stands out.
    const zero = column.num && typeof content === "string" && /^0( |\/|$)/.test(content);
    return h("td", { key: column.id, class: [column.num && "num", zero && "zero", column.wide && "wide", column.trend && "trend", column.minor && "minor"].filter(Boolean).join(" "), "data-label": column.label }, content);
  }

  /** Remembers what the rows in sight have been showing, for their small lines. */
  remember(rows) {
    const column = this.columns.find((c) => c.trend);
    if (!column) return;
    const now = Date.now();
    for (const row of rows) {
      const trend = this.trend(this.key(row));
      if (now - trend.at >= TREND_MS || !trend.values.length) {
        trend.values = [...trend.values, column.trend(row)].slice(-TREND);
        trend.at = now;
      } else trend.values[trend.values.length - 1] = column.trend(row);
    }
  }

  /** Asks once what the rows of a block have been showing before anybody looked. */
  async recall(page) {
    const past = this.columns.find((c) => c.past)?.past;
    if (!past || this.hiddenColumns.has("trend")) return;
    const age = (TREND * TREND_MS) / 1000;
    const params = Object.fromEntries(past.params.flatMap((name) => [[`${name}_age`, age], [`${name}_incr`, TREND_MS / 1000]]));
    const data = await get(this.address(page, BLOCK, { ...params, columns: past.fields })).catch(() => ({ items: [] }));
    for (const row of Array.isArray(data) ? data : data.items) {
      const trend = this.trend(this.key(row));
      trend.values = [...past.values(row), ...trend.values].slice(-TREND);
    }
    this.redraw();
  }

  trend(key) {
    if (!this.trends.has(key)) {
      if (this.trends.size >= TRENDS_MAX) this.trends.clear();
      this.trends.set(key, { values: [], at: 0 });
    }
    return this.trends.get(key);
  }

  toolbar() {
    const chosen = [...this.selected.values()];
    return h("div.toolbar",
      h("form.search", { role: "search", onsubmit: (event) => event.preventDefault() }, icon("search"),
        h("input", {
          id: "filter", type: "search", "aria-label": `Filter ${this.name}`, value: this.query.filter || "", spellcheck: "false", autocomplete: "off",
          placeholder: `name, ${(this.words ?? []).slice(0, 2).join(", ")}, ~regex`.replace(", , ", ", "), "aria-describedby": this.words ? "filter-words" : undefined,
          oninput: (event) => {
            clearTimeout(this.typing);
            const value = event.target.value;
            this.typing = setTimeout(() => setQuery({ filter: value || undefined }), 200);
          },
        }),
        this.words && h("div.words", { id: "filter-words", "aria-label": "Filters to start from" }, this.words.map((word) => h("button", { key: word, type: "button", onclick: () => this.toggleWord(word), "aria-pressed": String((this.query.filter || "").split(" ").includes(word)) }, word)))),
      h("span.quiet.counted", { role: "status" }, this.total === null ? "…" : this.query.filter ? `${number(this.total)} of ${number(this.all)}` : plural(this.total, this.noun || "entry", this.many || (this.noun ? `${this.noun}s` : "entries"))),
      this.hide && !this.query.filter && this.total !== null && (this.hiding() ? this.all > this.total && button(`Show ${number(this.all - this.total)} ${this.hide.label}`, () => setQuery({ all: "1" }), { small: true }) : button(`Hide ${this.hide.label}`, () => setQuery({ all: undefined }), { small: true })),
      h("span.grow"),
      chosen.length > 0 && this.actions && h("span.chosen", `${number(chosen.length)} selected`, this.actions.map((action) => button(action.label, async () => {
        if (await action.run(chosen)) {
          this.selected.clear();
          this.reset();
        }
      }, { kind: action.kind, small: true, key: action.label })), button("None", () => this.unpick(), { small: true, title: "Clear the selection" })),
      this.views(),
      h("details.menu", h("summary", { title: "Columns and export", "aria-label": "Columns and export" }, icon("columns")),
        h("div", this.columns.map((column) => h("label", { key: column.id }, h("input", { type: "checkbox", checked: !this.hiddenColumns.has(column.id), onchange: () => this.toggle(column.id) }), column.label)),
          h("hr"), button("Export CSV", () => this.save("csv"), { small: true }), button("Export JSON", () => this.save("json"), { small: true }))),
      this.create?.());
  }

  /** Views saved under a name: the filter and sort of this list. */
  views() {
    const stored = JSON.parse(localStorage.getItem(`views:${this.name}`) || "{}");
    const names = Object.keys(stored);
    return h("details.menu", h("summary", { title: "Saved views", "aria-label": "Saved views" }, "Views"),
      h("div", names.map((name) => h("div.row", { key: name }, button(name, () => setQuery(stored[name]), { small: true }),
        button("", () => {
          delete stored[name];
          localStorage.setItem(`views:${this.name}`, JSON.stringify(stored));
          this.redraw();
        }, { small: true, icon: "close", title: `Forget ${name}` }))),
      !names.length && h("p.quiet", "No saved view yet."),
      h("form", {
        onsubmit: (event) => {
          event.preventDefault();
          const name = event.target.elements.name.value.trim();
          if (!name) return;
          const { filter, sort, reverse } = this.query;
          stored[name] = { filter, sort, reverse };
          localStorage.setItem(`views:${this.name}`, JSON.stringify(stored));
          event.target.reset();
          this.redraw();
        },
      }, h("input", { name: "name", "aria-label": "Name of the view", placeholder: "Save this view as…" }))));
  }

  toggleWord(word) {
    // What was typed a moment ago counts, too.
    clearTimeout(this.typing);
    const words = (document.getElementById("filter")?.value ?? "").split(" ").filter(Boolean);
    const others = words.filter((other) => other !== word);
    setQuery({ filter: (others.length < words.length ? others : [...words, word]).join(" ") || undefined });
  }

  toggle(id) {
    this.hiddenColumns.has(id) ? this.hiddenColumns.delete(id) : this.hiddenColumns.add(id);
    localStorage.setItem(`columns:${this.name}`, JSON.stringify([...this.hiddenColumns]));
    this.redraw();
  }

  pick(row) {
    const key = this.key(row);
    this.selected.has(key) ? this.selected.delete(key) : this.selected.set(key, row);
    this.redraw();
  }

  unpick() {
    this.selected.clear();
    this.redraw();
  }

  pickAll(on, rows) {
    for (const [, row] of rows) if (row) on ? this.selected.set(this.key(row), row) : this.selected.delete(this.key(row));
    this.redraw();
  }

  attach(el) {
    this.el = el;
    const moved = () => {
      this.top = el.scrollTop;
      this.need();
      this.redraw();
    };
    el.addEventListener("scroll", moved, { passive: true });
    const observer = new ResizeObserver(() => this.measure(el));
    observer.observe(el);
    this.detach = () => observer.disconnect();
    this.measure(el);
  }

  measure(el) {
    const rowHeight = innerWidth < 720 ? 84 : 36;
    if (el.clientHeight !== this.height || rowHeight !== this.rowHeight) {
      this.height = el.clientHeight;
      this.rowHeight = rowHeight;
      this.need();
      requestAnimationFrame(() => this.redraw());
    }
  }

  keys(event) {
    if (event.target !== this.el) return;
    const step = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -Infinity, End: Infinity, j: 1, k: -1 }[event.key];
    if (step) {
      event.preventDefault();
      this.focus = Math.max(0, Math.min(this.total - 1, this.focus + step));
      const at = this.focus * this.rowHeight;
      if (at < this.el.scrollTop) this.el.scrollTop = at;
      if (at + 3 * this.rowHeight > this.el.scrollTop + this.height) this.el.scrollTop = at + 3 * this.rowHeight - this.height;
      this.redraw();
    } else if (event.key === "Enter" && this.row(this.focus) && this.open) {
      location.hash = this.open(this.row(this.focus)).slice(1);
    } else if ((event.key === " " || event.key === "x") && this.row(this.focus) && this.actions) {
      event.preventDefault();
      this.pick(this.row(this.focus));
    }
  }
}
