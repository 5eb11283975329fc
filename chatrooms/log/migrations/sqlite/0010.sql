-- What is over is found without a look at what is not, however many are banned or write in slow mode.
create index room_restrictions_until on room_restrictions (room_id, until) where until is not null;
create index slow_posts_posted_at on slow_posts (room_id, posted_at);

-- Who was put out of a room while there were invites to it: those made before do not let them in again.
create table room_kicks (
    room_id   text    not null,
    user_id   text    not null,
    kicked_at integer not null,  -- milliseconds since 1970, as is:
    until     integer not null,  -- when the last of those invites expires
    primary key (room_id, user_id)
) without rowid;
create index room_kicks_until on room_kicks (room_id, until);
