import { mainJobSuite } from './main-job.suite.js';

mainJobSuite('PostgreSQL', () => Promise.resolve({ close: () => Promise.resolve() }));
