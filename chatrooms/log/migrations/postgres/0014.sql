-- Counts marks of the nodes that read a reply written by another one, which would stop it when nobody reads it.
alter table replies add column reads integer not null default 0;
