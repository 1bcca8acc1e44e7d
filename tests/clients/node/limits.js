// amqplib: time to live, dead letters, length limits, priorities.
'use strict';

const { assert, pause, scenario } = require('./scenarios');
const {
  depth, drain, get, Inbox, privateExchange, privateQueue, publish, waitDepth, withChannel,
} = require('./client');

const CONFIRMING = { kind: 'createConfirmChannel' };

// A queue and the queue its dead go to.
async function mortalQueue(ch, args) {
  const exchange = await privateExchange(ch, 'fanout');
  const dead = await privateQueue(ch);
  await ch.bindQueue(dead, exchange, '');
  return [await privateQueue(ch, args, { deadLetterExchange: exchange }), dead];
}

// The only entry of x-death, checked for its time and the width of its count.
function death({ properties }) {
  assert.equal(properties.headers['x-death'].length, 1);
  const { time, ...entry } = properties.headers['x-death'][0];
  assert.equal(time['!'], 'timestamp');
  assert(Math.abs(time.value - Date.now() / 1000) < 60, `${time.value} is not now in seconds`);
  return entry;
}

scenario('time_to_live', 'The shorter of the message\'s expiration and the queue\'s TTL counts.', () =>
  withChannel(async (ch) => {
    let queue = await privateQueue(ch, {}, { messageTtl: 300 });
    publish(ch, queue, ['1', '2']);
    await waitDepth(ch, queue, 2);
    await waitDepth(ch, queue, 0);
    queue = await privateQueue(ch, {}, { messageTtl: 60_000 });
    publish(ch, queue, ['short'], { expiration: 100 });
    publish(ch, queue, ['long'], { expiration: '600000' });
    await pause(300);
    await waitDepth(ch, queue, 1);
    assert.deepEqual(await drain(ch, queue), ['long']);
  }));

scenario('ttl_zero', 'A message with no time to live reaches a consumer that is ready, nobody later.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch, {}, { messageTtl: 0 });
    publish(ch, queue, ['nobody is here']);
    await ch.waitForConfirms();
    assert.equal(await depth(ch, queue), 0);
    const inbox = await Inbox.open(ch, queue, { noAck: true });
    publish(ch, queue, ['now']);
    assert.deepEqual(await inbox.wait(1), ['now']);
  }, CONFIRMING));

scenario('dead_letters', 'Expired, rejected and overflowing messages: reason, keys, counts, types.', () =>
  withChannel(async (ch) => {
    const [queue, dead] = await mortalQueue(ch, { 'x-max-length': 2 });
    publish(ch, queue, ['expired'], { expiration: 50, headers: { mine: 1 } });
    await waitDepth(ch, dead, 1);
    const common = { count: 1, queue, exchange: '', 'routing-keys': [queue] };
    let one = await get(ch, dead);
    assert.deepEqual(death(one), { ...common, reason: 'expired', 'original-expiration': '50' });
    assert.equal(one.properties.expiration, undefined);
    const { 'x-death': _, 'x-last-death-queue': __, 'x-last-death-reason': ___, 'x-last-death-exchange': ____, ...rest } =
      one.properties.headers;
    assert.deepEqual(rest, {
      mine: 1, 'x-first-death-queue': queue, 'x-first-death-reason': 'expired', 'x-first-death-exchange': '',
    });
    publish(ch, queue, ['overflowing', 'rejected', 'nacked']);
    await waitDepth(ch, queue, 2);
    ch.reject(await get(ch, queue), false);
    ch.nack(await get(ch, queue), false, false);
    await waitDepth(ch, dead, 3);
    for (const [text, reason] of [['overflowing', 'maxlen'], ['rejected', 'rejected'], ['nacked', 'rejected']]) {
      one = await get(ch, dead);
      assert.equal(one.content.toString(), text);
      assert.deepEqual(death(one), { ...common, reason });
    }
  }));

scenario('x_death_counts', 'Dying again for the same reason adds to the count; the newest comes first.', () =>
  withChannel(async (ch) => {
    const [out, back] = [await privateExchange(ch, 'fanout'), await privateExchange(ch, 'fanout')];
    const work = await privateQueue(ch, {}, { deadLetterExchange: out });
    const wait = await privateQueue(ch, {}, { deadLetterExchange: back, messageTtl: 50 });
    await ch.bindQueue(wait, out, '');
    await ch.bindQueue(work, back, '');
    publish(ch, work, ['retry me']);
    for (let attempt = 0; attempt < 4; attempt++) {
      await waitDepth(ch, work, 1);
      const one = await get(ch, work);
      const deaths = (one.properties.headers['x-death'] || []).map((d) => [d.queue, d.reason, d.count]);
      assert.deepEqual(deaths, attempt ? [[wait, 'expired', attempt], [work, 'rejected', attempt]] : []);
      ch.reject(one, false);
    }
  }));

scenario('dead_letter_routing_key', 'deadLetterRoutingKey replaces the key of the dead.', () =>
  withChannel(async (ch) => {
    const dead = await privateQueue(ch);
    const queue = await privateQueue(ch, {}, { deadLetterExchange: '', deadLetterRoutingKey: dead });
    publish(ch, queue, ['m']);
    await waitDepth(ch, queue, 1);
    ch.reject(await get(ch, queue), false);
    await waitDepth(ch, dead, 1);
    const { fields } = await get(ch, dead);
    assert.deepEqual([fields.exchange, fields.routingKey], ['', dead]);
  }));

scenario('max_length', 'The oldest make room, by number and by bytes.', () =>
  withChannel(async (ch) => {
    let queue = await privateQueue(ch, {}, { maxLength: 3 });
    publish(ch, queue, 'abcde');
    await ch.waitForConfirms();
    assert.deepEqual(await drain(ch, queue), ['c', 'd', 'e']);
    queue = await privateQueue(ch, { 'x-max-length-bytes': 10 });
    publish(ch, queue, ['aaaa', 'bbbb', 'cc', 'ddd', 'e']);
    await ch.waitForConfirms();
    assert.deepEqual(await drain(ch, queue), ['bbbb', 'cc', 'ddd', 'e']);
  }, CONFIRMING));

scenario('priorities', 'Higher first, equal in order, above the maximum as the maximum.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch, {}, { maxPriority: 5 });
    for (const [text, priority] of [['zero', 0], ['five', 5], ['two', 2], ['nine', 9], ['two again', 2]]) {
      publish(ch, queue, [text], { priority });
    }
    await ch.waitForConfirms();
    assert.deepEqual(await drain(ch, queue), ['five', 'nine', 'two', 'two again', 'zero']);
  }, CONFIRMING));
