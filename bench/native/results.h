/* What the load generator found, and how it is told: one JSON object with the fields of `Reading` in
 * ../harness.py. */
#pragma once
#include "account.h"
#include "answer.h"
#include "histogram.h"
#include <stdint.h>

/* Seen while the window was open. */
struct window {
    struct histogram latency, first_delta, answer;
    unsigned long deltas, answers, reads;
};

/* Of the whole run, in streams; lost_deltas in deltas. */
struct totals {
    unsigned long outcome[OUTCOMES], refused, cut, unanswered, lost_deltas;
    char error[ERROR_SPACE + 1]; /* the first body that did not come with status 200 */
};

/* The state of everything that is accounted for, at one edge of the window. */
struct edge {
    uint64_t at;
    struct account gateway, mock;
    double own_cpu_seconds;
    struct machine_time machine;
};

struct results {
    long resident_before_kib; /* the gateway, before the first stream */
    double offered_per_second;
    int open_at_end;
    struct edge first, last;
    struct window window;
    struct totals totals;
};

struct edge take_edge(const struct tree *gateway, const struct tree *mock);
void print_results(const struct results *results);
