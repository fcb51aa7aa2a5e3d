import type { MigrationInterface, QueryRunner } from 'typeorm';

/** A slot is a part of a GPU, as a range of its 840 shares; a whole GPU is all of them. No two ranges of one GPU overlap, whoever writes them. */
export class AddGpuParts1765100000000 implements MigrationInterface {
  readonly name = 'AddGpuParts1765100000000';

  async up(runner: QueryRunner): Promise<void> {
    await runner.query(`
      alter table hosts add column time_slices integer not null default 1 check (time_slices between 1 and 8);
      alter table slots
        add column share_from integer not null default 0,
        add column share_to integer not null default 840,
        add column device text,
        add check (share_from >= 0 and share_from < share_to and share_to <= 840),
        drop constraint slots_host_id_gpu_index_key,
        add unique (host_id, gpu_index, share_from);
      create function berth_slots_apart() returns trigger language plpgsql as $$
      begin
        perform 1 from hosts where id = new.host_id for update;
        if exists (select 1 from slots s where s.host_id = new.host_id and s.gpu_index = new.gpu_index and s.n <> new.n
          and s.share_from < new.share_to and new.share_from < s.share_to) then
          raise exception 'another lease has these shares of the GPU' using errcode = 'unique_violation', table = 'slots', constraint = 'slots_apart';
        end if;
        return new;
      end $$;
      create trigger apart before insert or update on slots for each row execute function berth_slots_apart();
    `);
  }

  async down(runner: QueryRunner): Promise<void> {
    await runner.query(`
      drop trigger apart on slots;
      drop function berth_slots_apart();
      alter table slots no force row level security;
      delete from slots where share_from > 0 or share_to < 840;
      alter table slots force row level security;
      alter table slots drop column share_from, drop column share_to, drop column device, add unique (host_id, gpu_index);
      alter table hosts drop column time_slices;
    `);
  }
}
