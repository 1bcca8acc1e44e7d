// amqplib: what RabbitMQ adds to queues and publishing: overflow, single active consumers, quorum.
'use strict';

const { assert, fresh, pause, scenario } = require('./scenarios');
const {
  closesChannel, depth, drain, get, Inbox, privateQueue, publish, waitDepth, withChannel,
} = require('./client');

const CONFIRMING = { kind: 'createConfirmChannel' };

// Publishes texts one after another; what became of each: true when it was confirmed.
async function outcomes(ch, queue, texts) {
  const results = [];
  for (const text of texts) {
    results.push(await new Promise((done) => ch.sendToQueue(queue, Buffer.from(text), {}, (error) => done(!error))));
  }
  return results;
}

// Declares a durable queue with these arguments, works with it, and deletes it.
async function withDurable(ch, args, work) {
  const queue = fresh('durable');
  await ch.assertQueue(queue, { durable: true, arguments: args });
  try {
    await work(queue);
  } finally {
    await ch.deleteQueue(queue);
  }
}

scenario('reject_publish_dead_letters', 'reject-publish-dlx: what is refused is also dead-lettered, as maxlen.', () =>
  withChannel(async (ch) => {
    const dead = await privateQueue(ch);
    const queue = await privateQueue(ch, { 'x-max-length': 1, 'x-overflow': 'reject-publish-dlx' },
      { deadLetterExchange: '', deadLetterRoutingKey: dead });
    assert.deepEqual(await outcomes(ch, queue, '12'), [true, false]);
    await waitDepth(ch, dead, 1);
    const one = await get(ch, dead);
    assert.equal(one.content.toString(), '2');
    assert.deepEqual([one.properties.headers['x-death'][0].reason, one.properties.headers['x-first-death-queue']],
      ['maxlen', queue]);
    assert.deepEqual(await drain(ch, queue), ['1']);
  }, CONFIRMING));

scenario('dead_letter_cycle', 'A circle without any rejection in it ends: the message is dropped.', () =>
  withChannel(async (ch) => {
    const queue = fresh('circle');
    await ch.assertQueue(queue, {
      exclusive: true, deadLetterExchange: '', deadLetterRoutingKey: queue, messageTtl: 50,
    });
    publish(ch, queue, ['round and round']);
    await waitDepth(ch, queue, 1);
    await waitDepth(ch, queue, 0);
    await pause(300);
    assert.equal(await depth(ch, queue), 0);
  }));

scenario('priority_requeue', 'A message put back is before the others of its priority.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch, {}, { maxPriority: 5 });
    for (const [text, priority] of [['low', 1], ['a', 3], ['b', 3]]) publish(ch, queue, [text], { priority });
    await ch.waitForConfirms();
    const first = await get(ch, queue);
    assert.deepEqual([first.content.toString(), first.properties.priority], ['a', 3]);
    ch.reject(first, true);
    await waitDepth(ch, queue, 3);
    assert.deepEqual(await drain(ch, queue), ['a', 'b', 'low']);
  }, CONFIRMING));

scenario('single_active_consumer', 'One consumer is served; the next takes over when it goes.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch, { 'x-single-active-consumer': true });
    const first = await Inbox.open(ch, queue, { noAck: true });
    const second = await Inbox.open(ch, queue, { noAck: true });
    publish(ch, queue, '123');
    assert.deepEqual(await first.wait(3), ['1', '2', '3']);
    await pause(200);
    assert.deepEqual(second.texts(), []);
    await ch.cancel(first.tag);
    publish(ch, queue, '4');
    assert.deepEqual(await second.wait(1), ['4']);
  }));

scenario('delivery_limit', 'A quorum queue counts returns and dead-letters after x-delivery-limit of them.', () =>
  withChannel(async (ch) => {
    const dead = await privateQueue(ch);
    const args = {
      'x-queue-type': 'quorum', 'x-delivery-limit': 2,
      'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': dead,
    };
    await withDurable(ch, args, async (queue) => {
      publish(ch, queue, ['poison']);
      await ch.waitForConfirms();
      for (let returns = 0; returns < 3; returns++) {
        await waitDepth(ch, queue, 1);
        const one = await get(ch, queue);
        assert.equal((one.properties.headers || {})['x-delivery-count'] || 0, returns);
        ch.nack(one, false, true);
      }
      await waitDepth(ch, dead, 1);
      const { properties } = await get(ch, dead);
      assert.equal(properties.headers['x-death'][0].reason, 'delivery_limit');
    });
  }, CONFIRMING));

scenario('quorum_queue_rules', 'A quorum queue is durable and shared; it drops the head or refuses publishes.', () =>
  withChannel(async (ch) => {
    for (const [property, options] of [
      ['non-durable', { durable: false }], ['exclusive-owner', { durable: true, exclusive: true }],
    ]) {
      const queue = fresh('quorum');
      await closesChannel(ch.owner, 406, `PRECONDITION_FAILED - invalid property '${property}' for queue '${queue}' in vhost '/'`,
        (each) => each.assertQueue(queue, { ...options, arguments: { 'x-queue-type': 'quorum' } }));
    }
    await withDurable(ch, { 'x-queue-type': 'quorum', 'x-max-length': 2 }, async (queue) => {
      publish(ch, queue, 'abcd');
      await ch.waitForConfirms();
      assert.deepEqual(await drain(ch, queue), ['c', 'd']);
    });
  }, CONFIRMING));

scenario('own_user_id', 'The user-id of a message may name who is logged in, and arrives.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    publish(ch, queue, ['m'], { userId: 'guest' });
    await waitDepth(ch, queue, 1);
    assert.equal((await get(ch, queue)).properties.userId, 'guest');
  }));

scenario('direct_reply_to_rules', 'A direct reply needs a consumer first, one that does not acknowledge.', () =>
  withChannel(async (ch) => {
    const requests = await privateQueue(ch);
    const replyTo = 'amq.rabbitmq.reply-to';
    await closesChannel(ch.owner, 406, 'PRECONDITION_FAILED - fast reply consumer does not exist',
      (each) => publish(each, requests, ['a question'], { replyTo }));
    await closesChannel(ch.owner, 406, 'PRECONDITION_FAILED - reply consumer cannot acknowledge',
      (each) => each.consume(replyTo, () => {}));
    const answers = await Inbox.open(ch, replyTo, { noAck: true });
    publish(ch, requests, ['a question'], { replyTo });
    await waitDepth(ch, requests, 1);
    const address = (await get(ch, requests)).properties.replyTo;
    assert.match(address, /^amq\.rabbitmq\.reply-to\./);
    publish(ch, address, ['the answer']);
    assert.deepEqual(await answers.wait(1), ['the answer']);
  }));

scenario('refused_arguments', 'A bad argument is refused in these words, and the queue stays what it was.', () =>
  withChannel(async (ch) => {
    for (const [argument, value, why] of [
      ['x-message-ttl', -1, '{value_negative,-1}'],
      ['x-message-ttl', '5', '"expected integer, got longstr"'],
      ['x-expires', 0, '{value_zero,0}'],
      ['x-overflow', 'drop-tail', 'invalid_overflow'],
      ['x-dead-letter-routing-key', 'key', 'routing_key_but_no_dlx_defined'],
    ]) {
      const queue = fresh('refused');
      const text = `PRECONDITION_FAILED - invalid arg '${argument}' for queue '${queue}' in vhost '/': ${why}`;
      const args = { arguments: { [argument]: value } };
      // No such queue has come into being.
      await closesChannel(ch.owner, 406, text, (each) => each.assertQueue(queue, args));
      await closesChannel(ch.owner, 404, `NOT_FOUND - no queue '${queue}' in vhost '/'`,
        (each) => each.checkQueue(queue));
    }
    const queue = fresh('unchanged');
    await ch.assertQueue(queue, { durable: false, maxLength: 2 });
    publish(ch, queue, '12');
    await waitDepth(ch, queue, 2);
    await closesChannel(ch.owner, 406, "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue " +
      `'${queue}' in vhost '/': received '1' but current is '2'`,
    (each) => each.assertQueue(queue, { durable: false, maxLength: 1 }));
    publish(ch, queue, '3');
    await waitDepth(ch, queue, 2);
    assert.deepEqual(await drain(ch, queue), ['2', '3']);
    await ch.deleteQueue(queue);
  }));
