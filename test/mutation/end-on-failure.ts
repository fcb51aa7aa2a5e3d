import fc from 'fast-check';

/** A history that fails has told: making it shorter would take most of the time of a run. */
fc.configureGlobal({ ...fc.readConfigureGlobal(), endOnFailure: true });
