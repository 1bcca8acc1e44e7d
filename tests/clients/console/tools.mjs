// What makes an operator's day shorter: templates, ways to look at a body, a file's differences,
// the log, the audit, live tracing, lists as one likes them.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import zlib from 'node:zlib';
import { broker, consumer, logIn, open, publisher, scenario } from './suite.mjs';

const put = (queue, payload, properties = {}, payload_encoding = 'string') => broker.api('POST', '/exchanges/%2F/amq.default/publish', { properties, routing_key: queue, payload, payload_encoding });

/** The text of the file that `act` makes the page save. */
async function saved(tab, act) {
  const [file] = await Promise.all([tab.waitForEvent('download'), act()]);
  return { name: file.suggestedFilename(), text: fs.readFileSync(await file.path(), 'utf8') };
}

scenario('dead_letters_call_for_attention', async () => {
  await broker.api('PUT', '/queues/%2F/grave', { durable: true });
  await broker.api('PUT', '/queues/%2F/mortal', { durable: true, arguments: { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'grave' } });
  for (const n of [1, 2]) await put('mortal', `${n}`);
  await broker.api('POST', '/queues/%2F/mortal/get', { count: 2, ackmode: 'reject_requeue_false', encoding: 'auto' });
  const tab = await logIn();
  await tab.click('.attention li:has-text("dead-lettered") a');
  await tab.waitForSelector('main h1:has-text("Queues")');
  await tab.waitForSelector('.scroller a:has-text("grave")');
  assert.equal(await tab.locator('.scroller a:has-text("mortal")').count(), 0);
});

scenario('the_publish_form_remembers_and_repeats', async () => {
  await broker.api('PUT', '/queues/%2F/forms', { durable: true });
  const tab = await logIn();
  await open(tab, 'publish');
  await tab.fill('#f-routing-key', 'forms');
  await tab.waitForSelector('main .badge.good:has-text("forms")');
  await tab.fill('#f-content-type', 'application/json');
  await tab.fill('#f-payload', '{"n": {{n}');
  await tab.waitForSelector('main .hint.bad:has-text("Not valid JSON")');
  assert(await tab.isDisabled('main button[type="submit"]'));
  await tab.fill('#f-payload', '{"n": {{n}}}');
  await tab.click('main fieldset:has-text("Headers") button:has-text("Add")');
  await tab.fill('main [aria-label="Argument name"]', 'try');
  await tab.selectOption('main select[aria-label="Type of try"]', 'number');
  await tab.fill('main [aria-label="Value of try"]', 'x');
  await tab.waitForSelector('main [aria-label="Value of try"][aria-invalid="true"]');
  await tab.fill('main [aria-label="Value of try"]', '7');
  await tab.click('main summary:has-text("Copy as")');
  await tab.waitForSelector('main .copyas pre:has-text("/publish")');
  await tab.click('main .copyas button:has-text("rabbitmqadmin")');
  await tab.waitForSelector('main .copyas pre:has-text("publish message")');
  await tab.fill('#f-how-many', '3');
  await tab.click('main button:has-text("Publish 3")');
  await tab.waitForSelector('.toast:has-text("Published 3 messages to forms")');
  const got = await broker.api('POST', '/queues/%2F/forms/get', { count: 5, ackmode: 'ack_requeue_false', encoding: 'auto' });
  assert.deepEqual(got.map((m) => m.payload), ['{"n": 1}', '{"n": 2}', '{"n": 3}']);
  assert.equal(got[0].properties.headers.try, 7);
  await tab.fill('#template-name', 'three');
  await tab.click('main .save button');
  await tab.reload();
  await tab.waitForSelector('main .history:has-text("three")');
  await tab.click('main .history button:has-text("three")');
  await tab.waitForFunction(() => document.querySelector('#f-payload').value === '{"n": {{n}}}' && document.querySelector('#f-how-many').value === '3');
  await tab.waitForSelector('main .card:has-text("Published before") .history li');
});

scenario('bodies_are_found_and_read_as_they_were_meant', async () => {
  await broker.api('PUT', '/queues/%2F/bodies', { durable: true });
  await put('bodies', JSON.stringify({ order: { items: [{ sku: 'x' }], total: 12 } }), { content_type: 'application/json' });
  await put('bodies', '<order><item sku="x"/><note>two words</note></order>', { content_type: 'application/xml' });
  await put('bodies', zlib.gzipSync('{"order": {"items": [{"sku": "y z"}], "total": 99}}').toString('base64'), { content_encoding: 'gzip' }, 'base64');
  const long = 'x'.repeat(40_000);
  await put('bodies', long);
  const tab = await logIn();
  await open(tab, 'queues/%2F/bodies?tab=messages');
  const rows = (n) => tab.waitForFunction((n) => document.querySelectorAll('table.messages tbody tr').length === n, n);
  const filter = async (text) => {
    await tab.fill('main #filter', text);
    await tab.click('main button:has-text("Filter")');
  };
  await rows(4);
  await filter('$.order.items[0].sku = "x"');
  await rows(1);
  await filter('$.order.items[*].sku = "y z" bytes>1');
  await rows(1);
  await tab.click('table.messages .preview');
  await tab.waitForSelector('dialog pre.body:has-text("y z")');
  await tab.click('dialog button:has-text("As sent")');
  await tab.waitForSelector('dialog pre.body:has-text("1f 8b 08")');
  await tab.click('dialog button:has-text("From gzip")');
  const file = await saved(tab, () => tab.click('dialog button:has-text("Download")'));
  assert.equal(JSON.parse(file.text).order.total, 99);
  await tab.keyboard.press('Escape');
  await filter('$.order.total >');
  await tab.waitForSelector('main .notice.bad:has-text("a value is missing")');
  await filter('body~"two words"');
  await rows(1);
  await tab.click('table.messages .preview');
  await tab.waitForSelector('dialog .segmented button:has-text("XML")[aria-pressed="true"]');
  assert.equal(await tab.innerText('dialog pre.body'), '<order>\n  <item sku="x"/>\n  <note>two words</note>\n</order>');
  await tab.keyboard.press('Escape');
  await filter('bytes>10000');
  await rows(1);
  await tab.click('table.messages .preview');
  await tab.click('dialog button:has-text("Show all")');
  await tab.waitForFunction(() => document.querySelector('dialog pre.body').textContent.length === 40_000);
});

scenario('a_file_of_definitions_is_compared_before_it_is_imported', async () => {
  const now = await broker.api('GET', '/definitions');
  const file = { queues: [{ name: 'from-file', vhost: '/', durable: true, auto_delete: false, arguments: {} }, now.queues.find((q) => q.name === 'orders')], policies: [{ name: 'from-file', vhost: '/', pattern: '^from-file$', definition: { 'max-length': 5 }, priority: 0, 'apply-to': 'queues' }] };
  const tab = await logIn();
  await open(tab, 'definitions');
  await tab.setInputFiles('#file', { name: 'some.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(file)) });
  await tab.click('main button:has-text("Try without changing")');
  await tab.waitForSelector('main .diff:has-text("2 objects new, 0 different, 1 as they are now")');
  await assert.rejects(broker.api('GET', '/queues/%2F/from-file'), /404/);
  await tab.click('main button:has-text("Import"):not(:has-text("Try"))');
  await tab.waitForSelector('.toast:has-text("Definitions imported")');
  file.policies[0].definition['max-length'] = 9;
  await tab.setInputFiles('#file', { name: 'some.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(file)) });
  await tab.click('main button:has-text("Try without changing")');
  await tab.waitForSelector('main .diff tr:has-text("different"):has-text(\'{"max-length":5} → {"max-length":9}\')');
  await broker.api('DELETE', '/policies/%2F/from-file');
});

scenario('the_log_is_followed', async () => {
  const tab = await logIn();
  await open(tab, 'logs');
  await tab.waitForSelector('.log .text');
  const client = await consumer('orders', 'logged', 1);
  await tab.waitForSelector('.log .info:has-text("accepting AMQP connection")');
  await tab.fill('#filter', 'no line has this in it');
  await tab.waitForSelector('main .empty:has-text("No line fits")');
  await tab.fill('#filter', 'GRANTED access');
  await tab.waitForFunction(() => [...document.querySelectorAll('.log .text')].every((line) => line.textContent.includes('granted access')));
  await tab.fill('#filter', '');
  await tab.click('main .segmented button:has-text("Errors")');
  await tab.waitForFunction(() => !document.querySelector('.log .info'));
  client.end();
});

scenario('the_audit_says_who_did_what', async () => {
  await broker.api('PUT', '/queues/%2F/audited', { durable: true });
  const tab = await logIn();
  await open(tab, 'audit');
  await tab.waitForSelector('main tr:has-text("queue declared"):has-text("audited"):has-text("guest")');
  await broker.api('DELETE', '/queues/%2F/audited/contents');
  await tab.waitForSelector('main tr:has-text("queue purged"):has-text("audited")');
  await tab.fill('#filter', 'purged audited');
  await tab.waitForFunction(() => document.querySelectorAll('main tbody tr').length === 1);
  await tab.click('main td a:has-text("audited")');
  await tab.waitForSelector('main h1:has-text("audited")');
});

scenario('messages_are_seen_as_they_pass', async () => {
  await broker.api('PUT', '/queues/%2F/passing', { durable: true });
  const client = await consumer('passing', 'passer', 10);
  const tab = await logIn();
  await open(tab, 'route');
  await tab.fill('#trace-queue', 'passing');
  await tab.click('main button:has-text("Start")');
  await tab.waitForSelector('main p:has-text("Waiting for the next message")');
  const other = await publisher('the publisher', '', 'passing', 'seen as it passes');
  await tab.waitForSelector('main .trace tr:has-text("published"):has-text("seen as it passes")');
  await tab.waitForSelector('main .trace tr:has-text("delivered"):has-text("passing")');
  await tab.click('main button:has-text("Stop")');
  assert.equal((await broker.api('GET', '/vhosts/%2F')).tracing, false);
  client.end();
  other.end();
});

scenario('clients_are_known_by_the_name_they_give', async () => {
  const client = await consumer('orders', 'named', 1);
  const tab = await logIn();
  for (const address of ['connections', 'channels', 'consumers']) {
    await open(tab, address);
    await tab.waitForSelector('.scroller tr:has-text("client of named")');
  }
  await open(tab, 'channels?filter=of+named');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.startsWith('1 of'));
  await open(tab, 'connections?filter=client:*named');
  await tab.check('.scroller tbody input >> nth=0');
  await tab.click('.chosen button:has-text("Close")');
  await tab.fill('dialog #close-reason', 'time to go');
  await tab.click('dialog button:has-text("Close connection")');
  await tab.waitForSelector('.toast:has-text("Closed 1 connection")');
  await tab.waitForSelector('main .empty:has-text("Nothing matches")');
  assert(client.seen.includes('10.50'), 'the client was told');
});

scenario('lists_are_as_one_likes_them', async () => {
  const tab = await logIn();
  await open(tab, 'queues?filter=ready>0');
  await tab.click('summary[aria-label="Saved views"]');
  await tab.fill('input[aria-label="Name of the view"]', 'waiting');
  await tab.keyboard.press('Enter');
  await open(tab, 'queues');
  await tab.click('.menu button:has-text("waiting")');
  await tab.waitForFunction(() => location.hash.includes('ready'));
  await tab.click('summary[aria-label="Columns and export"]');
  await tab.check('.menu label:has-text("Size") input');
  await tab.waitForSelector('.scroller th:has-text("Size")');
  const csv = await saved(tab, () => tab.click('.menu button:has-text("Export CSV")'));
  assert.match(csv.text, /^"name","vhost",/);
  assert(csv.text.includes('"orders"'));
  const json = await saved(tab, () => tab.click('.menu button:has-text("Export JSON")'));
  assert(JSON.parse(json.text).some((queue) => queue.name === 'orders'));
  await tab.waitForSelector('.scroller td.trend svg, .scroller td.trend .sr', { state: 'attached' });
});

scenario('many_queues_are_deleted_after_their_number_is_typed', async () => {
  for (const n of [1, 2, 3]) {
    await broker.api('PUT', `/queues/%2F/bulk-${n}`, { durable: true });
    await put(`bulk-${n}`, 'x');
  }
  const tab = await logIn();
  await open(tab, 'queues?filter=bulk-');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.startsWith('3 of'));
  await tab.check('.scroller thead input');
  await tab.click('.chosen button:has-text("Delete")');
  await tab.waitForSelector('dialog li:has-text("3 ready messages")');
  assert(await tab.isDisabled('dialog button:has-text("Delete")'));
  await tab.fill('dialog #confirm-word', '3');
  await tab.click('dialog button:has-text("Delete")');
  await tab.waitForSelector('main .empty:has-text("Nothing matches")');
});

scenario('a_chart_is_zoomed_and_read_as_a_table', async () => {
  const tab = await logIn();
  const box = await tab.locator('.chart canvas').first().boundingBox();
  const y = box.y + box.height / 2;
  await tab.mouse.move(box.x + box.width * 0.4, y);
  await tab.mouse.down();
  await tab.mouse.move(box.x + box.width * 0.7, y, { steps: 5 });
  await tab.mouse.up();
  await tab.click('.chart button:has-text("Whole range")');
  await tab.waitForFunction(() => ![...document.querySelectorAll('.chart button')].some((b) => b.textContent === 'Whole range'));
  await tab.click('.chart .legend >> nth=0');
  await tab.waitForSelector('.chart .legend[aria-pressed="false"]');
  await tab.click('.chart summary >> nth=0');
  await tab.waitForSelector('.chart table tbody tr >> nth=2');
  for (const range of ['10 min', '1 h', '8 h', '24 h']) {
    await tab.click(`main .segmented button:has-text("${range}")`);
    await tab.waitForSelector(`main .segmented button:has-text("${range}")[aria-pressed="true"]`);
  }
});

scenario('the_palette_does_things_too', async () => {
  const tab = await logIn();
  await tab.keyboard.press('Control+k');
  await tab.keyboard.type('new exch');
  await tab.waitForSelector('.palette li:has-text("New exchange")');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('dialog h2:has-text("New exchange")');
  await tab.keyboard.press('Escape');
  await tab.keyboard.press('Control+k');
  await tab.keyboard.type('pause');
  await tab.waitForSelector('.palette li:has-text("Pause updates")');
  await tab.keyboard.press('Enter');
  await tab.waitForSelector('.top .live.paused');
});
