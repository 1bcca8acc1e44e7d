// The publish page: the form with nothing chosen, or with what an address or a draft brings.

import { h } from "../dom.js";
import { publishForm } from "../publish.js";

export function publishPage(ctx) {
  ctx.title("Publish");
  let form = null;
  return {
    query: (query) => {
      form ??= publishForm(ctx, { vhost: query.vhost || ctx.vhost() || ctx.vhosts()[0] || "/", exchange: query.exchange ?? "", key: query.key ?? "", draft: true });
    },
    draw: () => [h("h1", "Publish a message"), form?.draw()],
  };
}
