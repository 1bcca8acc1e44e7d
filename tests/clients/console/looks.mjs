// Every page in both themes, on a desk and on a phone: it draws, has no barriers, and fits.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { createRequire } from 'node:module';
import { logIn, open, page, broker, scenario } from './suite.mjs';

const axe = fs.readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const PAGES = ['', 'queues', 'queues/%2F/orders', 'queues/%2F/orders?tab=messages', 'queues/%2F/orders?tab=unacked', 'queues/%2F/orders?tab=consumers', 'queues/%2F/orders?tab=bindings', 'queues/%2F/orders?tab=map', 'queues/%2F/orders?tab=settings', 'queues/%2F/orders?tab=publish',
  'exchanges', 'exchanges/%2F/shop?tab=bindings', 'exchanges/%2F/shop?tab=map', 'connections', 'channels', 'consumers', 'publish', 'route', 'vhosts', 'vhosts/%2F', 'users', 'users/guest', 'policies', 'limits', 'definitions', 'node', 'logs', 'audit'];

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
    assert.deepEqual(await tab.locator('main .notice.bad').allInnerTexts(), [], address);
  }
  assert.deepEqual(tab.errors, []);
});

/** What axe finds on the page as it is, a line each. */
async function barriers(tab, where) {
  // What fades in has less contrast on its way.
  await tab.evaluate(() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished)));
  await tab.evaluate(axe);
  const found = await tab.evaluate(() => window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] }));
  return found.violations.map((v) => `${where}: ${v.id} ${v.nodes[0].target}`);
}

for (const [colorScheme, width] of [['light', 1440], ['light', 360], ['dark', 1440], ['dark', 360]]) {
  scenario(`no_barriers_in_the_${colorScheme}_theme_at_${width}`, async () => {
    const tab = await logIn({ colorScheme, viewport: { width, height: 900 } });
    for (const address of PAGES) {
      await open(tab, address);
      assert.deepEqual(await barriers(tab, `${address} at ${width}`), []);
      const wider = await tab.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert(wider <= 0, `${address} is ${wider} px wider than ${width}`);
      if (process.env.SCREENSHOTS) await tab.screenshot({ path: `${process.env.SCREENSHOTS}/${address.replace(/\W+/g, '-') || 'overview'}-${colorScheme}-${width}.png` });
    }
  });
}

/** Dialogs and what opens within pages: where, and what is pressed one after the other. */
const OPENED = [
  ['queues', 'button:has-text("New queue")', 'dialog .chips button >> nth=0', 'dialog .copyas summary'],
  ['queues', 'summary[aria-label="Columns and export"]'],
  ['queues', '.scroller tbody input >> nth=0', '.chosen button:has-text("Delete")'],
  ['queues/%2F/orders?tab=messages', 'table.messages .preview >> nth=0'],
  ['queues/%2F/orders?tab=messages', 'main button:has-text("Replay…")'],
  ['policies', 'main button:has-text("New policy") >> nth=0'],
  ['users', 'main button:has-text("New user")', 'dialog .copyas summary'],
  ['publish', 'main fieldset button >> nth=0', 'main .copyas summary'],
  ['', '.chart summary >> nth=0'],
  ['', '.top .find'],
];

for (const colorScheme of ['light', 'dark']) {
  scenario(`no_barriers_in_${colorScheme}_dialogs`, async () => {
    const tab = await logIn({ colorScheme });
    for (const [address, ...presses] of OPENED) {
      await open(tab, address);
      for (const press of presses) await tab.click(press);
      assert.deepEqual(await barriers(tab, `${address} after ${presses.at(-1)}`), []);
      await tab.keyboard.press('Escape');
      await tab.reload();
      await tab.waitForSelector('main h1');
    }
  });
}
