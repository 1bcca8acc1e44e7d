// The console as an operator uses it: Chromium against a broker of its own.
//
// Prints the lines `tests/clients/run` counts. Arguments are names of scenarios, `*` allowed.
// SCREENSHOTS names a folder for pictures of every page at 1440 and 390 px in both themes.

import { chromium } from 'playwright-core';
import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { startBroker } from './broker.mjs';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PAGES = ['', 'queues', 'queues/%2F/orders', 'queues/%2F/orders?tab=messages', 'queues/%2F/orders?tab=bindings', 'queues/%2F/orders?tab=settings', 'queues/%2F/orders?tab=publish',
  'exchanges', 'exchanges/%2F/shop?tab=bindings', 'connections', 'channels', 'consumers', 'publish', 'route', 'vhosts', 'vhosts/%2F', 'users', 'users/guest', 'policies', 'limits', 'definitions', 'node'];

const all = [];
const scenario = (name, run) => all.push({ name, run });
let broker;
let browser;

async function page(options = {}) {
  // The page's own policy forbids what the checker and the waiting need.
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, bypassCSP: true, ...options });
  context.setDefaultTimeout(8_000);
  const tab = await context.newPage();
  tab.errors = [];
  tab.on('pageerror', (error) => tab.errors.push(error.message));
  return tab;
}

async function logIn(options) {
  const tab = await page(options);
  await tab.goto(broker.url + '/');
  await tab.fill('#username', 'guest');
  await tab.fill('#password', 'guest');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('main h1:has-text("Overview")');
  return tab;
}

async function open(tab, address) {
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

scenario('wrong_password_is_refused', async () => {
  const tab = await page();
  await tab.goto(broker.url + '/');
  await tab.fill('#username', 'guest');
  await tab.fill('#password', 'wrong');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('#login-error:has-text("Login failed")');
});

scenario('every_page_draws_without_an_error', async () => {
  const tab = await logIn();
  for (const address of PAGES) {
    await open(tab, address);
    assert(!(await tab.locator('main .notice.bad').count()), `${address}: ${await tab.locator('main .notice.bad').first().innerText().catch(() => '')}`);
  }
  assert.deepEqual(tab.errors, []);
});

for (const colorScheme of ['light', 'dark']) {
  scenario(`no_barriers_in_the_${colorScheme}_theme`, async () => {
    for (const width of [1440, 360]) {

      const tab = await logIn({ colorScheme, viewport: { width, height: 900 } });
      for (const address of PAGES) {
        await open(tab, address);
        await tab.evaluate(axe);
        const found = await tab.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
        assert.deepEqual(found.violations.map((v) => `${address} at ${width}: ${v.id} ${v.nodes[0].target}`), []);
        const wider = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        assert(wider <= 0, `${address} is ${wider} px wider than ${width}`);
        if (process.env.SCREENSHOTS && width === 1440) await tab.screenshot({ path: `${process.env.SCREENSHOTS}/${address.replace(/\W+/g, '-') || 'overview'}-${colorScheme}-${width}.png` });
      }
      await tab.context().close();
    }
  });
}

scenario('create_publish_and_delete_a_queue', async () => {
  const tab = await logIn();
  await open(tab, 'queues');
  await tab.click('button:has-text("New queue")');
  await tab.fill('dialog #f-name', 'made-here');
  await tab.click('dialog button:has-text("Create queue")');
  await tab.waitForSelector('a:has-text("made-here")');
  await open(tab, 'queues/%2F/made-here?tab=publish');
  await tab.fill('main #f-payload', 'hello');
  await tab.waitForSelector('main .badge.good:has-text("made-here")');
  await tab.click('main button:has-text("Publish"):not([role])');
  await tab.waitForSelector('.toast:has-text("Published 1 message")');
  assert.equal((await broker.api('POST', '/queues/%2F/made-here/get', { count: 1, ackmode: 'ack_requeue_true', encoding: 'auto' }))[0].payload, 'hello');
  await tab.click('main button:has-text("Delete")');
  await tab.fill('dialog #confirm-word', 'made-here');
  await tab.click('dialog button:has-text("Delete queue")');
  await tab.waitForSelector('main h1:has-text("Queues")');
  await assert.rejects(broker.api('GET', '/queues/%2F/made-here'), /404/);
});

scenario('browse_filter_move_and_delete_messages', async () => {
  const tab = await logIn();
  await open(tab, 'queues/%2F/orders?tab=messages');
  await tab.waitForSelector('table.messages tbody tr >> nth=4');
  await tab.fill('main #filter', 'header.tenant:acme');
  await tab.click('main button:has-text("Filter")');
  await tab.waitForFunction(() => document.querySelectorAll('table.messages tbody tr').length === 2);
  await tab.click('table.messages .preview >> nth=0');
  await tab.waitForSelector('dialog pre.body:has-text("number")');
  await tab.keyboard.press('Escape');
  await tab.check('table.messages tbody input >> nth=0');
  await tab.click('main .chosen button:has-text("Move")');
  await tab.fill('dialog #f-routing-key', 'audit');
  await tab.click('dialog button:has-text("Move")');
  await tab.waitForSelector('.toast:has-text("Moved 1 message")');
  const [moved] = await broker.api('POST', '/queues/%2F/audit/get', { count: 1, ackmode: 'ack_requeue_false', encoding: 'auto' });
  assert.equal(moved.properties.headers.tenant, 'acme');
  await tab.waitForFunction(() => document.querySelectorAll('table.messages tbody tr').length === 1);
  await tab.check('table.messages tbody input >> nth=0');
  await tab.click('main .chosen button:has-text("Delete")');
  await tab.click('dialog button:has-text("Delete")');
  await tab.waitForSelector('.toast:has-text("Deleted 1 message")');
  const left = await broker.api('POST', '/queues/%2F/orders/get', { count: 10, ackmode: 'ack_requeue_true', encoding: 'auto' });
  assert.equal(left.length, 3);
  // Looking marked nothing as redelivered.
  assert(left.every((message) => !message.redelivered));
});

scenario('dead_letters_are_replayed_to_their_origin', async () => {
  await broker.api('PUT', '/queues/%2F/dead', { durable: true });
  await broker.api('PUT', '/queues/%2F/work', { durable: true, arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'dead' } });
  for (let i = 0; i < 3; i++) await broker.api('POST', '/exchanges/%2F/amq.default/publish', { properties: { delivery_mode: 2 }, routing_key: 'work', payload: `${i}`, payload_encoding: 'string' });
  await broker.api('POST', '/queues/%2F/work/get', { count: 3, ackmode: 'reject_requeue_false', encoding: 'auto' });
  const tab = await logIn();
  await open(tab, 'queues/%2F/dead?tab=messages');
  await tab.waitForSelector('table.messages .badge:has-text("rejected")');
  await tab.click('main button:has-text("Replay…")');
  await tab.click('dialog button:has-text("Start")');
  await tab.waitForSelector('.job:has-text("3 of 3 messages would be replayed")');
  await tab.click('main button:has-text("Replay…")');
  await tab.uncheck('dialog #f-dry-run');
  await tab.click('dialog button:has-text("Start")');
  await tab.waitForSelector('.job:has-text("Done: 3 of 3 messages replayed")');
  const back = await broker.api('POST', '/queues/%2F/work/get', { count: 5, ackmode: 'ack_requeue_false', encoding: 'auto' });
  assert.deepEqual(back.map((m) => m.payload), ['0', '1', '2']);
  assert.equal(back[0].properties.headers['x-replayed'], true);
});

scenario('a_change_is_seen_without_reloading', async () => {
  const tab = await logIn();
  await open(tab, 'queues');
  await broker.api('PUT', '/queues/%2F/came-later', { durable: true });
  await tab.waitForSelector('a:has-text("came-later")', { timeout: 10000 });
  await tab.waitForSelector('.top .live.live');
});

scenario('the_route_tester_says_why_not', async () => {
  const tab = await logIn();
  await open(tab, 'route');
  await tab.fill('main #filter', 'shop');
  await tab.fill('main #f-routing-key', 'order.created.eu');
  await tab.waitForSelector('.hops .no:has-text("the key has more words")');
  await tab.fill('main #f-routing-key', 'order.created');
  await tab.waitForSelector('.hops .yes:has-text("queue orders")');
});

scenario('a_journey_without_a_mouse', async () => {
  const tab = await page();
  await tab.goto(broker.url + '/');
  await tab.waitForSelector('#username');
  await tab.keyboard.type('guest');
  await tab.keyboard.press('Tab');
  await tab.keyboard.type('guest');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('main h1:has-text("Overview")');
  await tab.keyboard.press('g');
  await tab.keyboard.press('q');
  await tab.waitForSelector('main h1:has-text("Queues")');
  await tab.keyboard.press('/');
  await tab.keyboard.type('orders');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.startsWith('1 of'));
  await tab.keyboard.press('Escape');
  await tab.focus('.scroller');
  await tab.keyboard.press('j');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('main h1:has-text("orders")');
  await tab.keyboard.press('Control+k');
  await tab.keyboard.type('audit');
  await tab.waitForSelector('.palette li:has-text("audit")');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('main h1:has-text("audit")');
});

scenario('ten_thousand_queues_stay_quick', async () => {
  await broker.api('PUT', '/vhosts/many', {});
  const queues = Array.from({ length: 10000 }, (_, i) => ({ name: `queue-${String(i).padStart(5, '0')}`, vhost: 'many', durable: true, auto_delete: false, arguments: {} }));
  await broker.api('PUT', '/permissions/many/guest', { configure: '.*', write: '.*', read: '.*' });
  await broker.api('POST', '/definitions', { queues });
  const tab = await logIn();
  await open(tab, 'queues?sort=name');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.includes('10,0'));
  assert((await tab.locator('.scroller tbody tr').count()) < 80, 'only the rows in sight are in the page');
  await tab.evaluate(() => (document.querySelector('.scroller').scrollTop = 5000 * 36));
  await tab.waitForSelector('.scroller a:has-text("queue-049")');
  await tab.fill('#filter', 'queue-09999');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.startsWith('1 of'));
});

const wanted = process.argv.slice(2).map((name) => new RegExp(`^${name.replaceAll('*', '.*')}$`));
let failed = false;
broker = await startBroker();
browser = await chromium.launch({ executablePath: process.env.CHROMIUM || '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu', '--disable-background-networking', '--no-first-run'] });
try {
  await fill();
  for (const { name, run } of all) {
    if (wanted.length && !wanted.some((pattern) => pattern.test(name))) continue;
    const start = Date.now();
    try {
      await run();
      console.log(`ok   console ${name} ${((Date.now() - start) / 1000).toFixed(2)}s`);
    } catch (error) {
      failed = true;
      console.log(`FAIL console ${name} ${((Date.now() - start) / 1000).toFixed(2)}s: ${String(error.message).replace(/\s+/g, ' ').slice(0, 300)}`);
      console.error(error);
    }
    for (const context of browser.contexts()) await context.close();
  }
} finally {
  await browser.close();
  await broker.stop();
}
process.exit(failed ? 1 : 0);
