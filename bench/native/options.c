#include "options.h"
#include "stamp.h"
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

enum name {
    PORT = 256,
    STREAMS,
    DELTAS,
    INTERVAL,
    IN_STEP,
    SHAPE,
    RAMP,
    SETTLE,
    WINDOW,
    GRACE,
    LOOP,
    WHOLE,
    POLL,
    GATEWAY,
    MOCK,
    MODEL,
    PATH,
    KEY,
    CORE,
    PRIORITY,
};

static const struct option known[] = {
    {"port", required_argument, NULL, PORT},
    {"streams", required_argument, NULL, STREAMS},
    {"deltas", required_argument, NULL, DELTAS},
    {"interval-us", required_argument, NULL, INTERVAL},
    {"in-step", required_argument, NULL, IN_STEP},
    {"shape", required_argument, NULL, SHAPE},
    {"ramp", required_argument, NULL, RAMP},
    {"settle", required_argument, NULL, SETTLE},
    {"window", required_argument, NULL, WINDOW},
    {"grace", required_argument, NULL, GRACE},
    {"loop", no_argument, NULL, LOOP},
    {"whole", no_argument, NULL, WHOLE},
    {"poll", no_argument, NULL, POLL},
    {"gateway", required_argument, NULL, GATEWAY},
    {"mock", required_argument, NULL, MOCK},
    {"model", required_argument, NULL, MODEL},
    {"path", required_argument, NULL, PATH},
    {"key", required_argument, NULL, KEY},
    {"core", required_argument, NULL, CORE},
    {"priority", required_argument, NULL, PRIORITY},
    {NULL, 0, NULL, 0},
};

/* After the window a stream goes on this long, so that all are open to its last moment. */
static const double overtime = 0.7;

static void take_number(struct options *options, int name, const char *value)
{
    switch (name) {
    case PORT: options->port = atoi(value); break;
    case STREAMS: options->streams = atoi(value); break;
    case DELTAS: options->deltas = atoi(value); break;
    case INTERVAL: options->interval_us = atol(value); break;
    case IN_STEP: options->in_step = atoi(value); break;
    case RAMP: options->ramp = atof(value); break;
    case SETTLE: options->settle = atof(value); break;
    case WINDOW: options->window = atof(value); break;
    case GRACE: options->grace = atof(value); break;
    case GATEWAY: options->gateway = atoi(value); break;
    case MOCK: options->mock = atoi(value); break;
    case CORE: options->core = atoi(value); break;
    case PRIORITY: options->priority = atoi(value); break;
    default: exit(2); /* getopt has told what is wrong */
    }
}

static void take(struct options *options, int name, const char *value)
{
    switch (name) {
    case LOOP: options->loop = true; break;
    case WHOLE: options->whole = true; break;
    case POLL: options->poll = true; break;
    case SHAPE: options->shape = value; break;
    case MODEL: options->model = value; break;
    case PATH: options->path = value; break;
    case KEY: options->key = value; break;
    default: take_number(options, name, value);
    }
}

struct options read_options(int count, char **arguments)
{
    struct options options = {
        .streams = 100,
        .interval_us = 20000,
        .shape = "plain",
        .ramp = 2,
        .settle = 0.5,
        .window = 4,
        .grace = 10,
        .model = "mock-model",
        .path = "/v1/chat/completions",
        .key = "sk-bench-0123456789abcdef",
        .core = -1,
    };
    int name;
    while ((name = getopt_long(count, arguments, "", known, NULL)) != -1)
        take(&options, name, optarg);
    if (!options.deltas && options.interval_us > 0)
        options.deltas = (int)((options.ramp + options.settle + options.window + overtime) * 1e6 /
                               (double)options.interval_us);
    if (!options.port || options.streams < 1 || options.deltas < 1 || options.deltas >= STAMP_NUMBER_LIMIT) {
        fprintf(stderr, "load: give --port, and --streams and --deltas from 1 (at most %d deltas)\n",
                STAMP_NUMBER_LIMIT - 1);
        exit(2);
    }
    return options;
}
