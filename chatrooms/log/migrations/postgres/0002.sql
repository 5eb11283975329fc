-- Accounts, and what takes the right to come in.

-- A deleted account keeps its row, so that its user_id stays shut out; nothing else is left in it.
create table accounts (
    user_id       text collate "C"    primary key,
    username      text collate "C",
    folded_name   text collate "C"    unique,
    email         text collate "C"    unique,
    password_hash text collate "C",
    role          text collate "C"    not null,
    state         text collate "C"    not null,  -- active, disabled, deleted
    created_at    bigint not null   -- milliseconds since 1970
);
create index accounts_state on accounts (state) where state <> 'active';

-- A sign-in is alive while its row is there.
alter table refresh_families drop column revoked;
create index refresh_families_user_id on refresh_families (user_id);

-- Sessions whose tokens are refused until the last of them has expired by itself.
create table revocations (
    session    text collate "C"    primary key,
    expires_at bigint not null  -- seconds since 1970
);

-- One-use tickets, by the SHA-256 of their text collate "C".
create table tickets (
    hash             text collate "C"    primary key,
    user_id          text collate "C"    not null,
    username         text collate "C",
    role             text collate "C"    not null,
    session          text collate "C"    not null,
    token_expires_at double precision    not null,  -- seconds since 1970, as is:
    expires_at       bigint not null
);
create index tickets_expires_at on tickets (expires_at);
