-- The log, and what stands beside it.

create table meta (
    name  text primary key,
    value text not null
) without rowid;

-- One row an event, in commit order. `type` is 'erased' for a message that was deleted: the row
-- stays, so that its key still answers a repeated post, but its text is gone.
create table events (
    seq        integer primary key autoincrement,
    type       text    not null,
    data       text    not null,
    key        text    unique,
    ref        integer,
    created_at integer not null  -- milliseconds since 1970
);
create index events_ref on events (ref) where ref is not null;
create index events_created_at on events (created_at);

-- A topic is a filter over the log: its rows, in order, are what its readers get.
create table event_topics (
    topic text    not null,
    seq   integer not null,
    primary key (topic, seq)
) without rowid;
create index event_topics_seq on event_topics (seq);

create table rooms (
    room_id    text primary key,
    created_at integer not null
) without rowid;

-- One row a sign-in. Its refresh tokens are numbered from 0; `used` is the highest that was used.
create table refresh_families (
    family     text    primary key,
    user_id    text    not null,
    username   text,
    role       text    not null,
    used       integer not null,
    revoked    integer not null default 0,
    expires_at integer not null  -- seconds since 1970
) without rowid;
create index refresh_families_expires_at on refresh_families (expires_at);
