-- Who is where, by node. What a crash takes of it is written again by the nodes that live.

create table nodes (
    node    text collate "C" primary key,
    seen_at bigint not null  -- milliseconds since 1970, by the clock of the database
);

create table presence (
    node     text collate "C" not null,
    room_id  text collate "C" not null,
    user_id  text collate "C" not null,
    username text collate "C" not null,
    guest    integer not null default 0,
    primary key (node, room_id, user_id, username)
);
