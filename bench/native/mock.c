/* The mock upstream: a server of OpenAI Chat, Responses and Anthropic Messages that costs so little that
 * what is measured is the gateway.
 *
 * One thread, one epoll. Each delta leaves in a write of its own, at its time, stamped with its number and
 * the clock (stamp.h). What to say travels in the prompt, where every gateway keeps it:
 *
 *     bench:n=<deltas>,iv=<us between deltas; 0: as fast as the socket takes them>,shape=<see reply.h>
 *
 * A request that is not to be streamed gets its whole answer after the same time, n * iv.
 * GET /stats answers {"requests", "deltas", "blocked", "late_max_us"}, the last two since the question
 * before: how often a socket was full, and by how much the worst delta left too late though its socket was
 * not (the machine's noise).
 *
 * usage: mock [--port N] [--core N] [--priority N]     prints the port that it listens on */
#define _GNU_SOURCE
#include "clock.h"
#include "reply.h"
#include "schedule.h"
#include "stamp.h"
#include "timetable.h"
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { REQUEST_SPACE = 8192, EVENTS = 256, SENDS_BETWEEN_POLLS = 512 };

enum state {
    READING,   /* a request, or waiting for one */
    STREAMING, /* an answer under way, in the timetable unless the socket is full */
    THINKING,  /* a whole answer will be due */
};

struct connection {
    struct appointment next; /* first: the timetable knows a connection by it */
    int descriptor;
    enum state state;
    uint64_t interval_ns;
    uint64_t blocked_until; /* what was due before then is late by the reader's doing */
    struct reply reply;
    size_t request_length;
    char request[REQUEST_SPACE + 1]; /* always NUL-terminated */
    size_t unsent_from, unsent_to;   /* what the full socket did not take */
    char unsent[REPLY_SPACE];
};

static int poller;
static struct {
    unsigned long requests, deltas, blocked;
    uint64_t late_max_ns;
} stats;

static bool answer_requests(struct connection *connection);

static void drop(struct connection *connection)
{
    timetable_remove(&connection->next);
    close(connection->descriptor);
    free(connection);
}

static void watch(struct connection *connection, int operation, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = connection};
    epoll_ctl(poller, operation, connection->descriptor, &event);
}

/* ---- writing; false from here on means that the peer is gone ---- */

/* Only called when nothing is unsent, so what is kept back is never more than one frame or one whole answer.
 */
static bool send_bytes(struct connection *connection, const char *data, size_t length)
{
    ssize_t written = write(connection->descriptor, data, length);
    if (written == (ssize_t)length)
        return true;
    if (written < 0 && errno != EAGAIN)
        return false;
    size_t taken = written < 0 ? 0 : (size_t)written;
    stats.blocked++;
    connection->unsent_from = 0;
    connection->unsent_to = length - taken;
    memcpy(connection->unsent, data + taken, length - taken);
    timetable_remove(&connection->next);
    watch(connection, EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
    return true;
}

static bool send_unsent(struct connection *connection)
{
    size_t left = connection->unsent_to - connection->unsent_from;
    ssize_t written = write(connection->descriptor, connection->unsent + connection->unsent_from, left);
    if (written < 0)
        return errno == EAGAIN;
    connection->unsent_from += (size_t)written;
    if (connection->unsent_from < connection->unsent_to)
        return true;
    connection->unsent_from = connection->unsent_to = 0;
    watch(connection, EPOLL_CTL_MOD, EPOLLIN);
    connection->blocked_until = now_ns();
    if (connection->state == STREAMING)
        timetable_add(&connection->next);
    return answer_requests(connection);
}

/* ---- answering ---- */

/* Back to the next request, which may have arrived already. */
static bool finish(struct connection *connection, const char *data, size_t length)
{
    timetable_remove(&connection->next);
    connection->state = READING;
    return send_bytes(connection, data, length) && answer_requests(connection);
}

/* Sends what this connection's appointment was for, and makes the next one. */
static bool keep_appointment(struct connection *connection, uint64_t now)
{
    char out[REPLY_SPACE];
    struct reply *reply = &connection->reply;
    if (connection->next.due >= connection->blocked_until && now - connection->next.due > stats.late_max_ns)
        stats.late_max_ns = now - connection->next.due;
    if (connection->state == THINKING)
        return finish(connection, out, reply_whole(reply, out));
    if (reply->sent == reply->total)
        return finish(connection, out, reply_end(reply, out));
    stats.deltas++;
    uint64_t interval = connection->interval_ns;
    timetable_postpone(&connection->next, interval ? connection->next.due + interval : now_ns());
    return send_bytes(connection, out, reply_delta(reply, out));
}

static bool start_reply(struct connection *connection, bool streaming)
{
    char out[REPLY_SPACE];
    struct reply *reply = &connection->reply;
    connection->next.due = now_ns();
    if (!streaming)
        connection->next.due += connection->interval_ns * (uint64_t)reply->total;
    connection->state = streaming ? STREAMING : THINKING;
    timetable_add(&connection->next);
    return !streaming || send_bytes(connection, out, reply_head(reply, out));
}

static bool refuse(struct connection *connection, const char *status, const char *sentence)
{
    char json[512], out[REPLY_SPACE];
    snprintf(json, sizeof json, "{\"error\":{\"message\":\"%s\",\"type\":\"invalid_request_error\"}}",
             sentence);
    return send_bytes(connection, out, response(out, status, json));
}

/* True when the JSON has this key with the value true, written with or without a blank. */
static bool is_true(const char *json, const char *key)
{
    const char *at = strstr(json, key);
    return at && strncmp(at + strlen(key) + strspn(at + strlen(key), ": "), "true", 4) == 0;
}

static bool generate(struct connection *connection, enum form form, const char *body)
{
    int total = 10;
    long interval_us = 20000;
    enum shape shape = PLAIN;
    bool streaming = is_true(body, "\"stream\"");
    const char *prompt = strstr(body, "bench:");
    if (prompt) {
        char name[16] = "plain";
        if (sscanf(prompt, "bench:n=%d,iv=%ld,shape=%15[a-z]", &total, &interval_us, name) < 2)
            return refuse(connection, "400 Bad Request", "Write bench:n=<deltas>,iv=<us>,shape=<name>.");
        shape = shape_named(name);
    }
    if (shape == SHAPES)
        return refuse(connection, "400 Bad Request", "The shape is plain, vary, chinese or reasoning.");
    if (form != CHAT && !streaming)
        return refuse(connection, "400 Bad Request", "Only Chat answers whole.");
    if (total < 1 || total >= STAMP_NUMBER_LIMIT || (!streaming && total > WHOLE_DELTAS_LIMIT) ||
        interval_us < 0)
        return refuse(connection, "400 Bad Request", "n or iv is out of range.");
    reply_start(&connection->reply, form, shape, total, is_true(body, "\"include_usage\""));
    connection->interval_ns = (uint64_t)interval_us * 1000;
    return start_reply(connection, streaming);
}

static bool tell_stats(struct connection *connection)
{
    char json[256], out[REPLY_SPACE];
    snprintf(json, sizeof json, "{\"requests\":%lu,\"deltas\":%lu,\"blocked\":%lu,\"late_max_us\":%lu}",
             stats.requests, stats.deltas, stats.blocked, (unsigned long)(stats.late_max_ns / 1000));
    stats.blocked = 0;
    stats.late_max_ns = 0;
    return send_bytes(connection, out, response(out, "200 OK", json));
}

static bool tell_models(struct connection *connection)
{
    char out[REPLY_SPACE];
    size_t length = response(out, "200 OK",
                             "{\"object\":\"list\",\"data\":[{\"id\":\"mock-model\",\"object\":\"model\","
                             "\"created\":1760000000,\"owned_by\":\"mock\"}]}");
    return send_bytes(connection, out, length);
}

static bool answer(struct connection *connection, const char *body)
{
    const char *line_end = strstr(connection->request, "\r\n");
    size_t line = (size_t)(line_end - connection->request);
    stats.requests++;
    enum form form = form_at(connection->request, line);
    if (form != FORMS)
        return generate(connection, form, body);
    if (memmem(connection->request, line, "/models", 7))
        return tell_models(connection);
    if (memmem(connection->request, line, "/stats", 6))
        return tell_stats(connection);
    return refuse(connection, "404 Not Found",
                  "The mock upstream serves /v1/chat/completions, /v1/messages, /v1/responses, /v1/models "
                  "and /stats.");
}

/* Answers the requests that are there in full, one after the other; false also for one that does not fit. */
static bool answer_requests(struct connection *connection)
{
    bool alive = true;
    while (alive && connection->state == READING && !connection->unsent_to && connection->request_length) {
        char *request = connection->request, *head_end = strstr(request, "\r\n\r\n");
        if (!head_end)
            return connection->request_length < REQUEST_SPACE;
        char *body = head_end + 4;
        *head_end = 0; /* the search for a header stays inside the head */
        const char *header = strcasestr(request, "\ncontent-length:");
        bool chunked = strcasestr(request, "\ntransfer-encoding:") != NULL;
        *head_end = '\r';
        size_t length = (size_t)(body - request) + (header ? strtoul(header + 16, NULL, 10) : 0);
        if (chunked || length > REQUEST_SPACE)
            return refuse(connection, "411 Length Required", "Send a Content-Length of at most 8 KiB.") &&
                   false;
        if (connection->request_length < length)
            return true;
        char after = request[length];
        request[length] = 0; /* and the search in the body inside the body */
        alive = answer(connection, body);
        request[length] = after;
        connection->request_length -= length;
        memmove(request, request + length, connection->request_length + 1);
    }
    return alive;
}

static bool read_requests(struct connection *connection)
{
    size_t space = REQUEST_SPACE - connection->request_length;
    ssize_t got = read(connection->descriptor, connection->request + connection->request_length, space);
    if (got < 0)
        return errno == EAGAIN;
    if (got == 0)
        return false;
    connection->request_length += (size_t)got;
    connection->request[connection->request_length] = 0;
    return answer_requests(connection);
}

/* ---- the loop ---- */

static int listen_on(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096) ||
        getsockname(listener, (struct sockaddr *)&address, &size) ||
        epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event)) {
        perror("mock: cannot listen on 127.0.0.1");
        exit(2);
    }
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    return listener;
}

static void accept_all(int listener)
{
    int descriptor, one = 1;
    while ((descriptor = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        struct connection *connection = calloc(1, sizeof *connection);
        if (!connection)
            abort();
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        connection->descriptor = descriptor;
        connection->next.position = -1;
        watch(connection, EPOLL_CTL_ADD, EPOLLIN);
    }
}

static void wait_and_read(int listener)
{
    struct epoll_event events[EVENTS];
    struct timespec patience, *timeout = NULL;
    const struct appointment *first = timetable_first();
    if (first) {
        uint64_t now = now_ns();
        patience = to_timespec(first->due > now ? first->due - now : 0);
        timeout = &patience;
    }
    int ready = epoll_pwait2(poller, events, EVENTS, timeout, NULL);
    for (int i = 0; i < ready; i++) {
        struct connection *connection = events[i].data.ptr;
        if (!connection) {
            accept_all(listener);
            continue;
        }
        bool alive = !(events[i].events & (EPOLLHUP | EPOLLERR));
        if (alive && events[i].events & EPOLLOUT)
            alive = send_unsent(connection);
        if (alive && events[i].events & EPOLLIN)
            alive = read_requests(connection);
        if (!alive)
            drop(connection);
    }
}

static void send_what_is_due(void)
{
    uint64_t now = now_ns();
    struct appointment *first;
    for (int left = SENDS_BETWEEN_POLLS; left && (first = timetable_first()) && first->due <= now; left--) {
        struct connection *connection = (struct connection *)first;
        if (!keep_appointment(connection, now))
            drop(connection);
    }
}

int main(int count, char **arguments)
{
    static const struct option known[] = {
        {"core", required_argument, NULL, 'c'},
        {"priority", required_argument, NULL, 'r'},
        {"port", required_argument, NULL, 'p'},
        {NULL, 0, NULL, 0},
    };
    int core = -1, priority = 0, port = 0, option;
    while ((option = getopt_long(count, arguments, "", known, NULL)) != -1) {
        switch (option) {
        case 'c': core = atoi(optarg); break;
        case 'r': priority = atoi(optarg); break;
        case 'p': port = atoi(optarg); break;
        default: return 2;
        }
    }
    signal(SIGPIPE, SIG_IGN);
    take_place(core, priority);
    poller = epoll_create1(EPOLL_CLOEXEC);
    int listener = listen_on(port);
    for (;;) {
        wait_and_read(listener);
        send_what_is_due();
    }
}
