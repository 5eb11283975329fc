-- Who is where, by node, when several workers share the file.

create table nodes (
    node    text primary key,
    seen_at integer not null  -- milliseconds since 1970
) without rowid;

create table presence (
    node     text    not null,
    room_id  text    not null,
    user_id  text    not null,
    username text    not null,
    guest    integer not null default 0,
    primary key (node, room_id, user_id, username)
) without rowid;
