// Runs the amqplib scenarios: `node main.js [name ...]`.
'use strict';

const { main } = require('./scenarios');

require('./exchanges');
require('./publishing');
require('./consuming');
require('./queues');
require('./limits');
require('./connections');
require('./restart');

main('amqplib');
