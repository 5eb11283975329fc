-- The highest number that an event has ever had, as far as events have been removed: whoever removes some,
-- the last one may be among them, and its number must not be given again.

create table log_mark (
    seq bigint not null
);

-- What was removed before this was noted is not known: so many numbers are left out.
insert into log_mark
select greatest(coalesce(max(seq) + 1000, 0), (select max(since) from memberships),
                (select cast(value as bigint) from meta where name = 'floor'))
from events;

create function keep_log_mark() returns trigger language plpgsql as $$
begin
    update log_mark set seq = last.seq from (select max(seq) as seq from events) as last where log_mark.seq < last.seq;
    return null;
end $$;
create trigger keep_log_mark before delete or truncate on events
    for each statement execute function keep_log_mark();
