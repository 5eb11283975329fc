-- The highest number that an event has ever had, as far as events have been removed: whoever removes some,
-- the last one may be among them, and its number must not be given again.

select pg_advisory_xact_lock(7163082358176874497);  -- 'chat', 1, the lock of the log: see postgres.py

create table log_mark (
    seq bigint not null
);
insert into log_mark values (0);

create function keep_log_mark() returns trigger language plpgsql as $$
begin
    update log_mark set seq = last.seq from (select max(seq) as seq from events) as last where log_mark.seq < last.seq;
    return null;
end $$;
create trigger keep_log_mark before delete or truncate on events
    for each statement execute function keep_log_mark();

-- Which of the last events were removed before this is not known, so that many numbers are left out: by an
-- event, so that nodes of before which still run leave them out, too.
insert into events (seq, type, data, created_at)
select known.seq + 1000, 'erased', '{}', cast(extract(epoch from clock_timestamp()) * 1000 as bigint)
from (select greatest((select max(seq) from events), (select max(since) from memberships),
                      (select cast(value as bigint) from meta where name = 'floor')) as seq) as known
where known.seq > 0;
