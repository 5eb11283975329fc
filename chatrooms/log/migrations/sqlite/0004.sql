-- AI replies, each a job with the lease of the node that works on it.

create table replies (
    id                text    primary key,
    user_id           text    not null,
    username          text    not null,
    conversation_id   text    not null,
    room_id           text,              -- null for a private one
    question          integer,           -- the seq of the room's message that is answered, or null:
    prompt            text    not null,  -- then what was asked, as JSON
    model             text,
    temperature       real,
    state             text    not null,  -- streaming, complete, stopped, error, interrupted
    stopped_by        text    not null default '',
    code              text    not null default '',  -- of an error
    sentence          text    not null default '',
    text              text    not null default '',
    lengths           text    not null default '',  -- of its chunks, in characters, each followed by a comma
    prompt_tokens     integer,
    completion_tokens integer,
    node              text    not null,
    lease_until       integer not null,  -- milliseconds since 1970, as are:
    created_at        integer not null,
    ended_at          integer
) without rowid;
create index replies_streaming on replies (lease_until) where state = 'streaming';
create index replies_of_user on replies (user_id, conversation_id, created_at);
create index replies_ended_at on replies (ended_at);
