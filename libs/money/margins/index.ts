export { resultAccounts, revenueBy, revenuePeriods, type RevenuePeriod, type RevenueRow } from './revenue.js';
export { earnedOn } from './reserved.js';
export { marginBy, marginGroups, type MarginGroup, type MarginRow } from './margin.js';
