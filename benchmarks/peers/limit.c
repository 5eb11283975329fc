/* limit: the most that the strategy of chatrooms can do. All that one epoll_wait brought goes in one send() per stream.
 *
 * One log of bytes, and each stream is a position in it: a stream that cannot take everything stays behind and is
 * tried again. No rooms, no checks, no storage, one thread; a request must arrive in one read, as the load generator's
 * do. The log is not trimmed: it must hold one measurement. */
#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS_PER_WAIT = 512, REQUEST_BYTES = 1 << 16, CLIENTS = 20000, LOG_BYTES = 1 << 26 };

struct stream {
    int fd;
    size_t position;
};

static struct stream streams[CLIENTS];
static int stream_count;
static char log_bytes[LOG_BYTES];
static size_t log_end;
static const char HEAD[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-cache\r\n\r\n"
                           "event: system\ndata: {}\n\n";
static const char CREATED[] = "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n";

static void fail(const char *what) {
    perror(what);
    exit(2);
}

static void hang_up(int fd) {
    for (int i = 0; i < stream_count; i++)
        if (streams[i].fd == fd) streams[i--] = streams[--stream_count];
    close(fd);
}

static void answer_with(int fd, const char *data, size_t length) {
    if (send(fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)length) hang_up(fd);
}

static void open_stream(int fd) {
    if (stream_count == CLIENTS) { close(fd); return; }
    streams[stream_count++] = (struct stream){.fd = fd, .position = log_end};
    answer_with(fd, HEAD, sizeof HEAD - 1);
}

static void publish(int fd, const char *body) {
    size_t space = LOG_BYTES - log_end;
    int length = snprintf(log_bytes + log_end, space, "event: room-message\ndata: %s\n\n", body);
    if ((size_t)length >= space) { fputs("the log is full\n", stderr); exit(2); }
    log_end += (size_t)length;
    answer_with(fd, CREATED, sizeof CREATED - 1);
}

/* Gives each stream what lies between its position and the end; returns whether some stayed behind. */
static bool sweep(void) {
    bool behind = false;
    for (int i = stream_count - 1; i >= 0; i--) { /* hang_up() swaps */
        struct stream *stream = &streams[i];
        if (stream->position == log_end) continue;
        ssize_t sent = send(stream->fd, log_bytes + stream->position, log_end - stream->position, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) stream->position += (size_t)sent;
        else if (errno != EAGAIN) { hang_up(stream->fd); continue; }
        behind |= stream->position < log_end;
    }
    return behind;
}

static void answer(int fd) {
    static char request[REQUEST_BYTES];
    ssize_t length = read(fd, request, sizeof request - 1);
    if (length <= 0) { hang_up(fd); return; }
    request[length] = 0;
    const char *head_end = strstr(request, "\r\n\r\n");
    if (!head_end) hang_up(fd);
    else if (!strncmp(request, "GET ", 4)) open_stream(fd);
    else publish(fd, head_end + 4);
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

static void accept_all(int epoll, int listener) {
    int on = 1;
    for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        watch(epoll, fd);
    }
    if (errno != EAGAIN) fail("accept");
}

static int listen_on(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address)) fail("bind");
    if (listen(listener, BACKLOG)) fail("listen");
    return listener;
}

int main(int count, char **arguments) {
    if (count != 2) { fputs("usage: limit PORT\n", stderr); return 2; }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    int listener = listen_on(atoi(arguments[1])), epoll = epoll_create1(EPOLL_CLOEXEC);
    bool behind = false;
    watch(epoll, listener);
    for (struct epoll_event events[EVENTS_PER_WAIT];;) {
        int ready = epoll_wait(epoll, events, EVENTS_PER_WAIT, behind ? 1 : -1);
        for (int i = 0; i < ready; i++)
            if (events[i].data.fd == listener) accept_all(epoll, listener);
            else answer(events[i].data.fd);
        behind = sweep();
    }
}
