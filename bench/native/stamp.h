/* The stamp inside every delta's text, by which the load generator tells loss, order and latency.
 *
 *     zQ 00042 T 0000001234567890123 z      28 bytes without the blanks, fixed width
 *        |       '- CLOCK_MONOTONIC at the write, in nanoseconds
 *        '--------- number of the delta in its stream, from 0
 *
 * Letters and digits only: every JSON encoder writes them as they are, so a stamp is found by a byte search
 * in whatever the gateway renders. Nothing else that the mock upstream says contains "zQ". */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
    STAMP_LENGTH = 28,
    STAMP_NUMBER_AT = 2,
    STAMP_NUMBER_WIDTH = 5,
    STAMP_CLOCK_AT = 8,
    STAMP_CLOCK_WIDTH = 19
};
enum { STAMP_NUMBER_LIMIT = 100000 };

static inline void put_decimal(char *to, int width, uint64_t value)
{
    while (width-- > 0) {
        to[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

static inline uint64_t get_decimal(const char *from, int width)
{
    uint64_t value = 0;
    while (width-- > 0)
        value = value * 10 + (uint64_t)(*from++ - '0');
    return value;
}

/* Writes one stamp and returns the place after it. */
static inline char *put_stamp(char *to, int number, uint64_t clock_ns)
{
    to[0] = 'z';
    to[1] = 'Q';
    put_decimal(to + STAMP_NUMBER_AT, STAMP_NUMBER_WIDTH, (uint64_t)number);
    to[STAMP_CLOCK_AT - 1] = 'T';
    put_decimal(to + STAMP_CLOCK_AT, STAMP_CLOCK_WIDTH, clock_ns);
    to[STAMP_LENGTH - 1] = 'z';
    return to + STAMP_LENGTH;
}

/* True when the STAMP_LENGTH bytes that start at a "zQ" are a stamp. */
static inline bool is_stamp(const char *at)
{
    return at[STAMP_CLOCK_AT - 1] == 'T' && at[STAMP_LENGTH - 1] == 'z';
}
