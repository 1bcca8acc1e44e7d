// amqplib: declaring queues and exchanges, who may use them, and when they go.
'use strict';

const { assert, fresh, pause, scenario, until } = require('./scenarios');
const {
  closesChannel, connect, get, Inbox, open, privateQueue, publish, waitDepth, withChannel,
} = require('./client');

const gone = (connection, queue) =>
  closesChannel(connection, 404, `NOT_FOUND - no queue '${queue}' in vhost '/'`, (each) => each.checkQueue(queue));

scenario('server_named_queue', 'An empty name asks for a fresh one, and later means the queue declared last.', () =>
  withChannel(async (ch) => {
    const [first, second] = [await privateQueue(ch), await privateQueue(ch)];
    assert.notEqual(first, second);
    assert.match(second, /^amq\.gen-[-_A-Za-z0-9]{22}$/);
    publish(ch, second, ['m']);
    await waitDepth(ch, second, 1);
    assert.equal((await get(ch, '')).content.toString(), 'm');
    await closesChannel(ch.owner, 404, 'NOT_FOUND - no previously declared queue', (each) => each.purgeQueue(''));
  }));

scenario('exclusive_queue', 'Only the connection that declared it may use an exclusive queue.', () =>
  withChannel(async (owner) => {
    const queue = await privateQueue(owner);
    const other = await connect();
    const text = `RESOURCE_LOCKED - cannot obtain exclusive access to locked queue '${queue}' in vhost '/'. ` +
      'It could be originally declared on another connection or the exclusive property value does ' +
      'not match that of the original declaration.';
    for (const attempt of [
      (ch) => ch.checkQueue(queue), (ch) => ch.consume(queue, () => {}), (ch) => ch.get(queue),
      (ch) => ch.purgeQueue(queue), (ch) => ch.bindQueue(queue, 'amq.fanout', ''), (ch) => ch.deleteQueue(queue),
    ]) await closesChannel(other, 405, text, attempt);
    await owner.close();
    await owner.owner.close();
    await gone(other, queue);
    await other.close();
  }));

scenario('auto_delete', 'Queues go with their last consumer, exchanges with their last binding.', () =>
  withChannel(async (ch) => {
    const [queue, exchange] = [fresh('auto'), fresh('auto')];
    await ch.assertQueue(queue, { durable: false, autoDelete: true });
    await ch.assertExchange(exchange, 'direct', { durable: false, autoDelete: true });
    await ch.bindQueue(queue, exchange, 'k');
    const inboxes = [await Inbox.open(ch, queue), await Inbox.open(ch, queue)];
    await ch.cancel(inboxes[0].tag);
    assert.equal((await ch.checkQueue(queue)).consumerCount, 1);
    await ch.cancel(inboxes[1].tag);
    await gone(ch.owner, queue);
    await closesChannel(ch.owner, 404, `NOT_FOUND - no exchange '${exchange}' in vhost '/'`,
      (each) => each.checkExchange(exchange));
  }));

scenario('passive_declares', 'checkQueue and checkExchange find out, and create nothing.', () =>
  withChannel(async (ch) => {
    const queue = await privateQueue(ch);
    publish(ch, queue, ['1', '2']);
    await waitDepth(ch, queue, 2);
    assert.deepEqual(await ch.checkQueue(queue), { queue, messageCount: 2, consumerCount: 0 });
    await ch.checkExchange('amq.topic');
    await gone(ch.owner, fresh('missing'));
  }));

scenario('inequivalent_declares', 'Declaring again the same is fine; any difference is named and refused.', () =>
  withChannel(async (ch) => {
    const queue = fresh('same');
    await ch.assertQueue(queue, { durable: true, maxLength: 5 });
    await ch.assertQueue(queue, { durable: true, maxLength: 5 });
    await ch.assertQueue(queue, { durable: true, arguments: { 'x-max-length': { '!': 'int64', value: 5 } } });
    const where = `for queue '${queue}' in vhost '/': received`;
    for (const [options, text] of [
      [{ durable: false, maxLength: 5 }, `'durable' ${where} 'false' but current is 'true'`],
      [{ durable: true, autoDelete: true, maxLength: 5 }, `'auto_delete' ${where} 'true' but current is 'false'`],
      [{ durable: true, maxLength: 6 }, `'x-max-length' ${where} '6' but current is '5'`],
    ]) {
      await closesChannel(ch.owner, 406, `PRECONDITION_FAILED - inequivalent arg ${text}`,
        (each) => each.assertQueue(queue, options));
    }
    const exchange = fresh('same');
    await ch.assertExchange(exchange, 'topic');
    await closesChannel(ch.owner, 406, `PRECONDITION_FAILED - inequivalent arg 'type' for exchange '${exchange}' ` +
      "in vhost '/': received 'direct' but current is 'topic'", (each) => each.assertExchange(exchange, 'direct'));
    await ch.deleteQueue(queue);
    await ch.deleteExchange(exchange);
  }));

scenario('delete_conditions_and_purge', 'delete can insist on empty or unused; purge leaves what is held.', () =>
  withChannel(async (ch) => {
    const queue = fresh('delete');
    await ch.assertQueue(queue, { durable: false });
    publish(ch, queue, 'abc');
    await waitDepth(ch, queue, 3);
    const where = `PRECONDITION_FAILED - queue '${queue}' in vhost '/'`;
    await closesChannel(ch.owner, 406, `${where} not empty`, (each) => each.deleteQueue(queue, { ifEmpty: true }));
    const held = await get(ch, queue);
    assert.deepEqual(await ch.purgeQueue(queue), { messageCount: 2 });
    ch.nack(held, false, true);
    const inbox = await Inbox.open(ch, queue, { noAck: true });
    assert.deepEqual(await inbox.wait(1), ['a']);
    await closesChannel(ch.owner, 406, `${where} in use`, (each) => each.deleteQueue(queue, { ifUnused: true }));
    assert.deepEqual(await ch.deleteQueue(queue), { messageCount: 0 });
    assert.deepEqual(await ch.deleteQueue(queue), { messageCount: 0 });
  }));

scenario('queue_expires', 'A queue nobody uses for x-expires milliseconds is deleted.', () =>
  withChannel(async (ch) => {
    const queue = fresh('expires');
    await ch.assertQueue(queue, { durable: false, expires: 300 });
    let returned = false;
    ch.on('return', () => { returned = true; });
    // Asking for the queue would count as use: see whether a message can be routed to it.
    await until(async () => {
      ch.publish('', queue, Buffer.from('?'), { mandatory: true });
      await pause(50);
      return returned;
    }, 'the queue to expire');
    await gone(ch.owner, queue);
  }));

scenario('bad_arguments', 'Queue arguments are checked when declaring.', () =>
  withChannel(async (ch) => {
    for (const [argument, value] of [['x-message-ttl', -1], ['x-expires', 0], ['x-max-length', 'long'],
      ['x-max-priority', 256], ['x-overflow', 'spill'], ['x-dead-letter-routing-key', 'no exchange']]) {
      const each = await open(ch.owner);
      const failed = each.assertQueue(fresh(), { exclusive: true, arguments: { [argument]: value } });
      await assert.rejects(failed, (error) => error.code === 406 && error.message.includes(argument));
    }
  }));
