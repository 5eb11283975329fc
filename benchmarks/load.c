/* load: opens N event streams on one server, publishes M messages over HTTP and times every delivery.
 *
 * It works with any server that echoes the published text to its subscribers: the text carries its time of
 * sending as ~nanoseconds~, so a delivery is recognised without parsing anything else of the stream.
 * With --batch a body carries that many texts; with --gzip (compiled with -DWITH_ZLIB and -lz) streams ask for
 * compression, and what is counted is what they decode to. With several ports, streams and publishers go over them in turn, as over the nodes of one cluster; with
 * --order the ids of each stream must grow, and the result tells which sequences of ids there were.
 * One thread, one epoll; talks to 127.0.0.1 only; always ends by itself (--timeout bounds each phase).
 *
 *     cc -O2 -o load load.c && ./load --help
 *
 * stdout: one JSON line. Exit status: 0 when every reading stream got every message exactly once, 1 when not,
 * 2 when it could not run. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef WITH_ZLIB
#include <zlib.h>
#endif

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

enum {
    OPENING_AT_ONCE = 256,       /* streams that may wait for their response head together */
    EVENTS_PER_WAIT = 512,       /* sockets served before the publishers get their turn */
    PORTS_PER_ADDRESS = 20000,   /* Linux has 28,000 ephemeral ports per source address; stay well below */
    STAMP_DIGITS = 9,            /* fewer digits between two tildes are not a stamp */
    SETTLE_LIMIT_MS = 10000,     /* waiting for silence before publishing ends here */
    READ_BYTES = 1 << 18,
    TEXT_BYTES = 1 << 16,        /* the longest request and the longest answer to a publish */
    LATENCIES_KEPT = 4000000,    /* of more deliveries, every second, third, … is kept */
    SEQUENCES_TOLD = 10,
    MOST_PORTS = 16,
    STALLED_RECEIVE_BYTES = 4096,
    STALLED_SEGMENT_BYTES = 1460 /* on loopback segments are 64 KiB, which makes the server's kernel buffer
                                    2.5 MB for a reader that never reads; a real network's are this small */
};

struct options {
    int port[MOST_PORTS], ports, streams, rooms, messages, publishers, stalled, pad, batch, timeout_s, settle_ms;
    double rate; /* messages a second; 0: closed loop, each publisher sends when its last one was acknowledged */
    bool step, order, gzip;
    const char *get, *post, *body, *get_header, *post_header;
};

struct text {
    size_t used;
    char data[TEXT_BYTES];
};

struct fill { /* what %r, %i and %T stand for in a template */
    int room, client;
    uint64_t stamp;
};

struct scanner { /* the part of a stamp that earlier reads brought */
    bool inside;
    int digits;
    uint64_t value;
};

struct sequence { /* the ids of one stream: `id: <epoch>-<seq>` */
    uint64_t hash, last, seq;
    uint32_t count, disordered;
    int place;     /* in the line that is being read; beyond its prefix the place no longer grows */
    bool counting; /* the digits after the dash */
};

struct stream {
    int fd, room;
    bool open, stalled;
    uint32_t delivered;
    struct scanner scanner;
    struct sequence ids;
    void *inflater; /* a z_stream, once the server has said that it compresses */
};

struct publisher {
    int fd;
    bool busy;
    uint64_t due;
    struct text answer;
};

struct run {
    struct options options;
    int epoll;
    struct stream *streams;
    struct publisher *publishers;
    int dialled, opened, refused, lost;
    int sent, acknowledged, failed;
    int compressed;
    uint64_t connect_ns, started, last_delivery, bytes, decoded_bytes;
    uint32_t *latencies_us, *acknowledgements_us;
    uint64_t expected, delivered, one_in, kept;
    char buffer[READ_BYTES + 1];
};

/* ---- small tools ---- */

static void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(2);
}

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * SECOND + (uint64_t)t.tv_nsec;
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size);
    if (!memory) die("out of memory");
    return memory;
}

static uint64_t deadline(const struct run *run) { return now() + (uint64_t)run->options.timeout_s * SECOND; }

/* ---- requests ---- */

static void append(struct text *text, const char *from, size_t length) {
    if (text->used + length >= sizeof text->data) die("a request or answer is longer than %d bytes", TEXT_BYTES);
    memcpy(text->data + text->used, from, length);
    text->used += length;
    text->data[text->used] = 0;
}

static void append_format(struct text *text, const char *format, ...) {
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    append(text, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}

/* Words in an order that differs from text to text: a row of x would compress to nothing. */
static void append_words(struct text *text, uint64_t seed, int length) {
    static const char *const words[] = {"the", "server", "and", "message", "of", "room", "to", "a", "reader", "in",
                                        "that", "stream", "is", "for", "one", "event", "with", "order", "as", "open"};
    while (length > 0) {
        seed = seed * 6364136223846793005ull + 1442695040888963407ull;
        const char *word = words[(seed >> 33) % (sizeof words / sizeof *words)];
        int count = (int)strlen(word) < length ? (int)strlen(word) : length;
        append(text, word, (size_t)count);
        if (length > count) append(text, " ", 1);
        length -= count + 1;
    }
}

static void append_stamped_text(struct text *text, uint64_t stamp, int pad) {
    append_format(text, "~%llu~", (unsigned long long)stamp);
    append_words(text, stamp, pad);
}

static void append_template(struct text *text, const char *template, const struct fill *fill, int pad) {
    for (const char *c = template; *c; c++) {
        if (*c != '%') { append(text, c, 1); continue; }
        switch (*++c) {
        case 'r': append_format(text, "%d", fill->room); break;
        case 'i': append_format(text, "%d", fill->client); break;
        case 'T': append_stamped_text(text, fill->stamp, pad); break;
        case 0: die("a template ends in %%: %s", template); break;
        default: append(text, c - 1, 2); /* percent-encoding of the URL */
        }
    }
}

static void append_header(struct text *text, const char *header) {
    append(text, header, strlen(header));
    if (*header) append(text, "\r\n", 2);
}

static void append_request_line(struct text *text, const struct run *run, const char *method, const char *path,
                                const struct fill *fill) {
    append_format(text, "%s ", method);
    append_template(text, path, fill, 0);
    append_format(text, " HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n", run->options.port[0]);
}

static void send_request(int fd, const struct text *text) {
    /* An idle connection's send buffer is larger than any request here, so a short write means a broken peer. */
    if (write(fd, text->data, text->used) != (ssize_t)text->used) die("could not send a request: %s", strerror(errno));
}

static void request_stream(struct run *run, const struct stream *stream, int client) {
    struct fill fill = {.room = stream->room, .client = client};
    struct text request = {0};
    append_request_line(&request, run, "GET", run->options.get, &fill);
    append_header(&request, "Accept: text/event-stream");
    append_header(&request, run->options.get_header);
    if (run->options.gzip) append_header(&request, "Accept-Encoding: gzip");
    append(&request, "\r\n", 2);
    send_request(stream->fd, &request);
}

static void request_publish(struct run *run, const struct publisher *publisher, int message, uint64_t stamp) {
    struct fill fill = {.room = message % run->options.rooms, .client = message, .stamp = stamp};
    static struct text body, request; /* static: two buffers of 64 KiB per message would only be cleared for nothing */
    body.used = request.used = 0;
    append_template(&body, run->options.body, &fill, run->options.pad);
    append_request_line(&request, run, "POST", run->options.post, &fill);
    append_header(&request, "Content-Type: application/json");
    append_header(&request, run->options.post_header);
    append_format(&request, "Content-Length: %zu\r\n\r\n", body.used);
    append(&request, body.data, body.used);
    send_request(publisher->fd, &request);
}

/* ---- connections ---- */

static void set_option(int fd, int level, int name, int value) { setsockopt(fd, level, name, &value, sizeof value); }

/* From the 20,001st stream on, use 127.0.0.2, .3, …: each source address has its own ports. */
static void spread_source_address(int fd, int index) {
    if (index < PORTS_PER_ADDRESS) return;
    struct sockaddr_in source = {.sin_family = AF_INET};
    source.sin_addr.s_addr = htonl(INADDR_LOOPBACK + (uint32_t)(index / PORTS_PER_ADDRESS));
    set_option(fd, SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1);
    if (bind(fd, (struct sockaddr *)&source, sizeof source)) die("bind: %s", strerror(errno));
}

static void watch(struct run *run, int fd, uint64_t index) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = index};
    fcntl(fd, F_SETFL, O_NONBLOCK);
    if (epoll_ctl(run->epoll, EPOLL_CTL_ADD, fd, &event)) die("epoll_ctl: %s", strerror(errno));
}

static void unwatch(struct run *run, int fd) { epoll_ctl(run->epoll, EPOLL_CTL_DEL, fd, NULL); }

static int dial(struct run *run, int index, bool stalled) {
    int port = run->options.port[index % run->options.ports];
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket: %s", strerror(errno));
    set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (stalled) { /* both count only when set before the handshake */
        set_option(fd, SOL_SOCKET, SO_RCVBUF, STALLED_RECEIVE_BYTES);
        set_option(fd, IPPROTO_TCP, TCP_MAXSEG, STALLED_SEGMENT_BYTES);
    }
    spread_source_address(fd, index / run->options.ports);
    if (connect(fd, (struct sockaddr *)&server, sizeof server)) die("connect: %s", strerror(errno));
    return fd;
}

/* ---- deliveries ---- */

static void deliver(struct run *run, struct stream *stream, uint64_t at) {
    if (run->delivered < run->expected && run->delivered % run->one_in == 0)
        run->latencies_us[run->kept++] = (uint32_t)((at - stream->scanner.value) / 1000);
    run->delivered++;
    stream->delivered++;
    run->last_delivery = at;
}

/* Counts the stamps in what was read at the time `at`; a stamp may begin in one read and end in the next. */
static void scan(struct run *run, struct stream *stream, const char *c, size_t length, uint64_t at) {
    struct scanner *scanner = &stream->scanner;
    const char *end = c + length;
    while (c < end) {
        if (!scanner->inside) {
            c = memchr(c, '~', (size_t)(end - c));
            if (!c) return;
            *scanner = (struct scanner){.inside = true};
            c++;
        } else if (*c >= '0' && *c <= '9') {
            scanner->value = scanner->value * 10 + (uint64_t)(*c++ - '0');
            scanner->digits++;
        } else {
            bool stamp = *c++ == '~' && scanner->digits >= STAMP_DIGITS;
            if (stamp) deliver(run, stream, at);
            scanner->inside = false;
        }
    }
}

/* ---- the order of ids ---- */

static void take_id(struct sequence *ids) {
    if (ids->seq <= ids->last) ids->disordered++;
    ids->last = ids->seq;
    ids->count++;
    ids->hash = (ids->hash ^ ids->seq) * 1099511628211ull; /* FNV-1a */
}

/* Takes the ids out of what was read; a line may begin in one read and end in the next. */
static void scan_ids(struct sequence *ids, const char *c, size_t length) {
    static const char prefix[] = "id: ";
    const int known = sizeof prefix - 1;
    for (const char *end = c + length; c < end; c++) {
        if (ids->place < known && *c == prefix[ids->place]) { ids->place++; continue; }
        if (ids->place < known && *c != '\n') ids->place = known + 1; /* some other line */
        if (ids->place > known) {
            c = memchr(c, '\n', (size_t)(end - c));
            if (!c) return;
        }
        if (*c == '\n') {
            if (ids->counting) take_id(ids);
            ids->place = 0;
            ids->counting = false;
        } else if (ids->counting) {
            ids->seq = ids->seq * 10 + (uint64_t)(*c - '0');
        } else if (*c == '-') {
            ids->counting = true;
            ids->seq = 0;
        }
    }
}

/* ---- what a stream says ---- */

static void take_body(struct run *run, struct stream *stream, const char *data, size_t length, uint64_t at) {
    run->decoded_bytes += length;
    scan(run, stream, data, length, at);
    if (run->options.order) scan_ids(&stream->ids, data, length);
}

#ifdef WITH_ZLIB
static void begin_to_inflate(struct stream *stream) {
    z_stream *inflater = allocate(1, sizeof *inflater);
    if (inflateInit2(inflater, 15 + 16) != Z_OK) die("inflateInit2"); /* 16: gzip (zlib.h) */
    stream->inflater = inflater;
}

static void take_compressed(struct run *run, struct stream *stream, char *data, size_t length, uint64_t at) {
    static char plain[READ_BYTES];
    z_stream *inflater = stream->inflater;
    inflater->next_in = (Bytef *)data;
    inflater->avail_in = (uInt)length;
    do {
        inflater->next_out = (Bytef *)plain;
        inflater->avail_out = sizeof plain;
        int result = inflate(inflater, Z_SYNC_FLUSH);
        if (result != Z_OK && result != Z_BUF_ERROR) die("a stream is not gzip: %s", inflater->msg ? inflater->msg : "");
        take_body(run, stream, plain, sizeof plain - inflater->avail_out, at);
    } while (inflater->avail_in || !inflater->avail_out);
}
#else
static void begin_to_inflate(struct stream *stream) { (void)stream; }
static void take_compressed(struct run *run, struct stream *stream, char *data, size_t length, uint64_t at) {
    (void)run, (void)stream, (void)data, (void)length, (void)at;
}
#endif

static void take(struct run *run, struct stream *stream, char *data, size_t length) {
    uint64_t at = now();
    run->bytes += length;
    if (stream->inflater) take_compressed(run, stream, data, length, at);
    else take_body(run, stream, data, length, at);
}

/* The head comes in one read, as it is sent in one write; what follows it belongs to the body. */
static void read_body_after_head(struct run *run, struct stream *stream, ssize_t length) {
    run->buffer[length] = 0;
    char *head_end = strstr(run->buffer, "\r\n\r\n");
    if (!head_end) return;
    char *encoding = strcasestr(run->buffer, "\r\nContent-Encoding: gzip");
    if (encoding && encoding < head_end) {
        run->compressed++;
        begin_to_inflate(stream);
    }
    take(run, stream, head_end + 4, (size_t)(run->buffer + length - head_end - 4));
}

static void read_head(struct run *run, struct stream *stream, ssize_t length) {
    stream->open = true;
    bool accepted = length > 12 && !memcmp(run->buffer, "HTTP/1.", 7) && atoi(run->buffer + 9) == 200;
    if (accepted) {
        run->opened++;
        if (run->options.gzip) read_body_after_head(run, stream, length);
    } else if (run->refused++ == 0) {
        fprintf(stderr, "a stream was refused: %.*s\n", (int)(length < 400 ? length : 400), run->buffer);
    }
    if (stream->stalled || !accepted) unwatch(run, stream->fd);
}

static void lose(struct run *run, struct stream *stream) {
    unwatch(run, stream->fd);
    if (!stream->open) run->refused++;
    stream->open = true;
    if (run->lost++ == 0) fprintf(stderr, "the server closed a stream\n");
}

static void read_stream(struct run *run, struct stream *stream) {
    ssize_t length = read(stream->fd, run->buffer, READ_BYTES);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) { lose(run, stream); return; }
    if (!stream->open) { read_head(run, stream, length); return; }
    take(run, stream, run->buffer, (size_t)length);
}

/* ---- publishers ---- */

/* The length of the whole answer once its head is complete, else 0. */
static size_t answer_length(const struct text *answer) {
    const char *head_end = strstr(answer->data, "\r\n\r\n");
    if (!head_end) return 0;
    const char *length = strcasestr(answer->data, "\r\nContent-Length:");
    if (!length || length > head_end) die("an answer to a publish has no Content-Length:\n%s", answer->data);
    return (size_t)(head_end + 4 - answer->data) + strtoul(length + 17, NULL, 10);
}

static void acknowledge(struct run *run, struct publisher *publisher) {
    int status = atoi(publisher->answer.data + 9);
    if ((status < 200 || status > 299) && run->failed++ == 0)
        fprintf(stderr, "a publish failed: %.400s\n", publisher->answer.data);
    run->acknowledgements_us[run->acknowledged++] = (uint32_t)((now() - publisher->due) / 1000);
    publisher->busy = false;
}

static void read_answer(struct run *run, struct publisher *publisher) {
    ssize_t length = read(publisher->fd, run->buffer, READ_BYTES);
    if (length < 0 && errno == EAGAIN) return;
    if (length <= 0) die("the server closed a publisher's connection");
    append(&publisher->answer, run->buffer, (size_t)length);
    size_t whole = answer_length(&publisher->answer);
    if (publisher->busy && whole && publisher->answer.used >= whole) acknowledge(run, publisher);
}

static uint64_t due_time(const struct run *run, int message) {
    return run->started + (uint64_t)(message * (double)SECOND / run->options.rate);
}

/* At a fixed rate the stamp is the time at which the message was due: a server that holds up the publishers
 * must not look fast because the messages left late. */
static void publish(struct run *run, struct publisher *publisher) {
    publisher->due = run->options.rate > 0 ? due_time(run, run->sent) : now();
    publisher->busy = true;
    publisher->answer.used = 0;
    request_publish(run, publisher, run->sent++, publisher->due);
}

static void publish_what_is_due(struct run *run) {
    for (int i = 0; i < run->options.publishers && run->sent < run->options.messages; i++) {
        if (run->options.rate > 0 && now() < due_time(run, run->sent)) return;
        if (!run->publishers[i].busy) publish(run, &run->publishers[i]);
    }
}

/* ---- the phases of a run ---- */

/* Serves what is readable, waiting at most `wait_ms`; returns how many sockets were. */
static int serve(struct run *run, int wait_ms) {
    struct epoll_event events[EVENTS_PER_WAIT];
    int ready = epoll_wait(run->epoll, events, EVENTS_PER_WAIT, wait_ms);
    for (int i = 0; i < ready; i++) {
        uint64_t index = events[i].data.u64, streams = (uint64_t)run->options.streams;
        if (index < streams) read_stream(run, &run->streams[index]);
        else read_answer(run, &run->publishers[index - streams]);
    }
    return ready;
}

static void open_stream(struct run *run, int index) {
    struct stream *stream = &run->streams[index];
    stream->room = index % run->options.rooms;
    stream->stalled = index < run->options.stalled;
    stream->fd = dial(run, index, stream->stalled);
    request_stream(run, stream, index);
    watch(run, stream->fd, (uint64_t)index);
}

static void open_streams(struct run *run) {
    uint64_t begin = now(), end = deadline(run);
    while (run->opened + run->refused < run->options.streams && now() < end) {
        while (run->dialled < run->options.streams && run->dialled - run->opened - run->refused < OPENING_AT_ONCE)
            open_stream(run, run->dialled++);
        serve(run, 1000);
    }
    run->connect_ns = now() - begin;
}

/* Reads until nothing came for `settle_ms`: what the joins set off must not be counted into the deliveries. */
static void settle(struct run *run) {
    uint64_t quiet = (uint64_t)run->options.settle_ms * MILLISECOND, end = now() + SETTLE_LIMIT_MS * MILLISECOND;
    for (uint64_t heard = now(); now() - heard < quiet && now() < end;)
        if (serve(run, 20) > 0) heard = now();
    run->bytes = run->decoded_bytes = 0;
}

/* With --step the caller measures the server here, then writes a line (or closes stdin). */
static void wait_for_caller(struct run *run, const char *phase) {
    if (!run->options.step) return;
    fprintf(stderr, "%s\n", phase);
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    char line[64];
    for (uint64_t end = deadline(run); now() < end; serve(run, 5)) {
        if (poll(&input, 1, 0) == 0) continue;
        if (read(STDIN_FILENO, line, sizeof line) >= 0) return;
    }
}

static void connect_publishers(struct run *run) {
    for (int i = 0; i < run->options.publishers; i++) {
        run->publishers[i].fd = dial(run, i % run->options.ports, false);
        watch(run, run->publishers[i].fd, (uint64_t)(run->options.streams + i));
    }
}

static int time_to_next_message_ms(const struct run *run) {
    if (run->options.rate <= 0 || run->sent >= run->options.messages) return 50;
    uint64_t due = due_time(run, run->sent), t = now();
    if (t < due) return (int)((due - t) / MILLISECOND); /* rounded down: spin through the last millisecond */
    return 1; /* due, but every publisher waits for its answer */
}

static bool finished(const struct run *run) {
    if (run->failed || run->lost) return true; /* it cannot become complete any more */
    return run->delivered >= run->expected && run->acknowledged >= run->options.messages;
}

static void publish_all(struct run *run) {
    uint64_t end = deadline(run);
    run->started = run->last_delivery = now();
    while (!finished(run) && now() < end) {
        publish_what_is_due(run);
        serve(run, time_to_next_message_ms(run));
    }
}

/* ---- the result ---- */

static uint32_t expected_of(const struct run *run, const struct stream *stream) {
    int rooms = run->options.rooms, messages = run->options.messages; /* messages go round the rooms in turn */
    if (stream->stalled) return 0;
    return (uint32_t)((messages / rooms + (stream->room < messages % rooms)) * run->options.batch);
}

static bool complete(const struct run *run) {
    if (run->failed || run->lost || run->opened != run->options.streams) return false;
    for (int i = 0; i < run->options.streams; i++) {
        const struct stream *stream = &run->streams[i];
        if (stream->delivered != expected_of(run, stream) || stream->ids.disordered) return false;
    }
    return run->acknowledged == run->options.messages;
}

static int ascending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static double quantile_ms(const uint32_t *sorted_us, uint64_t count, double q) {
    return count ? sorted_us[(uint64_t)((double)(count - 1) * q)] / 1e3 : 0;
}

static double own_cpu_seconds(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* The sequences of ids that streams have got, each with the number of streams that got just this one. */
static void report_sequences(const struct run *run) {
    int told = 0, count = run->options.streams;
    bool *seen = allocate((size_t)count, sizeof *seen);
    printf("\"sequences\": [");
    for (int i = 0; i < count && told < SEQUENCES_TOLD; i++) {
        const struct sequence *ids = &run->streams[i].ids;
        int same = 0;
        for (int k = i; k < count; k++) {
            const struct sequence *other = &run->streams[k].ids;
            if (seen[k] || other->hash != ids->hash || other->count != ids->count) continue;
            seen[k] = true;
            same++;
        }
        if (same)
            printf("%s{\"streams\": %d, \"ids\": %u, \"disordered\": %u, \"hash\": \"%016llx\"}", told++ ? ", " : "",
                   same, ids->count, ids->disordered, (unsigned long long)ids->hash);
    }
    printf("], ");
    free(seen);
}

static void report(struct run *run, bool good) {
    uint64_t counted = run->kept;
    uint64_t acknowledged = (uint64_t)run->acknowledged;
    double elapsed = (double)(run->last_delivery - run->started) / 1e9;
    qsort(run->latencies_us, counted, sizeof *run->latencies_us, ascending);
    qsort(run->acknowledgements_us, acknowledged, sizeof *run->acknowledgements_us, ascending);
    printf("{\"complete\": %s, \"streams\": %d, \"opened\": %d, \"refused\": %d, \"lost\": %d, \"connect_s\": %.3f, ",
           good ? "true" : "false", run->options.streams, run->opened, run->refused, run->lost,
           (double)run->connect_ns / 1e9);
    printf("\"messages\": %d, \"acknowledged\": %d, \"publish_errors\": %d, \"ack_p50_ms\": %.3f, \"ack_p99_ms\": %.3f, ",
           run->options.messages, run->acknowledged, run->failed,
           quantile_ms(run->acknowledgements_us, acknowledged, .5),
           quantile_ms(run->acknowledgements_us, acknowledged, .99));
    printf("\"expected\": %llu, \"delivered\": %llu, \"elapsed_s\": %.4f, \"deliveries_per_s\": %.0f, ",
           (unsigned long long)run->expected, (unsigned long long)run->delivered, elapsed,
           elapsed > 0 ? (double)run->delivered / elapsed : 0);
    if (run->options.order) report_sequences(run);
    printf("\"texts_per_s\": %.0f, \"compressed\": %d, \"decoded_bytes_per_delivery\": %.0f, ",
           elapsed > 0 ? (double)acknowledged * run->options.batch / elapsed : 0, run->compressed,
           run->delivered ? (double)run->decoded_bytes / (double)run->delivered : 0);
    printf("\"bytes_per_delivery\": %.0f, ", run->delivered ? (double)run->bytes / (double)run->delivered : 0);
    printf("\"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f, \"client_cpu_s\": %.2f}\n",
           quantile_ms(run->latencies_us, counted, .5), quantile_ms(run->latencies_us, counted, .99),
           quantile_ms(run->latencies_us, counted, 1), own_cpu_seconds());
    fflush(stdout);
}

/* ---- start ---- */

static void usage(void) {
    puts("load: opens event streams on 127.0.0.1, publishes messages, times every delivery\n\n"
         "  --port N[,N…]       the server, or several that serve the same rooms\n"
         "  --streams N         streams to open (100)\n"
         "  --rooms N           rooms over which streams and messages go in turn (1)\n"
         "  --messages N        messages to publish in all (100)\n"
         "  --publishers N      keep-alive connections that publish (1)\n"
         "  --rate N            messages a second in all; 0: closed loop (0)\n"
         "  --stalled N         how many of the streams never read (0)\n"
         "  --pad N             bytes that follow the stamp in the text (80)\n"
         "  --batch N           how many %T the body has, if more than one (1)\n"
         "  --get PATH          path of a stream; %r is the room, %i the stream's number\n"
         "  --post PATH         path of a publish\n"
         "  --body TEXT         body of a publish; %T is the text: ~nanoseconds~ and the padding\n"
         "  --get-header LINE   one header for the streams\n"
         "  --post-header LINE  one header for the publishes\n"
         "  --settle-ms N       silence to wait for before publishing (300)\n"
         "  --timeout N         seconds after which opening, and publishing, are given up (60)\n"
         "  --order             the ids of each stream must grow; tell the sequences of ids\n"
         "  --gzip              ask for compressed streams\n"
         "  --step              say `opened` and `done` on stderr and wait for a line on stdin after each");
    exit(2);
}

static void parse_ports(struct options *options, char *text) {
    for (options->ports = 0; *text && options->ports < MOST_PORTS; text += strspn(text, ",")) {
        char *rest;
        options->port[options->ports++] = (int)strtol(text, &rest, 10);
        if (rest == text) usage();
        text = rest;
    }
}

static struct options parse(int count, char **arguments) {
    struct options o = {.port = {4000}, .ports = 1, .streams = 100, .rooms = 1, .messages = 100, .publishers = 1, .pad = 80, .batch = 1,
                        .timeout_s = 60, .settle_ms = 300, .get = "/events?roomId=r%r", .post = "/publish?roomId=r%r",
                        .body = "{\"message\": \"%T\"}", .get_header = "", .post_header = ""};
    static const struct option names[] = {
        {"port", 1, 0, 'p'}, {"streams", 1, 0, 'n'}, {"rooms", 1, 0, 'r'}, {"messages", 1, 0, 'm'},
        {"publishers", 1, 0, 'k'}, {"rate", 1, 0, 'f'}, {"stalled", 1, 0, 'z'}, {"pad", 1, 0, 'd'},
        {"get", 1, 0, 'g'}, {"post", 1, 0, 'o'}, {"body", 1, 0, 'b'}, {"get-header", 1, 0, 'G'},
        {"post-header", 1, 0, 'P'}, {"settle-ms", 1, 0, 'w'}, {"timeout", 1, 0, 't'}, {"step", 0, 0, 's'},
        {"order", 0, 0, 'O'}, {"batch", 1, 0, 'B'}, {"gzip", 0, 0, 'Z'}, {"help", 0, 0, 'h'}, {0}};
    for (int name; (name = getopt_long(count, arguments, "", names, NULL)) != -1;) {
        switch (name) {
        case 'p': parse_ports(&o, optarg); break;
        case 'n': o.streams = atoi(optarg); break;
        case 'r': o.rooms = atoi(optarg); break;
        case 'm': o.messages = atoi(optarg); break;
        case 'k': o.publishers = atoi(optarg); break;
        case 'f': o.rate = atof(optarg); break;
        case 'z': o.stalled = atoi(optarg); break;
        case 'd': o.pad = atoi(optarg); break;
        case 'g': o.get = optarg; break;
        case 'o': o.post = optarg; break;
        case 'b': o.body = optarg; break;
        case 'G': o.get_header = optarg; break;
        case 'P': o.post_header = optarg; break;
        case 'w': o.settle_ms = atoi(optarg); break;
        case 't': o.timeout_s = atoi(optarg); break;
        case 's': o.step = true; break;
        case 'O': o.order = true; break;
        case 'B': o.batch = atoi(optarg); break;
        case 'Z': o.gzip = true; break;
        default: usage();
        }
    }
    if (optind < count || o.streams < 1 || o.rooms < 1 || o.messages < 1 || o.publishers < 1 || o.pad < 0 || o.batch < 1)
        usage();
#ifndef WITH_ZLIB
    if (o.gzip) die("compiled without zlib");
#endif
    return o;
}

static void raise_file_limit(const struct options *options) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < (rlim_t)(options->streams + options->publishers + 16))
        die("%d streams do not fit into the limit of %llu open files", options->streams,
            (unsigned long long)limit.rlim_cur);
}

static struct run *prepare(struct options options) {
    struct run *run = allocate(1, sizeof *run);
    run->options = options;
    run->epoll = epoll_create1(EPOLL_CLOEXEC);
    run->streams = allocate((size_t)options.streams, sizeof *run->streams);
    run->publishers = allocate((size_t)options.publishers, sizeof *run->publishers);
    return run;
}

static void prepare_counting(struct run *run) {
    for (int i = 0; i < run->options.streams; i++) run->expected += expected_of(run, &run->streams[i]);
    run->one_in = run->expected / LATENCIES_KEPT + 1;
    run->latencies_us = allocate(run->expected / run->one_in + 1, sizeof *run->latencies_us);
    run->acknowledgements_us = allocate((size_t)run->options.messages, sizeof *run->acknowledgements_us);
}

int main(int count, char **arguments) {
    struct run *run = prepare(parse(count, arguments));
    raise_file_limit(&run->options);
    open_streams(run);
    prepare_counting(run);
    if (run->opened == run->options.streams) {
        settle(run);
        wait_for_caller(run, "opened");
        connect_publishers(run);
        publish_all(run);
        wait_for_caller(run, "done");
    }
    bool good = complete(run);
    report(run, good);
    return good ? 0 : 1;
}
