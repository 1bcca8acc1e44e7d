// The HTTP API: one place that fetches, knows the session and turns failures into `ApiError`.

export class ApiError extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

/** Set by main: called when the session is no longer valid. */
export const session = { user: null, ended: () => {} };

/** A path from segments: `path("queues", "/", "a b")` is `/api/queues/%2F/a%20b`. */
export function path(...segments) {
  return "/api/" + segments.map(encodeURIComponent).join("/");
}

/** `?a=1&b=2` of what is set. */
export function query(params) {
  const pairs = Object.entries(params).filter(([, value]) => value !== undefined && value !== null && value !== "");
  return pairs.length ? "?" + new URLSearchParams(pairs) : "";
}

async function reason(response) {
  const text = await response.text();
  try {
    const body = JSON.parse(text);
    return typeof body.reason === "string" ? body.reason : text;
  } catch {
    return text || `${response.status} ${response.statusText}`;
  }
}

async function request(method, url, body, headers = {}) {
  // The header cannot be sent by a form on another site.
  const init = { method, headers: { "x-warren-console": "1", ...headers }, credentials: "same-origin" };
  if (body !== undefined) {
    init.headers["content-type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(url, init);
  } catch {
    throw new ApiError(0, "The broker cannot be reached");
  }
  if (response.status === 401 && session.user && !url.startsWith("/api/console/session")) {
    const why = await reason(response);
    // Without a reason, or with a failed login, the session is over; else it is a matter of tags.
    if (!why || /login|^401/i.test(why)) session.ended();
    throw new ApiError(401, why || "The session has ended");
  }
  if (!response.ok) throw new ApiError(response.status, await reason(response));
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** The bytes of an answer. */
export async function getBytes(url) {
  const response = await fetch(url, { headers: { "x-warren-console": "1" }, credentials: "same-origin" });
  if (!response.ok) throw new ApiError(response.status, await reason(response));
  return new Uint8Array(await response.arrayBuffer());
}

export const get = (url) => request("GET", url);
export const put = (url, body = {}, headers) => request("PUT", url, body, headers);
export const post = (url, body = {}, headers) => request("POST", url, body, headers);
export const del = (url, headers) => request("DELETE", url, undefined, headers);
