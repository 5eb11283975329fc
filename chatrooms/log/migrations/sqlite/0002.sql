-- Accounts, and what takes the right to come in.

-- A deleted account keeps its row, so that its user_id stays shut out; nothing else is left in it.
create table accounts (
    user_id       text    primary key,
    username      text,
    folded_name   text    unique,
    email         text    unique,
    password_hash text,
    role          text    not null,
    state         text    not null,  -- active, disabled, deleted
    created_at    integer not null   -- milliseconds since 1970
) without rowid;
create index accounts_state on accounts (state) where state <> 'active';

-- A sign-in is alive while its row is there.
alter table refresh_families drop column revoked;
create index refresh_families_user_id on refresh_families (user_id);

-- Sessions whose tokens are refused until the last of them has expired by itself.
create table revocations (
    session    text    primary key,
    expires_at integer not null  -- seconds since 1970
) without rowid;

-- One-use tickets, by the SHA-256 of their text.
create table tickets (
    hash             text    primary key,
    user_id          text    not null,
    username         text,
    role             text    not null,
    session          text    not null,
    token_expires_at real    not null,  -- seconds since 1970, as is:
    expires_at       integer not null
) without rowid;
create index tickets_expires_at on tickets (expires_at);
