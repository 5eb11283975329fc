-- Whose a session is may be said by another program, in a row of its outbox; and an owner reads what was
-- said after it became that. Those that there are read all, as they did.

alter table sessions add column since bigint not null default 0;  -- a seq
alter table session_messages add column owner text;  -- whose the session is from this row on

create or replace view session_outbox as
select id, left(session_id, 256) as session_id, left(content, 262145) as content,
       coalesce(is_from_bot, false) as is_from_bot, coalesce(is_human, false) as is_human,
       left(intent, 256) as intent, left(robot_id, 256) as robot_id,
       to_char(created_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as created_at,
       left(owner, 256) as owner
from session_messages where taken_at is null order by id for update skip locked;
