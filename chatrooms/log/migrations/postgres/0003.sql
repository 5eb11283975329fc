-- Rules of rooms. A room that was made by use has no owner.

alter table rooms add column owner     text collate "C";
alter table rooms add column private   bigint not null default 0;
alter table rooms add column title     text collate "C";
alter table rooms add column slow_mode double precision    not null default 0;  -- seconds between two messages of one user

-- Who belongs to a room, besides its owner.
create table room_members (
    room_id text collate "C"    not null,
    user_id text collate "C"    not null,
    role    text collate "C"    not null,  -- 'moderator' or 'member'
    since   bigint not null,  -- milliseconds since 1970
    primary key (room_id, user_id)
);
create index room_members_user_id on room_members (user_id);

create table room_restrictions (
    room_id text collate "C"    not null,
    user_id text collate "C"    not null,
    kind    text collate "C"    not null,  -- 'ban' or 'mute'
    until   bigint,           -- milliseconds since 1970; null: for ever
    primary key (room_id, kind, user_id)
);

-- Only the hash of an invite is kept: who reads the database cannot use it.
create table room_invites (
    hash       text collate "C"    primary key,  -- SHA-256, hex
    invite_id  text collate "C"    not null unique,
    room_id    text collate "C"    not null,
    created_by text collate "C"    not null,
    created_at bigint not null,
    expires_at bigint not null,     -- milliseconds since 1970
    uses       bigint               -- how many are left; null: any number
);
create index room_invites_room_id on room_invites (room_id);

-- The last message of each user in a room with slow mode, for as long as it counts.
create table slow_posts (
    room_id   text collate "C"    not null,
    user_id   text collate "C"    not null,
    posted_at bigint not null,  -- milliseconds since 1970
    primary key (room_id, user_id)
);
