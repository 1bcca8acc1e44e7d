// Live data: what a page watches is a set of GET paths. One server-sent event stream per tab
// carries them all; when it cannot be had, each path is polled. Pausing keeps the last values.

import { get } from "./api.js";

const POLL_MS = 5000;
const RETRY_MS = [500, 1000, 2000, 5000, 10000];

/** A tab that nobody has looked at for so long is not told anything until somebody does. */
const AWAY_MS = 30000;

const watched = new Map(); // path -> {listeners, last}
const state = { mode: "idle", paused: false, listeners: new Set() };
let source = null;
let attempts = 0;
let timer = 0;
let polling = 0;
let opened = "";

let away = 0;
document.addEventListener("visibilitychange", () => {
  clearTimeout(away);
  if (document.hidden) away = setTimeout(close, AWAY_MS);
  else if (!source && watched.size) restart();
});

/** "live", "polling", "stale" or "paused". */
export function mode() {
  return state.paused ? "paused" : state.mode;
}

export function onMode(listener) {
  state.listeners.add(listener);
  return () => state.listeners.delete(listener);
}

function setMode(next) {
  state.mode = next;
  state.listeners.forEach((listener) => listener(mode()));
}

export function togglePause() {
  state.paused = !state.paused;
  if (state.paused) close();
  else restart();
  setMode(state.mode);
}

/**
 * Calls `see(data)` now and whenever what `url` answers changes, `failed(error)` when it cannot be
 * had. Returns the function that ends it.
 */
export function watch(url, see, failed = () => {}) {
  let entry = watched.get(url);
  if (!entry) {
    entry = { listeners: new Set(), last: undefined };
    watched.set(url, entry);
  }
  const listener = { see, failed };
  entry.listeners.add(listener);
  if (entry.last !== undefined) see(entry.last);
  else fetchOnce(url);
  restart();
  return () => {
    entry.listeners.delete(listener);
    if (!entry.listeners.size && watched.get(url) === entry) {
      watched.delete(url);
      restart();
    }
  };
}

/** Fetches the watched paths that start with `prefix` again: something was just changed. */
export function refresh(prefix = "/api/") {
  for (const url of watched.keys()) if (url.startsWith(prefix)) fetchOnce(url);
}

/** Forgets everything: the user is gone. */
export function stop() {
  watched.clear();
  close();
  setMode("idle");
}

function deliver(url, data) {
  const entry = watched.get(url);
  if (!entry) return;
  entry.last = data;
  entry.listeners.forEach((listener) => listener.see(data));
}

async function fetchOnce(url) {
  try {
    deliver(url, await get(url));
  } catch (error) {
    watched.get(url)?.listeners.forEach((listener) => listener.failed(error));
  }
}

function close() {
  source?.close();
  source = null;
  opened = "";
  clearTimeout(timer);
  clearInterval(polling);
  polling = 0;
}

// Pages watch several paths one after the other: one stream is opened for all of them.
function restart() {
  clearTimeout(timer);
  timer = setTimeout(open, 20);
}

function open() {
  if (state.paused) return;
  const urls = [...watched.keys()].sort();
  const wanted = urls.map((url) => "topic=" + encodeURIComponent(url)).join("&");
  if (wanted === opened && source) return;
  close();
  if (!urls.length) return setMode("idle");
  opened = wanted;
  const mine = (source = new EventSource("/api/console/events?" + wanted));
  mine.onopen = () => {
    attempts = 0;
    setMode("live");
  };
  mine.addEventListener("data", (event) => {
    const { topic, data } = JSON.parse(event.data);
    deliver(topic, data);
  });
  mine.addEventListener("gone", (event) => {
    const { topic, status, reason } = JSON.parse(event.data);
    watched.get(topic)?.listeners.forEach((listener) => listener.failed(Object.assign(new Error(reason), { status })));
  });
  mine.onerror = () => {
    if (mine !== source) return;
    mine.close();
    source = null;
    opened = "";
    setMode("stale");
    const wait = RETRY_MS[Math.min(attempts++, RETRY_MS.length - 1)];
    timer = setTimeout(open, wait);
    if (attempts > 3 && !polling) {
      polling = setInterval(() => !state.paused && watched.forEach((_, url) => fetchOnce(url)), POLL_MS);
      setMode("polling");
    }
  };
}
