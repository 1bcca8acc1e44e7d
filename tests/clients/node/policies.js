// amqplib: policies set over HTTP change queues and exchanges that are in use.
'use strict';

const { assert, fresh, scenario, until } = require('./scenarios');
const { depth, drain, get, privateExchange, privateQueue, publish, waitDepth, withChannel } = require('./client');
const management = require('./management');

// Runs `work` with a shared queue of that name, deleted at the end.
async function withQueue(ch, queue, work) {
  await ch.assertQueue(queue, { durable: false });
  try {
    await work();
  } finally {
    await ch.deleteQueue(queue);
  }
}

const confirmed = (ch, queue, text) =>
  new Promise((done) => ch.sendToQueue(queue, Buffer.from(text), {}, (error) => done(!error)));

scenario('policy_limits', 'A policy limits a queue that is there, changes its mind, and lets go.', () =>
  withChannel(async (ch) => {
    const queue = fresh('limited');
    await withQueue(ch, queue, async () => {
      publish(ch, queue, '12345');
      await waitDepth(ch, queue, 5);
      await management.withPolicy('queues', queue, { 'max-length': 2 }, async (put) => {
        await waitDepth(ch, queue, 2);
        await put({ 'max-length': 3, overflow: 'reject-publish' });
        await until(async () => (await management.call('GET', ['queues', '/', queue]))
          .effective_policy_definition?.overflow === 'reject-publish', 'the change');
        assert.deepEqual([await confirmed(ch, queue, '6'), await confirmed(ch, queue, '7')], [true, false]);
      });
      await until(() => confirmed(ch, queue, '8'), 'the policy to go');
      assert.deepEqual((await drain(ch, queue)).slice(0, 3), ['4', '5', '6']);
    });
  }, { kind: 'createConfirmChannel' }));

scenario('policy_time_to_live', 'A policy gives the messages that wait already a time to live.', () =>
  withChannel(async (ch) => {
    const queue = fresh('mortal');
    await withQueue(ch, queue, async () => {
      publish(ch, queue, '12');
      await waitDepth(ch, queue, 2);
      await management.withPolicy('queues', queue, { 'message-ttl': 100 }, () => waitDepth(ch, queue, 0));
    });
  }));

scenario('policy_dead_letters', 'A dead-letter exchange given by a policy gets what is rejected.', () =>
  withChannel(async (ch) => {
    const [queue, dead] = [fresh('mortal'), await privateQueue(ch)];
    await withQueue(ch, queue, async () => {
      const definition = { 'dead-letter-exchange': '', 'dead-letter-routing-key': dead };
      await management.withPolicy('queues', queue, definition, async () => {
        publish(ch, queue, ['m']);
        await waitDepth(ch, queue, 1);
        ch.reject(await get(ch, queue), false);
        await waitDepth(ch, dead, 1);
        assert.equal((await get(ch, dead)).properties.headers['x-death'][0].reason, 'rejected');
      });
    });
  }));

scenario('policy_expires', 'A queue that a policy lets expire goes when nobody uses it.', () =>
  withChannel(async (ch) => {
    const queue = fresh('expires');
    await ch.assertQueue(queue, { durable: false });
    await management.withPolicy('queues', queue, { expires: 300 }, () =>
      until(async () => !(await management.call('GET', ['queues', '/'])).some(({ name }) => name === queue),
        'the queue to expire'));
  }));

scenario('policy_alternate_exchange', 'An exchange gets an alternate by policy, and loses it with the policy.', () =>
  withChannel(async (ch) => {
    const lost = await privateExchange(ch, 'fanout');
    const strays = await privateQueue(ch);
    await ch.bindQueue(strays, lost, '');
    const exchange = fresh('direct');
    await ch.assertExchange(exchange, 'direct', { durable: false });
    await management.withPolicy('exchanges', exchange, { 'alternate-exchange': lost }, async () => {
      ch.publish(exchange, 'unknown', Buffer.from('stray'));
      await waitDepth(ch, strays, 1);
    });
    ch.publish(exchange, 'unknown', Buffer.from('lost'));
    await ch.checkExchange(exchange);
    assert.equal(await depth(ch, strays), 1);
    await ch.deleteExchange(exchange);
  }));
