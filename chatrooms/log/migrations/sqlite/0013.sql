-- Whose a session is may be said by another program, in a row of its outbox; and an owner reads what was
-- said after it became that. Those that there are read all, as they did.

alter table sessions add column since integer not null default 0;  -- a seq
alter table session_messages add column owner text;  -- whose the session is from this row on

drop view session_outbox;
create view session_outbox as
select id, substr(cast(session_id as blob), 1, 1024) as session_id, substr(cast(content as blob), 1, 1048577) as content,
       case when is_from_bot then 1 else 0 end as is_from_bot, case when is_human then 1 else 0 end as is_human,
       substr(cast(intent as blob), 1, 1024) as intent, substr(cast(robot_id as blob), 1, 1024) as robot_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at, 'auto') as created_at,
       substr(cast(owner as blob), 1, 1024) as owner
from session_messages where taken_at is null order by id;
