// amqplib: the exchange types that are plugins of RabbitMQ; skipped where one is not enabled.
'use strict';

const { assert, fresh, scenario, Skip } = require('./scenarios');
const { drain, Inbox, open, privateQueue, waitDepth, withChannel } = require('./client');

// Runs `work(channel, exchange)` with an exchange of that type.
const withExchange = (kind, args, work) =>
  withChannel(async (ch) => {
    const exchange = fresh(kind);
    const options = { durable: false, autoDelete: true, arguments: args };
    const trial = await open(ch.owner);
    await trial.assertExchange(exchange, kind, options).catch((error) => {
      throw new Skip(`no exchanges of type ${kind}: ${error.message}`);
    });
    await work(ch, exchange);
  });

// Three queues bound with these keys; publishes 400 messages under 200 keys; what each queue got.
async function shares(ch, exchange, bindingKeys) {
  const queues = [];
  for (const key of bindingKeys) {
    queues.push(await privateQueue(ch));
    await ch.bindQueue(queues.at(-1), exchange, key);
  }
  for (let n = 0; n < 400; n++) ch.publish(exchange, `key ${n % 200}`, Buffer.from(String(n % 200)));
  const found = [];
  for (const queue of queues) found.push(await drain(ch, queue));
  assert.equal(found.flat().length, 400);
  return found;
}

const assertKeysTogether = (found) => {
  for (const texts of found) assert.equal(texts.length, 2 * new Set(texts).size);
};

scenario('consistent_hash', 'Every message in one queue, those with one key together, shares by weight.', () =>
  withExchange('x-consistent-hash', {}, async (ch, exchange) => {
    const found = await shares(ch, exchange, ['1', '1', '2']);
    assertKeysTogether(found);
    assert(found[2].length > Math.max(found[0].length, found[1].length) / 2);
  }));

scenario('consistent_hash_of_a_header', 'hash-header: a header decides instead of the key.', () =>
  withExchange('x-consistent-hash', { 'hash-header': 'who' }, async (ch, exchange) => {
    const queues = [await privateQueue(ch), await privateQueue(ch)];
    for (const queue of queues) await ch.bindQueue(queue, exchange, '10');
    for (let n = 0; n < 20; n++) ch.publish(exchange, `key ${n}`, Buffer.from('m'), { headers: { who: 'ann' } });
    const found = [await drain(ch, queues[0]), await drain(ch, queues[1])].map((texts) => texts.length);
    assert.deepEqual(found.sort((a, b) => a - b), [0, 20]);
  }));

scenario('modulus_hash', 'x-modulus-hash: every message in one queue, those with one key together.', () =>
  withExchange('x-modulus-hash', {}, async (ch, exchange) => assertKeysTogether(await shares(ch, exchange, ['', '', '']))));

scenario('random_exchange', 'x-random: every message in one queue, and all get some.', () =>
  withExchange('x-random', {}, async (ch, exchange) => {
    for (const texts of await shares(ch, exchange, ['', '', ''])) assert(texts.length > 50, `${texts.length} of 400`);
  }));

scenario('recent_history', 'x-recent-history: a new binding gets the last messages first.', () =>
  withExchange('x-recent-history', { 'x-recent-history-length': 2 }, async (ch, exchange) => {
    const first = await privateQueue(ch);
    await ch.bindQueue(first, exchange, '');
    for (const text of '123') ch.publish(exchange, '', Buffer.from(text));
    await waitDepth(ch, first, 3);
    const late = await privateQueue(ch);
    await ch.bindQueue(late, exchange, '');
    await waitDepth(ch, late, 2);
    assert.deepEqual((await drain(ch, late)).sort(), ['2', '3']);
  }));

scenario('delayed_exchange', 'x-delayed-message: a message waits as its header says; a shorter one overtakes.', () =>
  withExchange('x-delayed-message', { 'x-delayed-type': 'direct' }, async (ch, exchange) => {
    const queue = await privateQueue(ch);
    await ch.bindQueue(queue, exchange, 'k');
    const inbox = await Inbox.open(ch, queue, { noAck: true });
    const start = Date.now();
    for (const [text, delay] of [['late', 900], ['soon', 300], ['now', 0]]) {
      ch.publish(exchange, 'k', Buffer.from(text), { headers: { 'x-delay': delay } });
    }
    assert.deepEqual(await inbox.wait(3), ['now', 'soon', 'late']);
    assert(Date.now() - start >= 850);
  }));
