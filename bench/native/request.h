/* The one request that the load generator sends, again and again. */
#pragma once
#include "options.h"
#include <stddef.h>

enum { REQUEST_SPACE = 4096 };

struct request {
    size_t length;
    char text[REQUEST_SPACE];
};

/* Ends the program with a sentence when the options make it too long. */
struct request build_request(const struct options *options);
