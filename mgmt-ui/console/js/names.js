// Names to choose from while typing: exchanges or queues of a virtual host, fetched once per form.

import { h } from "./dom.js";
import { get, path } from "./api.js";

const SHOWN = 500;

/** `names(ctx)` keeps what was fetched; `list(id, kind, vhost)` is the `datalist` for a field. */
export function names(ctx) {
  const known = new Map();
  return (id, kind, vhost) => {
    const key = `${kind}|${vhost}`;
    if (!known.has(key)) {
      known.set(key, []);
      get(`${path(kind, vhost)}?page=1&page_size=${SHOWN}&columns=name`).then((data) => {
        known.set(key, data.items.map((item) => item.name).filter(Boolean));
        ctx.redraw();
      }, () => {});
    }
    return h("datalist", { id }, known.get(key).map((name) => h("option", { key: name, value: name })));
  };
}
