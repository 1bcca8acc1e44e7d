// amqplib: the six tutorials and everything else about where a message goes.
'use strict';

const { assert, fresh, scenario } = require('./scenarios');
const {
  closesChannel, connect, drain, get, Inbox, open, privateExchange, privateQueue, publish, waitDepth, withChannel,
} = require('./client');

scenario('hello_world', 'One producer, one queue, one consumer, each on a connection of its own.', async () => {
  const queue = fresh();
  await withChannel(async (sender) => {
    await sender.assertQueue(queue, { durable: false, autoDelete: true });
    publish(sender, queue, ['Hello World!']);
  });
  await withChannel(async (receiver) => {
    await receiver.assertQueue(queue, { durable: false, autoDelete: true });
    const inbox = await Inbox.open(receiver, queue, { noAck: true });
    assert.deepEqual(await inbox.wait(1), ['Hello World!']);
    assert.deepEqual({ ...inbox.items[0].fields },
      { consumerTag: inbox.tag, deliveryTag: 1, redelivered: false, exchange: '', routingKey: queue });
  });
});

scenario('work_queue', 'Two workers with prefetch 1: the busy one is passed over, a dead one\'s work comes back.',
  async () => {
    const [boss, slow, quick] = await Promise.all([connect(), connect(), connect()]);
    const channels = await Promise.all([boss, slow, quick].map((each) => open(each)));
    const queue = fresh('work');
    await channels[0].assertQueue(queue);
    await channels[1].prefetch(1);
    await channels[2].prefetch(1);
    const held = await Inbox.open(channels[1], queue);
    publish(channels[0], queue, ['long']);
    await held.wait(1);
    const done = await Inbox.open(channels[2], queue);
    const short = Array.from({ length: 20 }, (_, n) => `short ${n}`);
    publish(channels[0], queue, short);
    for (let n = 0; n < 20; n++) {
      await done.wait(n + 1);
      channels[2].ack(done.items[n]);
    }
    assert.deepEqual(done.texts(), short);
    assert.deepEqual(held.texts(), ['long'], 'a worker with prefetch 1 was given a second message');
    await slow.close();
    assert.equal((await done.wait(21))[20], 'long');
    assert(done.items[20].fields.redelivered);
    channels[2].ack(done.items[20]);
    await channels[2].deleteQueue(queue);
    await Promise.all([boss.close(), quick.close()]);
  });

scenario('publish_subscribe', 'A fanout exchange copies to every queue bound to it, and to none before.', () =>
  withChannel(async (ch) => {
    const exchange = await privateExchange(ch, 'fanout');
    ch.publish(exchange, '', Buffer.from('nobody listens yet'));
    const queues = [];
    for (let n = 0; n < 5; n++) queues.push(await privateQueue(ch));
    for (const queue of queues) await ch.bindQueue(queue, exchange, '');
    ch.publish(exchange, '', Buffer.from('one'));
    ch.publish(exchange, 'any.key', Buffer.from('two'));
    for (const queue of queues) {
      await waitDepth(ch, queue, 2);
      assert.deepEqual(await drain(ch, queue), ['one', 'two']);
    }
  }));

scenario('routing', 'A direct exchange wants the key to be equal; several keys may lead to one queue.', () =>
  withChannel(async (ch) => {
    const exchange = await privateExchange(ch, 'direct');
    const [everything, errors] = [await privateQueue(ch), await privateQueue(ch)];
    for (const key of ['info', 'warning', 'error']) await ch.bindQueue(everything, exchange, key);
    await ch.bindQueue(errors, exchange, 'error');
    await ch.bindQueue(errors, exchange, 'error');
    for (const key of ['info', 'error', 'debug']) ch.publish(exchange, key, Buffer.from(key));
    await waitDepth(ch, everything, 2);
    assert.deepEqual(await drain(ch, everything), ['info', 'error']);
    assert.deepEqual(await drain(ch, errors), ['error']);
    await ch.unbindQueue(errors, exchange, 'error');
    ch.publish(exchange, 'error', Buffer.from('after unbind'));
    await waitDepth(ch, everything, 1);
    assert.deepEqual(await drain(ch, errors), []);
  }));

scenario('topics', '`*` is exactly one word, `#` none or more; two matching patterns give one copy.', () =>
  withChannel(async (ch) => {
    const keys = ['quick.orange.rabbit', 'lazy.orange.elephant', 'lazy.pink.rabbit', 'orange', 'lazy', 'a..b', ''];
    const expected = {
      '*.orange.*': keys.slice(0, 2), '*.*.rabbit': [keys[0], keys[2]], 'lazy.#': [keys[1], keys[2], 'lazy'],
      '#': keys, '*': ['orange', 'lazy'], 'a.*.b': ['a..b'], '#.rabbit.#': [keys[0], keys[2]],
    };
    const exchange = await privateExchange(ch, 'topic');
    const queues = {};
    for (const pattern of Object.keys(expected)) {
      queues[pattern] = await privateQueue(ch);
      await ch.bindQueue(queues[pattern], exchange, pattern);
    }
    await ch.bindQueue(queues['*'], exchange, 'orange');
    for (const key of keys) ch.publish(exchange, key, Buffer.from(key));
    await waitDepth(ch, queues['#'], keys.length);
    for (const [pattern, queue] of Object.entries(queues)) {
      assert.deepEqual(await drain(ch, queue), expected[pattern], pattern);
    }
  }));

// Binding arguments, then the headers that match and the headers that do not.
const HEADERS = [
  [{ 'x-match': 'all', a: 1, b: 'two' }, [{ a: 1, b: 'two', c: 0 }], [{ a: 1 }, { a: '1', b: 'two' }, {}]],
  [{ a: 1, b: 'two' }, [{ a: 1, b: 'two' }], [{ a: 1 }, { b: 'two' }]],
  [{ 'x-match': 'any', a: 1, b: 'two' }, [{ a: 1 }, { b: 'two', a: 9 }], [{}, { a: 2 }, { c: 1 }]],
  [{ 'x-match': 'all', a: 1, 'x-b': 2 }, [{ a: 1 }], [{ 'x-b': 2 }]],
  [{ 'x-match': 'any', a: 1, 'x-b': 2 }, [{ a: 1 }], [{ 'x-b': 2 }]],
  [{ 'x-match': 'all-with-x', a: 1, 'x-b': 2 }, [{ a: 1, 'x-b': 2 }], [{ a: 1 }, { 'x-b': 2 }]],
  [{ 'x-match': 'any-with-x', a: 1, 'x-b': 2 }, [{ a: 1 }, { 'x-b': 2 }], [{ 'x-b': 3 }, {}]],
  [{ 'x-match': 'all' }, [{}, { a: 1 }], []],
  [{ 'x-match': 'any' }, [], [{}, { a: 1 }]],
  [{ 'x-match': 'all', a: null }, [{ a: 1 }, { a: 'any value' }], [{ b: 1 }]],
  // The width of an integer is the client's business: an int8 in the binding, an int64 in the message.
  [{ 'x-match': 'all', a: 5 }, [{ a: { '!': 'long', value: 5 } }], [{ a: { '!': 'long', value: 6 } }]],
];

scenario('headers_exchange', 'All four x-match forms and their default, x- names, empty arguments, presence.', () =>
  withChannel(async (ch) => {
    const exchange = await privateExchange(ch, 'headers');
    await ch.bindQueue(await privateQueue(ch), exchange, '', { 'x-match': 'any' });
    for (const [args, matching, others] of HEADERS) {
      const queue = await privateQueue(ch);
      await ch.bindQueue(queue, exchange, 'the key is ignored', args);
      for (const headers of [...matching, ...others]) {
        ch.publish(exchange, 'k', Buffer.from(JSON.stringify(headers)), { headers });
      }
      await ch.waitForConfirms();
      assert.deepEqual(await drain(ch, queue), matching.map((headers) => JSON.stringify(headers)), JSON.stringify(args));
      await ch.deleteQueue(queue);
    }
  }, { kind: 'createConfirmChannel' }));

async function rpc(replyTo) {
  const server = await connect();
  const serving = await open(server);
  const requests = fresh('rpc');
  await serving.assertQueue(requests, { durable: false, autoDelete: true });
  await serving.consume(requests, (message) => {
    const { replyTo: to, correlationId } = message.properties;
    serving.sendToQueue(to, Buffer.from(String(Number(message.content) ** 2)), { correlationId });
    serving.ack(message);
  });
  await withChannel(async (ch) => {
    const to = replyTo || (await privateQueue(ch));
    const inbox = await Inbox.open(ch, to, { noAck: true });
    for (const n of [10, 11, 12]) {
      publish(ch, requests, [String(n)], { replyTo: to, correlationId: `id ${n}` });
    }
    assert.deepEqual(await inbox.wait(3), ['100', '121', '144']);
    assert.deepEqual(inbox.items.map((each) => each.properties.correlationId), ['id 10', 'id 11', 'id 12']);
  });
  await server.close();
}

scenario('rpc_reply_queue', 'Request and reply through a queue of the client\'s own.', () => rpc(null));

scenario('rpc_direct_reply_to', 'Request and reply without a reply queue: amq.rabbitmq.reply-to.', () =>
  rpc('amq.rabbitmq.reply-to'));

scenario('exchange_to_exchange', 'Exchanges bind to exchanges; a message arriving by two ways is queued once.', () =>
  withChannel(async (ch) => {
    const [source, middle, other] = [
      await privateExchange(ch, 'topic'), await privateExchange(ch, 'fanout'), await privateExchange(ch, 'direct')];
    const queue = await privateQueue(ch);
    await ch.bindExchange(middle, source, 'log.#');
    await ch.bindExchange(other, source, 'log.*');
    await ch.bindQueue(queue, middle, '');
    await ch.bindQueue(queue, other, 'log.both');
    for (const key of ['log.both', 'log.one.way', 'no']) ch.publish(source, key, Buffer.from(key));
    await waitDepth(ch, queue, 2);
    assert.deepEqual(await drain(ch, queue), ['log.both', 'log.one.way']);
    await ch.unbindExchange(middle, source, 'log.#');
    ch.publish(source, 'log.x.y', Buffer.from('unbound'));
    ch.publish(source, 'log.both', Buffer.from('bound'));
    await waitDepth(ch, queue, 1);
    assert.deepEqual(await drain(ch, queue), ['bound']);
  }));

scenario('alternate_exchange', 'What an exchange cannot route goes to its alternate, and counts as routed.', () =>
  withChannel(async (ch) => {
    const lost = await privateExchange(ch, 'fanout');
    const exchange = await privateExchange(ch, 'direct', { alternateExchange: lost });
    const [queue, strays] = [await privateQueue(ch), await privateQueue(ch)];
    await ch.bindQueue(queue, exchange, 'known');
    await ch.bindQueue(strays, lost, '');
    const returned = [];
    ch.on('return', (message) => returned.push(message));
    for (const key of ['known', 'unknown']) ch.publish(exchange, key, Buffer.from(key), { mandatory: true });
    await waitDepth(ch, strays, 1);
    const { content, fields } = await get(ch, strays);
    assert.deepEqual([content.toString(), fields.exchange, fields.routingKey], ['unknown', exchange, 'unknown']);
    assert.deepEqual(await drain(ch, queue), ['known']);
    assert.equal(returned.length, 0);
  }));

scenario('carbon_copies', 'CC and BCC headers add routing keys; BCC is taken off before delivery.', () =>
  withChannel(async (ch) => {
    const [to, copy, blind] = [await privateQueue(ch), await privateQueue(ch), await privateQueue(ch)];
    publish(ch, to, ['letter'], { CC: copy, BCC: [blind] });
    for (const queue of [to, copy, blind]) {
      await waitDepth(ch, queue, 1);
      const { fields, properties } = await get(ch, queue);
      assert.deepEqual(properties.headers, { CC: [copy] });
      assert.equal(fields.routingKey, to);
    }
  }));

scenario('closed_exchanges', 'The default exchange cannot be bound, an internal one not be published to.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    await closesChannel(ch.owner, 403, 'ACCESS_REFUSED - operation not permitted on the default exchange',
      (each) => each.bindQueue(queue, '', 'key'));
    const inner = await privateExchange(ch, 'fanout', { internal: true });
    await closesChannel(ch.owner, 403, `ACCESS_REFUSED - cannot publish to internal exchange '${inner}' in vhost '/'`,
      (each) => each.publish(inner, '', Buffer.from('not directly')));
    await ch.deleteExchange(inner);
  }));
