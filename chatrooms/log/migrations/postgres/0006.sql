-- Tasks. The present state of each; its last event stands in the log, under the topic task:<task_id>.

create table tasks (
    task_id        text collate "C" primary key,
    user_id        text collate "C" not null,  -- its owner
    title          text collate "C" not null,
    state          text collate "C" not null,  -- pending, running, completed, failed, cancelled
    progress       double precision not null,  -- 0 to 100
    estimated_time double precision,           -- seconds left, as far as known
    error          text collate "C",
    node           text collate "C",           -- which node runs it, and until when it is trusted to live;
    lease_until    bigint,        -- null for a task that a client reports on
    created_at     bigint not null,  -- milliseconds since 1970, as are:
    updated_at     bigint not null,
    ended_at       bigint
);
create index tasks_of_user on tasks (user_id, created_at, task_id);
create index tasks_lease on tasks (lease_until) where ended_at is null and lease_until is not null;
create index tasks_ended_at on tasks (ended_at);

-- What a task made, in compressed chunks that are each of the same size before, but for the last.
create table results (
    task_id    text collate "C" primary key,
    room_id    text collate "C" not null,  -- who may not read the room may not read this
    format     text collate "C" not null,
    size       bigint,        -- bytes; null while it is written
    expires_at bigint not null   -- milliseconds since 1970
);
create index results_expires_at on results (expires_at);

create table result_chunks (
    task_id text collate "C" not null,
    number  bigint not null,
    data    bytea not null,
    primary key (task_id, number)
);

-- Replies that run are those that have not ended, as with all work under a lease.
drop index replies_streaming;
create index replies_lease on replies (lease_until) where ended_at is null;
