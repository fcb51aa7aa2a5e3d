import type { MigrationInterface, QueryRunner } from 'typeorm';

/** What vendors billed, beside what was metered. Seen by administrators only. */
export class AddVendorInvoices1764480000000 implements MigrationInterface {
  readonly name = 'AddVendorInvoices1764480000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table vendor_invoices (
        id text primary key,
        provider_id text not null,
        n integer not null check (n > 0),
        format text not null check (format in ('aws-cur', 'gcp', 'csv')),
        file_name text not null,
        file_hash text not null,
        period_from timestamptz not null,
        period_to timestamptz not null,
        lines integer not null check (lines > 0),
        known_lines integer not null,
        skipped_lines integer not null,
        problems jsonb not null,
        total_nano numeric(38, 0) not null,
        matched_nano numeric(38, 0) not null,
        only_at_vendor_nano numeric(38, 0) not null,
        metered_nano numeric(38, 0) not null,
        imported_at timestamptz not null,
        unique (provider_id, n),
        unique (provider_id, file_hash),
        check (period_from < period_to),
        check (total_nano = matched_nano + only_at_vendor_nano)
      );
      create trigger append_only before update or delete on vendor_invoices for each row execute function berth_refuse_change();
      create trigger never_emptied before truncate on vendor_invoices for each statement execute function berth_refuse_change();
      create table vendor_invoice_lines (
        provider_id text not null,
        key text not null,
        digest text not null,
        invoice_id text not null references vendor_invoices (id),
        n integer not null,
        primary key (provider_id, key)
      );
      create trigger append_only before update or delete on vendor_invoice_lines for each row execute function berth_refuse_change();
      create trigger never_emptied before truncate on vendor_invoice_lines for each statement execute function berth_refuse_change();
      create table vendor_comparisons (
        id text primary key,
        invoice_id text not null references vendor_invoices (id),
        provider_id text not null,
        kind text not null check (kind in ('agreed', 'amount', 'duration', 'only-ours', 'only-at-vendor')),
        lease_id text,
        machine_id text,
        what text not null,
        from_at timestamptz not null,
        to_at timestamptz not null,
        vendor_nano numeric(38, 0) not null,
        ours_nano numeric(38, 0) not null,
        vendor_ms bigint,
        ours_ms bigint not null,
        lines integer not null,
        first_line integer,
        accepted_at timestamptz,
        accepted_for text,
        transaction_id text references ledger_transactions (id),
        check ((accepted_at is null) = (accepted_for is null)),
        check (transaction_id is null or accepted_at is not null),
        check ((kind = 'only-at-vendor') = (lease_id is null))
      );
      create index on vendor_comparisons (invoice_id, from_at, id);
      grant select, insert on vendor_invoices, vendor_invoice_lines, vendor_comparisons to berth_worker;
      grant update (accepted_at, accepted_for, transaction_id) on vendor_comparisons to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`drop table vendor_comparisons, vendor_invoice_lines, vendor_invoices;`);
  }
}
