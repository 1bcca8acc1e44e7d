// amqplib: taking messages, settling them, and consumers coming and going.
'use strict';

const { assert, fresh, pause, scenario, until } = require('./scenarios');
const {
  closesChannel, connect, depth, drain, get, Inbox, open, privateQueue, publish, waitDepth, withChannel,
} = require('./client');

const seen = (messages) => messages.map(({ content, fields }) => [content.toString(), fields.redelivered]);

scenario('get_and_get_empty', 'basic.get takes one message and tells how many are left.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    assert.equal(await ch.get(queue), false);
    publish(ch, queue, ['1', '2', '3']);
    await waitDepth(ch, queue, 3);
    for (const n of [1, 2, 3]) {
      const { content, fields } = await get(ch, queue);
      assert.deepEqual([content.toString(), fields.deliveryTag, fields.messageCount], [String(n), n, 3 - n]);
    }
    assert.equal(await ch.get(queue), false);
  }));

scenario('ack_multiple', 'An ack for many covers all tags up to it, and nothing after.', () =>
  withChannel(async (ch) => {
    const queue = fresh('ack');
    await ch.assertQueue(queue, { durable: false });
    publish(ch, queue, 'abcdef');
    const worker = await open(ch.owner);
    const inbox = await Inbox.open(worker, queue);
    await inbox.wait(6);
    worker.ack(inbox.items[1]);
    worker.ack(inbox.items[3], true);
    await worker.close();
    await waitDepth(ch, queue, 2);
    assert.deepEqual(await drain(ch, queue), ['e', 'f']);
    await ch.deleteQueue(queue);
  }));

scenario('nack_reject_requeue_order', 'Messages put back take their old places; refused ones are gone.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    publish(ch, queue, 'abcdef');
    await waitDepth(ch, queue, 6);
    const taken = [];
    for (let n = 0; n < 5; n++) taken.push(await get(ch, queue));
    ch.reject(taken[3], true);
    ch.reject(taken[2], false);
    ch.nack(taken[1], true, true);
    await waitDepth(ch, queue, 4);
    const again = [];
    for (let n = 0; n < 4; n++) again.push(await get(ch, queue));
    assert.deepEqual(seen(again), [['a', true], ['b', true], ['d', true], ['f', false]]);
    ch.nackAll(false);
    assert.equal(await depth(ch, queue), 0);
  }));

scenario('recover', 'recover puts all unacked messages back; they come again, marked, in order.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    publish(ch, queue, 'abc');
    const inbox = await Inbox.open(ch, queue);
    await inbox.wait(3);
    ch.ack(inbox.items[1]);
    await ch.recover();
    await inbox.wait(5);
    assert.deepEqual(seen(inbox.items.slice(3)), [['a', true], ['c', true]]);
  }));

scenario('lost_connection_redelivers', 'What a consumer held when its connection broke comes back in order.', () =>
  withChannel(async (ch) => {
    const queue = fresh('lost');
    await ch.assertQueue(queue, { durable: false });
    publish(ch, queue, 'abc');
    const doomed = await connect();
    const inbox = await Inbox.open(await open(doomed), queue);
    await inbox.wait(3);
    doomed.connection.stream.destroy();
    await waitDepth(ch, queue, 3);
    const again = [await get(ch, queue), await get(ch, queue), await get(ch, queue)];
    assert.deepEqual(seen(again), [['a', true], ['b', true], ['c', true]]);
    await ch.deleteQueue(queue);
  }));

scenario('consumer_cancel', 'After cancel nothing more is delivered; what was can still be acknowledged.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    await ch.prefetch(1);
    const inbox = await Inbox.open(ch, queue);
    publish(ch, queue, ['1', '2']);
    await inbox.wait(1);
    assert.deepEqual(await ch.cancel(inbox.tag), { consumerTag: inbox.tag });
    ch.ack(inbox.items[0]);
    await pause(200);
    assert.deepEqual(inbox.texts(), ['1']);
    assert.deepEqual(await ch.checkQueue(queue), { queue, messageCount: 1, consumerCount: 0 });
    await ch.cancel('never heard of it');
  }));

scenario('cancel_notification', 'A consumer whose queue is deleted is called with null.', () =>
  withChannel(async (ch) => {
    const queue = fresh('cancelled');
    await ch.assertQueue(queue, { durable: false });
    const other = await open(ch.owner);
    const inbox = await Inbox.open(other, queue);
    await ch.deleteQueue(queue);
    await until(() => inbox.items.length, 'the cancel');
    assert.deepEqual(inbox.items, [null]);
    await privateQueue(other);
  }));

scenario('unknown_delivery_tag', 'Settling a tag twice closes the channel; what it held is given back.', () =>
  withChannel(async (ch) => {
    const queue = fresh('tags');
    await ch.assertQueue(queue, { durable: false });
    publish(ch, queue, ['1', '2']);
    await waitDepth(ch, queue, 2);
    await closesChannel(ch.owner, 406, 'PRECONDITION_FAILED - unknown delivery tag 1', async (each) => {
      const message = await get(each, queue);
      await get(each, queue);
      each.ack(message);
      each.ack(message);
    });
    await waitDepth(ch, queue, 1);
    assert.deepEqual(seen([await get(ch, queue)]), [['2', true]]);
    await ch.deleteQueue(queue);
  }));

scenario('exclusive_consumer', 'An exclusive consumer keeps others out, and is kept out by others.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    const text = `ACCESS_REFUSED - queue '${queue}' in vhost '/' in exclusive use`;
    const inbox = await Inbox.open(ch, queue, { exclusive: true });
    await closesChannel(ch.owner, 403, text, (each) => each.consume(queue, () => {}));
    await ch.cancel(inbox.tag);
    await Inbox.open(ch, queue);
    await closesChannel(ch.owner, 403, text, (each) => each.consume(queue, () => {}, { exclusive: true }));
  }));

scenario('consumer_priority', 'While it has room, the consumer with the higher priority gets everything.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    await ch.prefetch(3);
    const low = await Inbox.open(ch, queue, { priority: -5 });
    const high = await Inbox.open(ch, queue, { priority: 10 });
    publish(ch, queue, 'abcd');
    assert.deepEqual(await high.wait(3), ['a', 'b', 'c']);
    assert.deepEqual(await low.wait(1), ['d']);
  }));

scenario('prefetch', 'Per consumer, then shared by the channel; every ack lets one more through.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    publish(ch, queue, Array.from({ length: 20 }, (_, n) => String(n)));
    await ch.prefetch(3);
    const inbox = await Inbox.open(ch, queue);
    await inbox.wait(3);
    await pause(200);
    assert.equal(inbox.items.length, 3);
    ch.ack(inbox.items[1]);
    await inbox.wait(4);
    await pause(200);
    assert.equal(inbox.items.length, 4);
    const shared = await open(ch.owner);
    await shared.prefetch(4, true);
    const inboxes = [await Inbox.open(shared, queue), await Inbox.open(shared, queue)];
    await waitDepth(ch, queue, 12);
    await pause(200);
    assert.equal(inboxes[0].items.length + inboxes[1].items.length, 4);
    shared.ackAll();
    await waitDepth(ch, queue, 8);
  }));

scenario('consumer_tag_reuse', 'A consumer tag in use closes the connection.', async () => {
  const connection = await connect();
  const failed = new Promise((resolve) => connection.on('error', resolve));
  const ch = await open(connection);
  const queue = await privateQueue(ch);
  await ch.consume(queue, () => {}, { consumerTag: 'twice' });
  ch.consume(queue, () => {}, { consumerTag: 'twice' }).catch(() => {});
  const error = await failed;
  assert.equal(error.code, 530);
  assert(error.message.includes("NOT_ALLOWED - attempt to reuse consumer tag 'twice'"), error.message);
});
