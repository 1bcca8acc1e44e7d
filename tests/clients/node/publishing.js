// amqplib: confirms, returns, and what of a message must arrive unchanged. It has no transactions.
'use strict';

const { assert, fresh, scenario } = require('./scenarios');
const {
  closesChannel, drain, get, Inbox, open, privateExchange, privateQueue, publish, waitDepth, withChannel,
} = require('./client');

const CONFIRMING = { kind: 'createConfirmChannel' };

scenario('confirms_many_in_flight', '10,000 persistent messages without waiting: every one is confirmed.', () =>
  withChannel(async (ch) => {
    const queue = fresh('confirms');
    await ch.assertQueue(queue, { durable: true });
    let confirmed = 0;
    const expected = [];
    for (let n = 0; n < 10_000; n++) {
      expected.push(`m${n}`);
      ch.sendToQueue(queue, Buffer.from(`m${n}`), { persistent: true }, (error) => {
        assert.equal(error, null);
        confirmed += 1;
      });
    }
    await ch.waitForConfirms();
    assert.equal(confirmed, 10_000);
    assert.equal((await ch.checkQueue(queue)).messageCount, 10_000);
    const inbox = await Inbox.open(ch, queue, { noAck: true });
    assert.deepEqual(await inbox.wait(10_000), expected);
    await ch.deleteQueue(queue);
  }, CONFIRMING), 60);

scenario('mandatory_return_before_ack', 'An unroutable mandatory message comes back whole, then is confirmed.', () =>
  withChannel(async (ch) => {
    const exchange = await privateExchange(ch, 'direct');
    const events = [];
    ch.on('return', (message) => events.push(message));
    ch.publish(exchange, 'no.such.key', Buffer.from('body'), { mandatory: true, messageId: 'm1' },
      (error) => events.push(error || 'ack'));
    await ch.waitForConfirms();
    assert.equal(events.length, 2);
    const [{ fields, properties, content }, ack] = events;
    assert.deepEqual({ ...fields }, { replyCode: 312, replyText: 'NO_ROUTE', exchange, routingKey: 'no.such.key' });
    assert.deepEqual([properties.messageId, content.toString(), ack], ['m1', 'body', 'ack']);
  }, CONFIRMING));

scenario('confirm_nack_when_full', 'A queue that refuses publishes when full says so with a nack.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch, { 'x-max-length': 2, 'x-overflow': 'reject-publish' });
    const results = [];
    for (const text of '123') ch.sendToQueue(queue, Buffer.from(text), {}, (error) => results.push(!error));
    await ch.waitForConfirms().catch(() => {});
    assert.deepEqual(results, [true, true, false]);
    assert.deepEqual(await drain(ch, queue), ['1', '2']);
  }, CONFIRMING));

scenario('publish_to_a_missing_exchange', 'The channel is closed with 404; the connection goes on.', () =>
  withChannel(async (ch) => {
    const exchange = fresh('missing');
    await closesChannel(ch.owner, 404, `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
      (each) => each.publish(exchange, '', Buffer.from('lost')));
    await privateQueue(ch);
  }));

// The sizes of bodies that have gone wrong somewhere before.
const BODY_SIZES = [0, 1, 4088, 131_064, 131_065, 262_128, 1_000_003, 10_000_000];

function bodyOf(size) {
  const body = Buffer.alloc(size + 4);
  for (let n = 0; n < size; n += 4) body.writeUInt32BE(n, n);
  return body.subarray(0, size);
}

scenario('big_bodies', 'From nothing to 10 MB, by get and by consumer, in small and large frames.', async () => {
  for (const frameMax of [4096, 131_072, 0]) {
    await withChannel(async (ch) => {
      const queue = await privateQueue(ch);
      for (const size of BODY_SIZES) {
        ch.sendToQueue(queue, bodyOf(size));
        await waitDepth(ch, queue, 1);
        assert((await get(ch, queue, { noAck: true })).content.equals(bodyOf(size)), `${size} bytes differ by get`);
      }
      const inbox = await Inbox.open(ch, queue, { noAck: true });
      for (const size of BODY_SIZES) ch.sendToQueue(queue, bodyOf(size));
      while (inbox.items.length < BODY_SIZES.length) await new Promise((resolve) => setTimeout(resolve, 10));
      BODY_SIZES.forEach((size, n) => assert(inbox.items[n].content.equals(bodyOf(size)), `${size} bytes differ`));
    }, { frameMax });
  }
}, 60);

scenario('properties_round_trip', 'All properties arrive as they were sent, and none that was not.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    const sent = {
      contentType: 'text/plain', contentEncoding: 'utf-8', headers: { k: 'v' }, deliveryMode: 2, priority: 9,
      correlationId: 'c'.repeat(255), replyTo: 'somewhere', expiration: '60000', messageId: 'm-1',
      timestamp: 1_700_000_000, type: 't', userId: 'guest', appId: 'äpp',
    };
    publish(ch, queue, ['m'], sent);
    publish(ch, queue, ['m'], {});
    await waitDepth(ch, queue, 2);
    const got = (await get(ch, queue)).properties;
    assert.deepEqual({ ...got }, { ...sent, clusterId: undefined });
    const bare = Object.entries((await get(ch, queue)).properties).filter(([, value]) => value !== undefined);
    assert.deepEqual(bare, [['headers', {}], ['deliveryMode', 1]].filter(([key]) => bare.some(([k]) => k === key)));
  }));

const typed = (type, value) => ({ '!': type, value });

// What is sent, and what amqplib reads it back as where that differs.
const FIELDS = {
  t: [true], f_alse: [false], b: [typed('int8', -128), -128], B: [typed('uint8', 255), 255],
  s: [typed('int16', -32768), -32768], u: [typed('uint16', 65535), 65535], I: [typed('int32', -(2 ** 31)), -(2 ** 31)],
  i: [typed('uint32', 2 ** 32 - 1), 2 ** 32 - 1], l: [typed('int64', -(2 ** 53) + 1), -(2 ** 53) + 1],
  f: [typed('float', 1.5), 1.5], d: [typed('double', -2.25), -2.25], double: [Math.PI],
  D: [typed('decimal', { places: 2, digits: 314 })], T: [typed('timestamp', 1_700_000_000)], S: ['grüße'], empty: [''],
  A: [[true, null, 'x', [1, { deep: 2 }]]], F: [{ in: { deep: 7 } }], V: [null], x: [Buffer.from([0, 255, 206])],
  none: [{}], list: [[]],
};

scenario('header_field_types', 'A header table with every field type amqplib can write comes back.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    const headers = Object.fromEntries(Object.entries(FIELDS).map(([key, [sent]]) => [key, sent]));
    const expected = Object.fromEntries(Object.entries(FIELDS).map(([key, [sent, read]]) => [key, read ?? sent]));
    publish(ch, queue, ['m'], { headers });
    await waitDepth(ch, queue, 1);
    assert.deepEqual((await get(ch, queue)).properties.headers, expected);
  }));

scenario('publish_order_is_kept', '2,000 messages of mixed size and persistence arrive in order.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    const inbox = await Inbox.open(ch, queue);
    const bodies = Array.from({ length: 2000 }, (_, n) => `${n} ${'x'.repeat((n * 37) % 3000)}`);
    bodies.forEach((body, n) => publish(ch, queue, [body], { persistent: n % 2 === 0 }));
    assert.deepEqual(await inbox.wait(2000), bodies);
    ch.ackAll();
    ch.ackAll();
    await (await open(ch.owner)).close();
  }));

scenario('bad_expiration_and_user', 'A bad expiration and somebody else\'s user_id are refused.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    await closesChannel(ch.owner, 406, "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
      (each) => publish(each, queue, ['m'], { expiration: 'soon' }));
    await closesChannel(ch.owner, 406,
      "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'",
      (each) => publish(each, queue, ['m'], { userId: 'bob' }));
  }));
