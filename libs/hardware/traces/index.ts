export { traceForms, type TraceForm } from './forms.js';
export {
  findingKinds,
  TraceReader,
  TraceRefused,
  type TraceFinding,
  type TraceNumbers,
  type TraceReport,
} from './reader.js';
