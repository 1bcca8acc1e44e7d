// The console as an operator uses it: Chromium against a broker of its own.
//
// Prints the lines `tests/clients/run` counts. Arguments are names of scenarios, `*` allowed.
// SCREENSHOTS names a folder for pictures of every page at 1440 and 360 px in both themes.

import { broker, browser, scenarios, start } from './suite.mjs';
import './looks.mjs';
import './work.mjs';
import './tools.mjs';
import './scale.mjs';

// A scenario takes seconds; on a busy machine the walk over all pages a minute or two.
const SCENARIO_MS = 240_000;
const END_MS = 10_000;

/** Fails when `run` has not ended after `ms`: nothing may keep the suite from its end. */
function within(ms, run, what) {
  let timer;
  const late = new Promise((_, reject) => (timer = setTimeout(() => reject(new Error(`${what} took longer than ${ms / 1000} s`)), ms)));
  return Promise.race([run, late]).finally(() => clearTimeout(timer));
}

const wanted = process.argv.slice(2).map((name) => new RegExp(`^${name.replaceAll('*', '.*')}$`));
let failed = false;
try {
  await within(SCENARIO_MS, start(), 'starting');
  for (const { name, run } of scenarios) {
    if (wanted.length && !wanted.some((pattern) => pattern.test(name))) continue;
    const since = Date.now();
    try {
      await within(SCENARIO_MS, run(), name);
      console.log(`ok   console ${name} ${((Date.now() - since) / 1000).toFixed(2)}s`);
    } catch (error) {
      failed = true;
      console.log(`FAIL console ${name} ${((Date.now() - since) / 1000).toFixed(2)}s: ${String(error.message).replace(/\s+/g, ' ').slice(0, 300)}`);
      console.error(error);
    }
    for (const context of browser.contexts()) await within(END_MS, context.close(), 'closing a page').catch(() => {});
  }
} finally {
  await within(END_MS, browser?.close() ?? Promise.resolve(), 'closing the browser').catch(() => {});
  await broker?.stop();
}
process.exit(failed ? 1 : 0);
