// A tiny runner: scenarios are async functions, run one after another, each with a time limit.
//
// Prints the same lines as the Python suites (`ok   amqplib hello_world 0.03s`), which
// `tests/clients/run` counts. Arguments on the command line are names of scenarios, `*` allowed.
// Nothing here knows an AMQP library.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const crypto = require('node:crypto');
const path = require('node:path');

const env = process.env;
const settings = {
  hostname: env.AMQP_HOST || '127.0.0.1',
  port: Number(env.AMQP_PORT || 5672),
  username: env.AMQP_USER || 'guest',
  password: env.AMQP_PASSWORD || 'guest',
};

class Skip extends Error {}

const all = [];

// Adds a scenario; `shows` is the sentence that says what it is about.
function scenario(name, shows, run, limitSeconds = 30) {
  assert(shows, `${name} does not say what it shows`);
  all.push({ name, run, limitSeconds });
}

// A name nobody else uses, for queues and exchanges.
const fresh = (what = 'q') => `clients.${what}.${crypto.randomBytes(5).toString('hex')}`;

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Waits until the (possibly async) condition holds; returns its value.
async function until(condition, what, limitSeconds = 10) {
  const end = Date.now() + limitSeconds * 1000;
  for (;;) {
    const value = await condition();
    if (value) return value;
    assert(Date.now() < end, `waited ${limitSeconds} s in vain for ${what}`);
    await pause(20);
  }
}

// Runs `broker.sh start|stop|kill`; skips the scenario when the broker is not ours.
function broker(command) {
  if (!env.BROKER_STATE) throw new Skip('the broker is not ours to restart');
  const control = path.join(__dirname, '..', 'broker.sh');
  return new Promise((resolve, reject) => {
    execFile(control, [command], { timeout: 120_000 }, (error, _out, text) =>
      error ? reject(new Error(`broker.sh ${command} failed: ${text}`)) : resolve());
  });
}

function limited({ run, limitSeconds }) {
  let timer;
  const late = new Promise((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`did not end within ${limitSeconds} s`)), limitSeconds * 1000);
  });
  return Promise.race([run(), late]).finally(() => clearTimeout(timer));
}

async function report(suite, one) {
  const start = Date.now();
  try {
    await limited(one);
    console.log(`ok   ${suite} ${one.name} ${((Date.now() - start) / 1000).toFixed(2)}s`);
    return true;
  } catch (error) {
    if (error instanceof Skip) {
      console.log(`skip ${suite} ${one.name}: ${error.message}`);
      return true;
    }
    const text = String(error.message).replace(/\s+/g, ' ').slice(0, 300);
    console.log(`FAIL ${suite} ${one.name} ${((Date.now() - start) / 1000).toFixed(2)}s: ${text}`);
    console.error(error);
    return false;
  }
}

// Runs all scenarios, or those named on the command line; the exit code is 1 if one failed.
async function main(suite) {
  const wanted = process.argv.slice(2).map((glob) => new RegExp(`^${glob.replaceAll('*', '.*')}$`));
  const chosen = all.filter(({ name }) => !wanted.length || wanted.some((glob) => glob.test(name)));
  if (!chosen.length) {
    console.error(`no scenario of ${suite} is called ${process.argv.slice(2).join(' or ')}`);
    process.exit(1);
  }
  let good = true;
  for (const one of chosen) good = (await report(suite, one)) && good;
  // Connections a failed scenario left behind must not keep the process.
  process.exit(good ? 0 : 1);
}

module.exports = { assert, broker, fresh, main, pause, scenario, settings, Skip, until };
