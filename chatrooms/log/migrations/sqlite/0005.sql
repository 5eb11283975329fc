-- Message sessions. A row is there once a session has an owner.

create table sessions (
    session_id text primary key,
    owner      text not null,
    created_at integer not null  -- milliseconds since 1970
) without rowid;

-- An outbox: any program may insert here. Rows whose `taken_at` is null wait to be appended to the log.
create table session_messages (
    id          integer primary key autoincrement,
    session_id  text    not null,
    content     text    not null,
    is_from_bot boolean default false,
    is_human    boolean default false,
    intent      text,
    robot_id    text,
    created_at  text    default (strftime('%Y-%m-%dT%H:%M:%fZ', 'now')),
    taken_at    integer,  -- milliseconds since 1970
    refused     text      -- why a row was not appended
);
create index session_messages_waiting on session_messages (id) where taken_at is null;

-- The rows that wait, within bounds. Text as bytes: what another program wrote need not be UTF-8,
-- and must not make the whole query fail; and the substr of a text would end at its first NUL.
create view session_outbox as
select id, substr(cast(session_id as blob), 1, 1024) as session_id, substr(cast(content as blob), 1, 1048577) as content,
       case when is_from_bot then 1 else 0 end as is_from_bot, case when is_human then 1 else 0 end as is_human,
       substr(cast(intent as blob), 1, 1024) as intent, substr(cast(robot_id as blob), 1, 1024) as robot_id,
       strftime('%Y-%m-%dT%H:%M:%fZ', created_at, 'auto') as created_at
from session_messages where taken_at is null order by id;

-- Here a lock is one of the whole database, and writes know how to wait for it.
create view session_messages_locked as select 1 as locked where 0;
