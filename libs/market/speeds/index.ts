export { measuredSpeed, noSpeedEvidence, observeSpeed, type SpeedEvidence } from './evidence.js';
export { foldShardTimes, learnFromShards, learntSpeeds, noteShardTimes, servedOn, type ShardEnd } from './learning.js';
export { busySeconds } from './machine-time.js';
export { servingSpeeds, shardTimes, type ShardTimeRow, type SpeedEvidenceRow } from './speeds.table.js';
