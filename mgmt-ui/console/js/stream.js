// A stream of server-sent events of one kind that is opened again when it breaks.

const RETRY_MS = [500, 1000, 2000, 5000, 10000];

/**
 * Calls `see(data)` for each event of that name from `url`, `changed(state)` with "open", "broken"
 * or "ended" as it goes. Returns the function that ends it. A stream that ends by itself is opened
 * again when `again` says so.
 */
export function follow(url, name, see, changed = () => {}, { again = true } = {}) {
  let source = null;
  let timer = 0;
  let failures = 0;
  let ended = false;
  const open = () => {
    source = new EventSource(url);
    source.onopen = () => {
      failures = 0;
      changed("open");
    };
    source.addEventListener(name, (event) => see(JSON.parse(event.data)));
    source.onerror = () => {
      source.close();
      if (ended) return;
      if (!again) return changed("ended");
      changed("broken");
      timer = setTimeout(open, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
    };
  };
  open();
  return () => {
    ended = true;
    clearTimeout(timer);
    source?.close();
  };
}
