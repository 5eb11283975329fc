-- The log, and what stands beside it.
-- Text is compared by code point, as everywhere else in the program: collate "C".

create table meta (
    name  text collate "C" primary key,
    value text collate "C" not null
);

-- One row an event, in commit order. `type` is 'erased' for a message that was deleted: the row
-- stays, so that its key still answers a repeated post, but its text collate "C" is gone.
create table events (
    seq        bigint primary key,
    type       text collate "C"    not null,
    data       text collate "C"    not null,
    key        text collate "C"    unique,
    ref        bigint,
    created_at bigint not null  -- milliseconds since 1970
);
create index events_ref on events (ref) where ref is not null;
create index events_created_at on events (created_at);

-- A topic is a filter over the log: its rows, in order, are what its readers get.
create table event_topics (
    topic text collate "C"    not null,
    seq   bigint not null,
    primary key (topic, seq)
);
create index event_topics_seq on event_topics (seq);

create table rooms (
    room_id    text collate "C" primary key,
    created_at bigint not null
);

-- One row a sign-in. Its refresh tokens are numbered from 0; `used` is the highest that was used.
create table refresh_families (
    family     text collate "C"    primary key,
    user_id    text collate "C"    not null,
    username   text collate "C",
    role       text collate "C"    not null,
    used       bigint not null,
    revoked    bigint not null default 0,
    expires_at bigint not null  -- seconds since 1970
);
create index refresh_families_expires_at on refresh_families (expires_at);
