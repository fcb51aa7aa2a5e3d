import type { MigrationInterface, QueryRunner } from 'typeorm';

/** Machines that are paid for in advance, and which lease has one of them. */
export class AddReservations1765200000000 implements MigrationInterface {
  readonly name = 'AddReservations1765200000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      create table reservations (
        id text primary key,
        provider_id text not null references providers (id),
        sku text,
        accelerator text,
        gpus_per_machine integer check (gpus_per_machine > 0),
        region text not null,
        zone text,
        machines integer not null check (machines > 0),
        from_at timestamptz not null,
        until_at timestamptz not null check (until_at >= from_at),
        paid_per_hour numeric(38, 0) not null check (paid_per_hour >= 0),
        note text not null,
        state text not null check (state in ('open', 'ended')),
        created_at timestamptz not null,
        check ((sku is null) <> (accelerator is null) and (accelerator is null) = (gpus_per_machine is null))
      );
      create index on reservations (until_at) where state = 'open';
      create index on reservations (provider_id);
      create table reservation_uses (
        lease_id text primary key,
        reservation_id text not null references reservations (id)
      );
      create index on reservation_uses (reservation_id);
      alter table leases
        add column reservation_id text,
        add column reserved_until timestamptz,
        add column basis_per_hour numeric(38, 0) check (basis_per_hour >= 0),
        add check ((reservation_id is null) = (reserved_until is null));
      create index on leases (reservation_id) where reservation_id is not null;
      grant select, insert, update on reservations to berth_worker;
      grant select, insert, delete on reservation_uses to berth_worker;
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table leases drop column reservation_id, drop column reserved_until, drop column basis_per_hour;
      drop table reservation_uses, reservations;
    `);
  }
}
