-- AI replies, each a job with the lease of the node that works on it.

create table replies (
    id                text collate "C"    primary key,
    user_id           text collate "C"    not null,
    username          text collate "C"    not null,
    conversation_id   text collate "C"    not null,
    room_id           text collate "C",              -- null for a private one
    question          bigint,           -- the seq of the room's message that is answered, or null:
    prompt            text collate "C"    not null,  -- then what was asked, as JSON
    model             text collate "C",
    temperature       double precision,
    state             text collate "C"    not null,  -- streaming, complete, stopped, error, interrupted
    stopped_by        text collate "C"    not null default '',
    code              text collate "C"    not null default '',  -- of an error
    sentence          text collate "C"    not null default '',
    text              text collate "C"    not null default '',
    lengths           text collate "C"    not null default '',  -- of its chunks, in characters, each followed by a comma
    prompt_tokens     bigint,
    completion_tokens bigint,
    node              text collate "C"    not null,
    lease_until       bigint not null,  -- milliseconds since 1970, as are:
    created_at        bigint not null,
    ended_at          bigint
);
create index replies_streaming on replies (lease_until) where state = 'streaming';
create index replies_of_user on replies (user_id, conversation_id, created_at);
create index replies_ended_at on replies (ended_at);
