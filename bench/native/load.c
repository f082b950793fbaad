/* The load generator: opens streams through a gateway, checks each to its end, and accounts for the gateway.
 *
 * One thread, one epoll. Two kinds of load: *open*, S paced streams opened over a ramp and measured for a
 * window while all of them run; and *closed* (--loop), S connections that each ask again as soon as they are
 * answered. Every stream is checked, whether the window saw it or not. Prints its results as one JSON object
 * (results.h). */
#define _GNU_SOURCE
#include "account.h"
#include "answer.h"
#include "clock.h"
#include "options.h"
#include "request.h"
#include "results.h"
#include "schedule.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ENDED = EPOLLRDHUP | EPOLLERR | EPOLLHUP };
enum { EVENTS = 256 };

/* With --poll, the pause after everything was read. Nobody waits in epoll then, so the gateway's write wakes
 * nobody: that would be an interrupt to another core, which it would not send on a network card. And a pause
 * leaves some of the core free: when real-time programs use all of one, the kernel stops them for 50 ms in
 * every second, the mock upstream too. */
static const uint64_t poll_pause_ns = 100000;

/* A failed connection of a closed loop tries again after this pause. */
static const uint64_t retry_pause_ns = 50000000, retry_check_ns = 20000000;

struct connection {
    int descriptor; /* -1: closed */
    enum { IDLE, CONNECTING, ANSWERING } state;
    bool reused;
    uint64_t asked_at, retry_at;
    struct answer answer;
};

static struct options options;
static struct sockaddr_in gateway_address;
static struct request request;
static enum form form;
static struct connection *connections;
static int poller, opened, active;
static struct tree gateway_tree, mock_tree;
static bool measuring, stopping;

static struct results results;

static void ask(struct connection *connection);

/* ---- the end of an answer ---- */

static void close_connection(struct connection *connection)
{
    if (connection->descriptor >= 0)
        close(connection->descriptor);
    connection->descriptor = -1;
    connection->state = IDLE;
}

static void go_on(struct connection *connection, bool good)
{
    if (!options.loop || stopping)
        return;
    if (good)
        ask(connection);
    else
        connection->retry_at = now_ns() + retry_pause_ns;
}

static void failed(struct connection *connection, unsigned long *counter)
{
    ++*counter;
    --active;
    if (connection->answer.deltas < options.deltas)
        results.totals.lost_deltas += (unsigned long)(options.deltas - connection->answer.deltas);
    close_connection(connection);
    go_on(connection, false);
}

static void answered(struct connection *connection)
{
    enum outcome outcome = answer_outcome(&connection->answer, options.deltas, !options.whole);
    if (outcome != GOOD) {
        failed(connection, &results.totals.outcome[outcome]);
        return;
    }
    --active;
    results.totals.outcome[GOOD]++;
    connection->state = IDLE;
    if (measuring) {
        results.window.answers++;
        histogram_add(&results.window.answer, now_ns() - connection->asked_at);
    }
    if (connection->answer.closes)
        close_connection(connection);
    go_on(connection, true);
}

/* ---- asking ---- */

static void send_request(struct connection *connection)
{
    connection->state = ANSWERING;
    answer_start(&connection->answer, form, options.deltas);
    if (write(connection->descriptor, request.text, request.length) == (ssize_t)request.length)
        return;
    if (connection->reused) { /* closed by the server while it was idle: no fault of its */
        --active;
        close_connection(connection);
        ask(connection);
        return;
    }
    failed(connection, &results.totals.cut);
}

static void ask(struct connection *connection)
{
    int one = 1;
    struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP | EPOLLOUT | EPOLLET, .data.ptr = connection};
    active++;
    connection->asked_at = now_ns();
    connection->reused = connection->descriptor >= 0;
    if (connection->reused) {
        send_request(connection);
        return;
    }
    answer_start(&connection->answer, form, options.deltas);
    connection->state = CONNECTING;
    connection->descriptor = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(connection->descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(connection->descriptor, (struct sockaddr *)&gateway_address, sizeof gateway_address) &&
        errno != EINPROGRESS)
        failed(connection, &results.totals.refused);
    else
        epoll_ctl(poller, EPOLL_CTL_ADD, connection->descriptor, &event);
}

static void connected(struct connection *connection)
{
    int error = 0;
    socklen_t size = sizeof error;
    getsockopt(connection->descriptor, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error)
        failed(connection, &results.totals.refused);
    else
        send_request(connection);
}

/* ---- reading ---- */

static uint64_t read_at; /* when the bytes that are being scanned arrived */

static void record_stamp(void *owner, uint64_t stamped_ns, bool first)
{
    const struct connection *connection = owner;
    if (!measuring)
        return;
    results.window.deltas++;
    histogram_add(&results.window.latency, read_at > stamped_ns ? read_at - stamped_ns : 0);
    if (first)
        histogram_add(&results.window.first_delta, read_at - connection->asked_at);
}

static void keep_error(const struct answer *answer, const char *data, size_t length)
{
    const char *body = memmem(data, length, "\r\n\r\n", 4);
    if (answer->status == 200 || results.totals.error[0])
        return;
    if (body) {
        length -= (size_t)(body + 4 - data);
        data = body + 4;
    }
    size_t kept = length < ERROR_SPACE ? length : ERROR_SPACE;
    memcpy(results.totals.error, data, kept);
    results.totals.error[kept] = 0;
}

static void closed_by_gateway(struct connection *connection)
{
    if (connection->state == IDLE) {
        close_connection(connection);
    } else if (connection->reused && !connection->answer.head_length) {
        --active;
        close_connection(connection);
        ask(connection);
    } else if (answer_ends_with_connection(&connection->answer)) {
        connection->answer.closes = true;
        answered(connection);
    } else {
        failed(connection, connection->state == CONNECTING ? &results.totals.refused : &results.totals.cut);
    }
}

/* `to_end`: the connection is closed on the other side, and no further edge will tell that there is more to
 * read. */
static void read_answer(struct connection *connection, bool to_end)
{
    static char data[READ_SPACE];
    ssize_t got;
    do {
        got = read(connection->descriptor, data, sizeof data);
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0) {
            closed_by_gateway(connection);
            return;
        }
        if (connection->state != ANSWERING)
            continue; /* bytes that nobody asked for */
        read_at = now_ns();
        results.window.reads += measuring;
        answer_feed(&connection->answer, data, (size_t)got, record_stamp, connection);
        keep_error(&connection->answer, data, (size_t)got);
        if (connection->answer.phase == COMPLETE) {
            answered(connection);
            return;
        }
    } while (to_end ||
             got == sizeof data); /* less than that was all there is: the next bytes raise a new edge */
}

/* ---- the loop ---- */

/* A number from 0 to 1 for each stream, the same in every run: the finaliser of MurmurHash3. */
static double jitter(uint32_t number)
{
    number = (number ^ number >> 16) * 0x85ebca6bu;
    number = (number ^ number >> 13) * 0xc2b2ae35u;
    return (double)(number ^ number >> 16) / 4294967296.0;
}

/* When the stream with this number opens. Streams that open a whole number of intervals apart go on in step,
 * which is how an inference server sends what it decodes in one batch: --in-step of them do, and the groups
 * lie evenly in the interval. With --in-step 0 every stream has a beat of its own. */
static uint64_t opening_time(uint64_t start, int number)
{
    double interval = (double)options.interval_us * 1e3, ramp = options.ramp * 1e9;
    if (options.loop || !options.in_step || !options.interval_us)
        return start + (uint64_t)(ramp * ((double)number + jitter((uint32_t)number + 1)) / options.streams);
    uint64_t groups = (uint64_t)((options.streams + options.in_step - 1) / options.in_step);
    double place = ramp * number / options.streams / interval; /* in intervals */
    uint64_t whole = (uint64_t)place, group = (uint64_t)((place - (double)whole) * (double)groups);
    return start + (uint64_t)(((double)whole + (double)group / (double)groups) * interval);
}

static uint64_t open_streams(uint64_t start, uint64_t until)
{
    while (opened < options.streams && now_ns() >= opening_time(start, opened))
        ask(&connections[opened++]);
    if (opened == options.streams)
        return until;
    uint64_t next = opening_time(start, opened);
    return next < until ? next : until;
}

static uint64_t retry(uint64_t until)
{
    uint64_t now = now_ns();
    for (int i = 0; i < opened; i++) {
        if (!connections[i].retry_at || connections[i].retry_at > now)
            continue;
        connections[i].retry_at = 0;
        ask(&connections[i]);
    }
    return now + retry_check_ns < until ? now + retry_check_ns : until;
}

static void sleep_ns(uint64_t duration)
{
    struct timespec pause = to_timespec(duration);
    nanosleep(&pause, NULL);
}

static void handle_events(uint64_t timeout_ns)
{
    struct epoll_event events[EVENTS];
    struct timespec timeout = to_timespec(options.poll ? 0 : timeout_ns);
    int ready = epoll_pwait2(poller, events, EVENTS, &timeout, NULL);
    if (!ready && options.poll)
        sleep_ns(timeout_ns < poll_pause_ns ? timeout_ns : poll_pause_ns);
    for (int i = 0; i < ready; i++) {
        struct connection *connection = events[i].data.ptr;
        uint32_t kinds = events[i].events;
        if (connection->state == CONNECTING && kinds & (EPOLLOUT | EPOLLERR | EPOLLHUP))
            connected(connection);
        else if (kinds & (EPOLLIN | ENDED) && connection->descriptor >= 0)
            read_answer(connection, kinds & ENDED);
    }
}

/* Runs until the time is up, or until every stream has ended. */
static void run_until(uint64_t start, uint64_t until)
{
    for (;;) {
        uint64_t wake = open_streams(start, until);
        if (options.loop && !stopping)
            wake = retry(wake);
        uint64_t now = now_ns();
        if (now >= until || (opened == options.streams && !active && (stopping || !options.loop)))
            return;
        handle_events(wake <= now ? 0 : wake - now);
    }
}

/* ---- the run ---- */

static void prepare(void)
{
    signal(SIGPIPE, SIG_IGN);
    take_place(options.core, options.priority);
    gateway_address = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    gateway_address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    request = build_request(&options);
    form = form_at(options.path, strlen(options.path));
    poller = epoll_create1(EPOLL_CLOEXEC);
    connections = calloc((size_t)options.streams, sizeof *connections);
    if (!connections)
        abort();
    for (int i = 0; i < options.streams; i++)
        connections[i].descriptor = -1;
}

static void count_unanswered(void)
{
    for (int i = 0; i < options.streams; i++) {
        if (connections[i].state == IDLE)
            continue;
        results.totals.unanswered++;
        results.totals.lost_deltas += (unsigned long)(options.deltas - connections[i].answer.deltas);
    }
}

int main(int count, char **arguments)
{
    options = read_options(count, arguments);
    prepare();
    account_find(&gateway_tree, options.gateway);
    account_find(&mock_tree, options.mock);
    results.resident_before_kib = account_read(&gateway_tree).resident_kib;
    results.offered_per_second =
        options.loop || !options.interval_us ? 0 : options.streams * 1e6 / (double)options.interval_us;

    uint64_t start = now_ns();
    run_until(start, start + (uint64_t)((options.ramp + options.settle) * 1e9));

    results.first = take_edge(&gateway_tree, &mock_tree);
    measuring = true;
    run_until(start, now_ns() + (uint64_t)(options.window * 1e9));
    measuring = false;
    results.last = take_edge(&gateway_tree, &mock_tree);
    results.open_at_end = active;

    stopping = true;
    run_until(start, now_ns() + (uint64_t)((options.ramp + options.grace) * 1e9));
    count_unanswered();
    print_results(&results);
    return 0;
}
