/* What processes have cost so far, from /proc. */
#pragma once

/* Of a process and all its descendants. */
struct account {
    double cpu_seconds; /* user + system, of the living and of their reaped children */
    long resident_kib;
    int processes, threads;
};

enum { TREE_LIMIT = 256 };

struct tree {
    int ids[TREE_LIMIT], size;
};

/* Finds this process and all below it (none: 0). Scans all of /proc, which takes milliseconds: not while
 * measuring. */
void account_find(struct tree *tree, int root);
/* Adds up the tree as it was found; microseconds. */
struct account account_read(const struct tree *tree);

/* Of this process. */
double own_cpu_seconds(void);

/* Of the machine, in clock ticks of all cores: what the hypervisor gave to others, and everything. */
struct machine_time {
    double stolen, ticks;
};

struct machine_time machine_time_read(void);
