/* Where and how urgently a harness program runs. */
#pragma once
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Pins this process to a core (if core >= 0) and makes it real-time (if priority > 0), or ends it with a
 * sentence. */
static inline void take_place(int core, int priority)
{
    cpu_set_t cores;
    struct sched_param parameters = {.sched_priority = priority};
    CPU_ZERO(&cores);
    if (core >= 0) {
        CPU_SET((size_t)core, &cores);
        if (sched_setaffinity(0, sizeof cores, &cores)) {
            perror("cannot run on the core given with --core");
            exit(2);
        }
    }
    if (priority > 0 && sched_setscheduler(0, SCHED_FIFO, &parameters)) {
        perror("cannot become real-time as --priority asks");
        exit(2);
    }
    prctl(PR_SET_TIMERSLACK, 1000); /* ns; the usual 50 us would show in every pacing interval */
    prctl(PR_SET_PDEATHSIG, 15);    /* nothing is left behind when the bench is killed */
}
