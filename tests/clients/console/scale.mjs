// Ten thousand queues and two thousand connections: lists stay quick and pages stay small.

import assert from 'node:assert/strict';
import { connect } from './amqp.mjs';
import { broker, logIn, open, scenario } from './suite.mjs';

/** The lines of the list that are in the page. */
const lines = (tab) => tab.locator('.scroller tbody tr').count();

/** Milliseconds `run` takes. */
async function timed(run) {
  const start = performance.now();
  await run();
  return performance.now() - start;
}

/** Scrolls through a list of `count` rows; milliseconds of the longest frame on the way. */
async function slowestFrame(tab) {
  return tab.evaluate(async () => {
    const el = document.querySelector('.scroller');
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    let slowest = 0;
    for (let step = 0; step <= 60; step++) {
      const start = performance.now();
      el.scrollTop = (el.scrollHeight / 60) * step;
      await frame();
      await frame();
      slowest = Math.max(slowest, (performance.now() - start) / 2);
    }
    return slowest;
  });
}

scenario('ten_thousand_queues_stay_quick', async () => {
  await broker.api('PUT', '/vhosts/many', {});
  const queues = Array.from({ length: 10_000 }, (_, i) => ({ name: `queue-${String(i).padStart(5, '0')}`, vhost: 'many', durable: true, auto_delete: false, arguments: {} }));
  await broker.api('PUT', '/permissions/many/guest', { configure: '.*', write: '.*', read: '.*' });
  await broker.api('POST', '/definitions', { queues });
  const tab = await logIn();
  const shown = await timed(async () => {
    await tab.evaluate(() => (location.hash = '#/queues?sort=name'));
    await tab.waitForSelector('.scroller tbody a');
  });
  assert.match(await tab.locator('.counted').innerText(), /^10,0\d\d queues/);
  assert((await lines(tab)) < 80, 'only the rows in sight are in the page');
  await tab.evaluate(() => (document.querySelector('.scroller').scrollTop = 5000 * 36));
  await tab.waitForSelector('.scroller a:has-text("queue-049")');
  const frame = await slowestFrame(tab);
  const sorted = await timed(async () => {
    await tab.click('.scroller th button:has-text("Ready")');
    await tab.waitForSelector('.scroller th[aria-sort="descending"]:has-text("Ready")');
    await tab.waitForSelector('.scroller a:has-text("orders")');
  });
  await tab.fill('#filter', 'queue-09999');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.startsWith('1 of'));
  console.error(`10,000 queues: shown in ${shown.toFixed(0)} ms, sorted in ${sorted.toFixed(0)} ms, slowest frame ${frame.toFixed(0)} ms`);
  // Generous: what is meant are seconds, on whatever machine this runs.
  assert(shown < 4000 && frame < 500, `shown in ${shown} ms, slowest frame ${frame} ms`);
});

scenario('two_thousand_connections_stay_quick', async () => {
  const { listeners } = await broker.api('GET', '/overview');
  const { port } = listeners.find((listener) => listener.protocol === 'amqp');
  const clients = [];
  for (let i = 0; i < 2000; i += 50) clients.push(...(await Promise.all(Array.from({ length: 50 }, (_, n) => connect(port, `client-${String(i + n).padStart(4, '0')}`)))));
  const tab = await logIn();
  await tab.waitForFunction(() => /2,00\d/.test(document.querySelector('.figures')?.innerText ?? ''));
  const shown = await timed(async () => {
    await tab.evaluate(() => (location.hash = '#/connections'));
    await tab.waitForSelector('.scroller tbody a');
  });
  assert((await lines(tab)) < 80, 'only the rows in sight are in the page');
  const frame = await slowestFrame(tab);
  await tab.fill('#filter', 'client:client-1999');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.startsWith('1 of 2,0'));
  console.error(`2,000 connections: shown in ${shown.toFixed(0)} ms, slowest frame ${frame.toFixed(0)} ms`);
  assert(shown < 4000 && frame < 500, `shown in ${shown} ms, slowest frame ${frame} ms`);
  clients.forEach((client) => client.end());
});
