-- Tasks. The present state of each; its last event stands in the log, under the topic task:<task_id>.

create table tasks (
    task_id        text primary key,
    user_id        text not null,  -- its owner
    title          text not null,
    state          text not null,  -- pending, running, completed, failed, cancelled
    progress       real not null,  -- 0 to 100
    estimated_time real,           -- seconds left, as far as known
    error          text,
    node           text,           -- which node runs it, and until when it is trusted to live;
    lease_until    integer,        -- null for a task that a client reports on
    created_at     integer not null,  -- milliseconds since 1970, as are:
    updated_at     integer not null,
    ended_at       integer
) without rowid;
create index tasks_of_user on tasks (user_id, created_at, task_id);
create index tasks_lease on tasks (lease_until) where ended_at is null and lease_until is not null;
create index tasks_ended_at on tasks (ended_at);

-- What a task made, in compressed chunks that are each of the same size before, but for the last.
create table results (
    task_id    text primary key,
    room_id    text not null,  -- who may not read the room may not read this
    format     text not null,
    size       integer,        -- bytes; null while it is written
    expires_at integer not null   -- milliseconds since 1970
) without rowid;
create index results_expires_at on results (expires_at);

create table result_chunks (
    task_id text not null,
    number  integer not null,
    data    blob not null,
    primary key (task_id, number)
);

-- Replies that run are those that have not ended, as with all work under a lease.
drop index replies_streaming;
create index replies_lease on replies (lease_until) where ended_at is null;
