/* What the mock upstream says: one answer, as frames of a stream, in one of several shapes of OpenAI Chat or
 * in another form; in Chat also whole.
 *
 * plain      vLLM's frame: nothing varies within a stream but the text
 * vary       OpenAI's frame: service_tier, `usage: null` when usage was asked for, and an `obfuscation` of
 * random text and length, so that no frame is like the one before chinese    the stamp stands between Chinese
 * words of changing length, as UTF-8 reasoning  DeepSeek's frame: the first half of the deltas is
 * reasoning_content, the second half content
 *
 * Ids differ from answer to answer. Everything is written in HTTP/1.1 chunked coding, one HTTP chunk to a
 * frame. */
#pragma once
#include "forms.h"
#include <stdbool.h>
#include <stddef.h>

enum shape { PLAIN, VARY, CHINESE, REASONING, SHAPES };

enum { REPLY_SPACE = 4096, WHOLE_DELTAS_LIMIT = 64 };

struct reply {
    enum form form;
    enum shape shape;
    bool with_usage; /* stream_options.include_usage was asked for */
    int total, sent; /* deltas */
    char id[40];
};

/* The shape of that name, which ends at the first character that is not a letter; SHAPES when there is none.
 */
enum shape shape_named(const char *name);

void reply_start(struct reply *reply, enum form form, enum shape shape, int total, bool with_usage);

/* Each writes to `out`, which has REPLY_SPACE bytes, and returns the length. */
size_t reply_head(const struct reply *reply, char *out); /* response head and the frame with the role */
size_t reply_delta(struct reply *reply, char *out);      /* the next delta, stamped now */
size_t reply_end(const struct reply *reply,
                 char *out); /* finish, usage if asked for, [DONE], last HTTP chunk */
size_t reply_whole(const struct reply *reply,
                   char *out); /* the plain answer that holds every delta's stamp */

/* A complete response with this JSON body. */
size_t response(char *out, const char *status, const char *json);
