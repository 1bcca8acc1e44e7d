// As much AMQP as it takes to be connected, and to hold deliveries: for tests with thousands of clients.

import net from 'node:net';

const short = (text) => Buffer.concat([Buffer.from([Buffer.byteLength(text)]), Buffer.from(text)]);
const long = (bytes) => {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(bytes.length);
  return Buffer.concat([head, Buffer.from(bytes)]);
};
const u16 = (n) => Buffer.from([n >> 8, n & 255]);

function method(channel, [klass, number], ...parts) {
  const payload = Buffer.concat([u16(klass), u16(number), ...parts]);
  return Buffer.concat([Buffer.from([1]), u16(channel), long(payload), Buffer.from([0xce])]);
}

/** Logs in as guest under a connection name; `steps` are sent one by one, each after an answer. */
export function connect(port, name, steps = []) {
  const properties = Buffer.concat([short('connection_name'), Buffer.from('S'), long(name), short('product'), Buffer.from('S'), long('warren-suite'), short('capabilities'), Buffer.from('F'), long(Buffer.concat([short('consumer_cancel_notify'), Buffer.from('t'), Buffer.from([1])]))]);
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    const seen = [];
    let input = Buffer.alloc(0);
    socket.on('error', reject);
    socket.on('close', () => reject(new Error(`${name} was hung up on`)));
    socket.on('connect', () => socket.write(Buffer.from([65, 77, 81, 80, 0, 0, 9, 1])));
    const next = () => {
      const step = steps.shift();
      if (step) socket.write(step);
      else resolve({ end: () => socket.destroy(), seen });
    };
    socket.on('data', (bytes) => {
      input = Buffer.concat([input, bytes]);
      while (input.length >= 7 && input.length >= 8 + input.readUInt32BE(3)) {
        const size = input.readUInt32BE(3);
        const payload = input.subarray(7, 7 + size);
        if (input[0] === 1) {
          const id = `${payload.readUInt16BE(0)}.${payload.readUInt16BE(2)}`;
          seen.push(id);
          if (id === '10.10') socket.write(method(0, [10, 11], long(properties), short('PLAIN'), long('\0guest\0guest'), short('en_US')));
          else if (id === '10.30') socket.write(Buffer.concat([method(0, [10, 31], payload.subarray(4, 10), u16(0)), method(0, [10, 40], short('/'), short(''), Buffer.from([0]))]));
          else if (id === '10.50') socket.write(method(0, [10, 51]));
          else if (id !== '60.60') next();
        }
        input = input.subarray(8 + size);
      }
    });
  });
}

/** What `connect` is given to open channel 1 and consume from a queue, `prefetch` at a time. */
export function consuming(queue, tag, prefetch) {
  const qos = Buffer.concat([Buffer.alloc(4), u16(prefetch), Buffer.from([0])]);
  return [method(1, [20, 10], short('')), method(1, [60, 10], qos), method(1, [60, 20], u16(0), short(queue), short(tag), Buffer.from([0]), long(''))];
}

/** What `connect` is given to open channel 1 and publish there; the broker has it once it answers. */
export function publishing(exchange, key, text) {
  const body = Buffer.from(text);
  const size = Buffer.alloc(8);
  size.writeBigUInt64BE(BigInt(body.length));
  const frame = (kind, payload) => Buffer.concat([Buffer.from([kind]), u16(1), long(payload), Buffer.from([0xce])]);
  const content = [frame(2, Buffer.concat([u16(60), u16(0), size, u16(0)])), frame(3, body)];
  // basic.publish has no answer: basic.qos behind it has.
  const qos = Buffer.concat([Buffer.alloc(4), u16(1), Buffer.from([0])]);
  return [method(1, [20, 10], short('')), Buffer.concat([method(1, [60, 40], u16(0), short(exchange), short(key), Buffer.from([0])), ...content, method(1, [60, 10], qos)])];
}
