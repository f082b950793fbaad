#include "timetable.h"
#include <stdlib.h>

static struct appointment **heap;
static int count, capacity;

static void place(int position, struct appointment *appointment)
{
    heap[position] = appointment;
    appointment->position = position;
}

static void rise(int position)
{
    struct appointment *moving = heap[position];
    while (position > 0 && heap[(position - 1) / 2]->due > moving->due) {
        place(position, heap[(position - 1) / 2]);
        position = (position - 1) / 2;
    }
    place(position, moving);
}

static void sink(int position)
{
    struct appointment *moving = heap[position];
    for (;;) {
        int child = 2 * position + 1;
        if (child + 1 < count && heap[child + 1]->due < heap[child]->due)
            child++;
        if (child >= count || heap[child]->due >= moving->due)
            break;
        place(position, heap[child]);
        position = child;
    }
    place(position, moving);
}

void timetable_add(struct appointment *appointment)
{
    if (count == capacity) {
        capacity = capacity ? capacity * 2 : 1024;
        heap = realloc(heap, (size_t)capacity * sizeof *heap);
        if (!heap)
            abort();
    }
    place(count++, appointment);
    rise(appointment->position);
}

void timetable_remove(struct appointment *appointment)
{
    int position = appointment->position;
    if (position < 0)
        return;
    appointment->position = -1;
    if (position == --count)
        return;
    struct appointment *last = heap[count];
    place(position, last);
    rise(last->position);
    sink(last->position);
}

void timetable_postpone(struct appointment *appointment, uint64_t due)
{
    appointment->due = due;
    sink(appointment->position);
}

struct appointment *timetable_first(void)
{
    return count ? heap[0] : NULL;
}
