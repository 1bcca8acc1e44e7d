// Runs the amqplib scenarios: `node main.js [name ...]`.
'use strict';

const { main } = require('./scenarios');

require('./exchanges');
require('./publishing');
require('./consuming');
require('./queues');
require('./limits');
require('./features');
require('./policies');
require('./plugin_exchanges');
require('./connections');
require('./configured');
require('./restart');

main('amqplib');
