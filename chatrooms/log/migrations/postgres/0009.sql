-- What retention and erasure look for, found without reading whole tables.

create index session_messages_taken_at on session_messages (taken_at) where taken_at is not null;
create index session_messages_session_id on session_messages (session_id);
create index sessions_owner on sessions (owner);
create index replies_question on replies (question) where question is not null;
create index room_invites_created_by on room_invites (created_by);

-- Users whose account was deleted and whose rows are still being removed.
create table erasures (
    user_id      text collate "C" primary key,
    requested_at bigint not null  -- milliseconds since 1970
);
