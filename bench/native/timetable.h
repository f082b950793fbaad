/* A timetable: a binary heap of appointments, the earliest first. An appointment is the first member of its
 * owner. */
#pragma once
#include <stdint.h>

struct appointment {
    uint64_t due; /* ns on CLOCK_MONOTONIC */
    int position; /* in the heap; -1 when not in it */
};

void timetable_add(struct appointment *appointment);
void timetable_remove(struct appointment *appointment); /* harmless when it is not in the table */
void timetable_postpone(struct appointment *appointment, uint64_t due);
struct appointment *timetable_first(void); /* NULL when empty */
