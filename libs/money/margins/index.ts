export { marginBy, marginGroups, type MarginGroup, type MarginRow } from './margin.js';
