-- Who has joined which room: what a personal stream carries. Unlike room_members this gives no right.

create table memberships (
    user_id   text    not null,
    room_id   text    not null,
    since     integer not null,  -- the seq after which the room's events are theirs
    joined_at integer not null,  -- milliseconds since 1970
    primary key (user_id, room_id)
) without rowid;
