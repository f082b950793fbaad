#include "results.h"
#include "clock.h"
#include <stdio.h>

struct edge take_edge(const struct tree *gateway, const struct tree *mock)
{
    return (struct edge){
        .at = now_ns(),
        .gateway = account_read(gateway),
        .mock = account_read(mock),
        .own_cpu_seconds = own_cpu_seconds(),
        .machine = machine_time_read(),
    };
}

static void print_count(const char *name, unsigned long value)
{
    printf("\"%s\":%lu,", name, value);
}

static void print_number(const char *name, double value)
{
    printf("\"%s\":%.4f,", name, value);
}

static void print_window(const struct window *window)
{
    print_count("deltas", window->deltas);
    print_count("answers", window->answers);
    print_count("reads", window->reads);
    print_number("latency_p50_us", histogram_quantile_us(&window->latency, 0.5));
    print_number("latency_p99_us", histogram_quantile_us(&window->latency, 0.99));
    print_number("latency_p999_us", histogram_quantile_us(&window->latency, 0.999));
    print_number("latency_max_us", (double)window->latency.largest / 1e3);
    print_number("first_delta_p50_us", histogram_quantile_us(&window->first_delta, 0.5));
    print_number("first_delta_p99_us", histogram_quantile_us(&window->first_delta, 0.99));
    print_number("answer_p50_us", histogram_quantile_us(&window->answer, 0.5));
    print_number("answer_p99_us", histogram_quantile_us(&window->answer, 0.99));
}

static void print_accounts(const struct edge *first, const struct edge *last)
{
    double seconds = (double)(last->at - first->at) / 1e9, ticks = last->machine.ticks - first->machine.ticks;
    print_number("seconds", seconds);
    print_number("gateway_cpu_seconds", last->gateway.cpu_seconds - first->gateway.cpu_seconds);
    print_count("gateway_processes", (unsigned long)last->gateway.processes);
    print_count("gateway_threads", (unsigned long)last->gateway.threads);
    print_count("resident_kib", (unsigned long)last->gateway.resident_kib);
    print_number("load_utilisation", (last->own_cpu_seconds - first->own_cpu_seconds) / seconds);
    print_number("mock_utilisation", (last->mock.cpu_seconds - first->mock.cpu_seconds) / seconds);
    print_number("stolen", ticks > 0 ? (last->machine.stolen - first->machine.stolen) / ticks : 0);
}

static void print_totals(const struct totals *totals)
{
    print_count("good", totals->outcome[GOOD]);
    print_count("bad_status", totals->outcome[BAD_STATUS]);
    print_count("incomplete", totals->outcome[INCOMPLETE]);
    print_count("disordered", totals->outcome[DISORDERED]);
    print_count("unfinished", totals->outcome[UNFINISHED]);
    print_count("refused", totals->refused);
    print_count("cut", totals->cut);
    print_count("unanswered", totals->unanswered);
    printf("\"lost_deltas\":%lu", totals->lost_deltas);
}

void print_results(const struct results *results)
{
    printf("{");
    print_count("resident_before_kib", (unsigned long)results->resident_before_kib);
    print_number("offered_per_second", results->offered_per_second);
    print_count("open_at_end", (unsigned long)results->open_at_end);
    print_window(&results->window);
    print_accounts(&results->first, &results->last);
    print_totals(&results->totals);
    printf("}\n");
    if (results->totals.error[0])
        fprintf(stderr, "the first error was answered with: %s\n", results->totals.error);
}
