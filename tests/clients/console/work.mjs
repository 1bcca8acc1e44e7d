// What an operator does: queues, messages, dead letters, routes, consumers, policies; with the mouse and without.

import assert from 'node:assert/strict';
import { broker, consumer, logIn, open, page, scenario } from './suite.mjs';

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
  await tab.click('table.messages .preview >> nth=0');
  await tab.waitForSelector('dialog .notice:has-text("It was rejected in work"):has-text("with key work")');
  await tab.click('dialog button:has-text("Return to origin")');
  await tab.waitForSelector('.toast:has-text("Moved 1 message")');
  const [returned] = await broker.api('POST', '/queues/%2F/work/get', { count: 1, ackmode: 'reject_requeue_false', encoding: 'auto' });
  assert.equal(returned.payload, '0');
  await tab.click('main button:has-text("Refresh")');
  await tab.waitForSelector('table.messages tbody tr >> nth=2');
  await tab.click('main button:has-text("Replay…")');
  await tab.click('dialog button:has-text("Start")');
  await tab.waitForSelector('.job:has-text("3 of 3 messages would be replayed")');
  await tab.click('main button:has-text("Replay…")');
  await tab.uncheck('dialog #f-dry-run');
  await tab.click('dialog button:has-text("Start")');
  await tab.waitForSelector('.job:has-text("Done: 3 of 3 messages replayed")');
  const back = await broker.api('POST', '/queues/%2F/work/get', { count: 5, ackmode: 'ack_requeue_false', encoding: 'auto' });
  assert.deepEqual(back.map((m) => m.payload).sort(), ['0', '1', '2']);
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

scenario('who_holds_what_and_a_hand_on_the_tap', async () => {
  await broker.api('PUT', '/queues/%2F/held', { durable: true });
  const client = await consumer('held', 'holder', 2);
  const put = (payload) => broker.api('POST', '/exchanges/%2F/amq.default/publish', { properties: {}, routing_key: 'held', payload, payload_encoding: 'string' });
  for (const payload of ['a', 'b', 'c']) await put(payload);
  const tab = await logIn();
  await open(tab, 'queues/%2F/held?tab=unacked');
  await tab.waitForSelector('main table.plain tbody tr >> nth=1');
  assert.equal(await tab.locator('main table.plain tbody tr').count(), 2);
  await tab.click('main .pagehead button:has-text("Pause")');
  await tab.waitForSelector('main .pagehead .state:has-text("paused")');
  await tab.click('main .pagehead button:has-text("Resume")');
  await tab.waitForSelector('main .pagehead .state:has-text("running")');
  await open(tab, 'queues/%2F/held?tab=consumers');
  await tab.waitForSelector('main table.plain .state:has-text("full")');
  await tab.click('main table.plain button:has-text("Pause")');
  await tab.waitForSelector('main table.plain .state:has-text("paused")');
  await tab.click('main table.plain button:has-text("Cancel")');
  await tab.click('dialog button:has-text("Cancel consumer")');
  await tab.waitForSelector('main .empty:has-text("No consumers")');
  assert(client.seen.includes('60.30'), 'the client was told');
  client.end();
});

scenario('lists_are_filtered_by_words', async () => {
  const tab = await logIn();
  await open(tab, 'queues');
  await tab.fill('#filter', 'ready>0 name:order*');
  await tab.waitForFunction(() => document.querySelector('.counted')?.textContent.startsWith('1 of'));
  await tab.fill('#filter', 'ready>many');
  await tab.waitForSelector('.notice.bad:has-text("a number is missing")');
  await tab.fill('#filter', '');
  await tab.click('.words button:has-text("no:consumers")');
  await tab.waitForFunction(() => location.hash.includes('no%3Aconsumers'));
});

scenario('a_policy_shows_what_it_would_change', async () => {
  const tab = await logIn();
  await open(tab, 'policies');
  await tab.click('main button:has-text("New policy")');
  await tab.fill('dialog #policy-name', 'short');
  await tab.fill('dialog #policy-pattern', '^orders$');
  await tab.click('dialog .chips button:has-text("Max length")');
  await tab.fill('dialog input[aria-label="Value of max-length"]', '1000');
  await tab.waitForSelector('dialog .previewed:has-text("1 object matches")');
  await tab.waitForSelector('dialog .previewed td:has-text("1000")');
  await tab.click('dialog button:has-text("Save")');
  await tab.waitForSelector('main td:has-text("short")');
  await open(tab, 'queues/%2F/orders?tab=settings');
  await tab.waitForSelector('main tr:has-text("max-length") .badge:has-text("policy")');
  await broker.api('DELETE', '/policies/%2F/short');
});

scenario('what_reached_no_queue_can_be_tested', async () => {
  await broker.api('POST', '/exchanges/%2F/shop/publish', { properties: {}, routing_key: 'nobody.wants.this', payload: 'x', payload_encoding: 'string' });
  const tab = await logIn();
  await tab.waitForSelector('.attention li:has-text("reached no queue")');
  await tab.click('.attention li:has-text("reached no queue") a');
  await tab.waitForSelector('main h1:has-text("Route tester")');
  await tab.click('main tr:has-text("nobody.wants.this") button');
  await tab.waitForSelector('main .notice:has-text("Reaches no queue")');
});
