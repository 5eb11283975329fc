-- From where an account was signed in to: guesses by others do not keep these out.

create table known_devices (
    user_id text collate "C" not null,
    device  text collate "C" not null,  -- a keyed hash of an address, or of what a cookie says
    seen_at bigint           not null,  -- the last sign-in, seconds since 1970
    primary key (user_id, device)
);
create index known_devices_seen_at on known_devices (seen_at);
