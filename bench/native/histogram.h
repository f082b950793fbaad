/* A log-linear histogram of nanoseconds: 64 buckets to the octave, so a quantile is at most 1.6 % off. */
#pragma once
#include <stdint.h>

enum { BUCKETS_PER_OCTAVE = 64, BUCKETS = 64 * BUCKETS_PER_OCTAVE };

struct histogram {
    uint64_t count, largest;
    uint32_t bucket[BUCKETS];
};

static inline int bucket_of(uint64_t value)
{
    if (value < BUCKETS_PER_OCTAVE)
        return (int)value;
    int exponent =
        63 - __builtin_clzll(value); /* at least 6: the six bits below the leading one pick the bucket */
    return (exponent - 5) * BUCKETS_PER_OCTAVE + (int)((value >> (exponent - 6)) & 63);
}

static inline uint64_t bucket_start(int bucket)
{
    if (bucket < BUCKETS_PER_OCTAVE)
        return (uint64_t)bucket;
    int exponent = bucket / BUCKETS_PER_OCTAVE + 5;
    return (uint64_t)(BUCKETS_PER_OCTAVE + bucket % BUCKETS_PER_OCTAVE) << (exponent - 6);
}

static inline void histogram_add(struct histogram *histogram, uint64_t value)
{
    histogram->bucket[bucket_of(value)]++;
    histogram->count++;
    if (value > histogram->largest)
        histogram->largest = value;
}

/* The value in microseconds below which the given share of the samples lies; 0 without samples. */
static inline double histogram_quantile_us(const struct histogram *histogram, double share)
{
    uint64_t rank = (uint64_t)(share * (double)histogram->count), seen = 0;
    if (!histogram->count)
        return 0;
    if (rank >= histogram->count)
        rank = histogram->count - 1;
    for (int i = 0; i < BUCKETS; i++) {
        seen += histogram->bucket[i];
        if (seen > rank)
            return (double)bucket_start(i) / 1e3;
    }
    return (double)histogram->largest / 1e3;
}
