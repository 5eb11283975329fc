-- What names look like, and who is a guest.

-- The skeletons of the names of accounts: no two accounts look alike. Filled from the accounts at the next start,
-- oldest first, for they cannot be computed here; an account whose skeletons others had before has none.
create table name_skeletons (
    skeleton text primary key,
    user_id  text not null
) without rowid;
create index name_skeletons_user_id on name_skeletons (user_id);

-- A guest is who signed in here without a password; no token made elsewhere is one.
alter table refresh_families add column guest integer not null default 0;
update refresh_families set guest = 1 where user_id like 'guest-%';
alter table tickets add column guest integer not null default 0;
