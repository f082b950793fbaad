/* The load generator's command line. */
#pragma once
#include <stdbool.h>

struct options {
    int port;
    int streams;         /* connections */
    int deltas;          /* per answer; 0: as many as last until just after the window */
    long interval_us;    /* between the deltas of an answer */
    int in_step;         /* streams that beat together; 0: none do */
    const char *shape;   /* reply.h */
    double ramp, settle; /* seconds: to open all streams; then until the window begins */
    double window;       /* seconds that are measured */
    double grace;        /* seconds that streams may take to end after the window */
    bool loop;           /* closed loop: each connection asks again as soon as it is answered */
    bool whole;          /* ask for plain answers instead of streams */
    bool poll;           /* look for answers now and then instead of being woken by each */
    int gateway, mock;   /* process ids to account for; 0: none */
    const char *model, *path, *key;
    int core, priority; /* see schedule.h */
};

/* Ends the program with a sentence when the arguments are wrong. */
struct options read_options(int count, char **arguments);
