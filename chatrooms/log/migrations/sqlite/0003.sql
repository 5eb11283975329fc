-- Rules of rooms. A room that was made by use has no owner.

alter table rooms add column owner     text;
alter table rooms add column private   integer not null default 0;
alter table rooms add column title     text;
alter table rooms add column slow_mode real    not null default 0;  -- seconds between two messages of one user

-- Who belongs to a room, besides its owner.
create table room_members (
    room_id text    not null,
    user_id text    not null,
    role    text    not null,  -- 'moderator' or 'member'
    since   integer not null,  -- milliseconds since 1970
    primary key (room_id, user_id)
) without rowid;
create index room_members_user_id on room_members (user_id);

create table room_restrictions (
    room_id text    not null,
    user_id text    not null,
    kind    text    not null,  -- 'ban' or 'mute'
    until   integer,           -- milliseconds since 1970; null: for ever
    primary key (room_id, kind, user_id)
) without rowid;

-- Only the hash of an invite is kept: who reads the database cannot use it.
create table room_invites (
    hash       text    primary key,  -- SHA-256, hex
    invite_id  text    not null unique,
    room_id    text    not null,
    created_by text    not null,
    created_at integer not null,
    expires_at integer not null,     -- milliseconds since 1970
    uses       integer               -- how many are left; null: any number
) without rowid;
create index room_invites_room_id on room_invites (room_id);

-- The last message of each user in a room with slow mode, for as long as it counts.
create table slow_posts (
    room_id   text    not null,
    user_id   text    not null,
    posted_at integer not null,  -- milliseconds since 1970
    primary key (room_id, user_id)
) without rowid;
