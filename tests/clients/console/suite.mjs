// What the scenarios share: the browser, logging in, going to a page, and the list of them all.

import { chromium } from 'playwright-core';
import { connect, consuming, publishing } from './amqp.mjs';
import { startBroker } from './broker.mjs';

const all = [];

/** Adds a scenario; they run in the order they are added. */
export const scenario = (name, run) => all.push({ name, run });
export const scenarios = all;

/** Set by `start`. */
export let broker;
export let browser;

export async function start() {
  broker = await startBroker();
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'] });
  await fill();
}

/** A fresh page that nobody is logged in on. */
export async function page(options = {}) {
  // The page's own policy forbids what the checker and the waiting need.
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, bypassCSP: true, ...options });
  context.setDefaultTimeout(15_000);
  const tab = await context.newPage();
  tab.errors = [];
  tab.on('pageerror', (error) => tab.errors.push(error.message));
  return tab;
}

/** A page that guest is logged in on. */
export async function logIn(options) {
  const tab = await page(options);
  await tab.goto(broker.url + '/');
  await tab.fill('#username', 'guest');
  await tab.fill('#password', 'guest');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('main h1:has-text("Overview")');
  return tab;
}

/** Goes to a page of the console and waits until it shows what it is about. */
export async function open(tab, address) {
  await tab.evaluate((hash) => (location.hash = hash), '#/' + address);
  await tab.waitForFunction(() => document.querySelector('main h1') && !document.querySelector('main')?.innerText.includes('Loading…'));
}

async function fill() {
  await broker.api('PUT', '/exchanges/%2F/shop', { type: 'topic', durable: true });
  for (const name of ['orders', 'audit']) await broker.api('PUT', `/queues/%2F/${name}`, { durable: true });
  await broker.api('POST', '/bindings/%2F/e/shop/q/orders', { routing_key: 'order.*' });
  for (let i = 0; i < 5; i++) {
    const properties = { delivery_mode: 2, content_type: 'application/json', headers: { tenant: i % 2 ? 'acme' : 'globex' } };
    await broker.api('POST', '/exchanges/%2F/shop/publish', { properties, routing_key: 'order.created', payload: JSON.stringify({ number: i }), payload_encoding: 'string' });
  }
}

async function amqpPort() {
  const { listeners } = await broker.api('GET', '/overview');
  return listeners.find((listener) => listener.protocol === 'amqp').port;
}

/** A consumer on the broker, holding up to `prefetch` messages. */
export async function consumer(queue, tag, prefetch) {
  return connect(await amqpPort(), `client of ${tag}`, consuming(queue, tag, prefetch));
}

/** A client that has published a message. */
export async function publisher(name, exchange, key, text) {
  return connect(await amqpPort(), name, publishing(exchange, key, text));
}
