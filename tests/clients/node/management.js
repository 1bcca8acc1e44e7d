// RabbitMQ's management API as far as scenarios of AMQP clients need it. Knows no AMQP library.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const { assert, settings, Skip } = require('./scenarios');

// Where the API is; the port of a broker of ours differs from start to start.
function address() {
  if (process.env.MANAGEMENT_URL) return process.env.MANAGEMENT_URL;
  if (process.env.BROKER_STATE) {
    const banner = fs.readFileSync(path.join(process.env.BROKER_STATE, 'stdout'), 'utf8');
    const found = /^\s*Management\s+(http\S+)/m.exec(banner);
    if (found) return `${found[1].replace(/\/+$/, '')}/api`;
  }
  throw new Skip('MANAGEMENT_URL names no management API');
}

// The JSON that `method` on the segments of a path answers; null when it answers nothing.
async function call(method, segments, body) {
  const answer = await fetch([address(), ...segments.map(encodeURIComponent)].join('/'), {
    method,
    headers: {
      authorization: `Basic ${Buffer.from(`${settings.username}:${settings.password}`).toString('base64')}`,
      'content-type': 'application/json',
    },
    body: body && JSON.stringify(body),
  });
  const text = await answer.text();
  assert(answer.ok, `${method} ${segments.join('/')}: ${answer.status} ${text}`);
  return text ? JSON.parse(text) : null;
}

// Runs `work` while a policy for the queues or exchanges of exactly that name is in force; it may be
// given another definition meanwhile.
async function withPolicy(kind, name, definition, work) {
  const put = (wanted) =>
    call('PUT', ['policies', '/', name], { pattern: `^${name}$`, 'apply-to': kind, definition: wanted });
  await put(definition);
  try {
    await work(put);
  } finally {
    await call('DELETE', ['policies', '/', name]);
  }
}

module.exports = { call, withPolicy };
