/* One HTTP/1.1 answer being read, and the check that it is complete: every stamp, in order, and the right
 * end. */
#pragma once
#include "forms.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { HEAD_SPACE = 4096, CARRY_SPACE = 40, READ_SPACE = 65536, ERROR_SPACE = 400 };

enum phase { HEAD, CHUNK_SIZE, CHUNK_DATA, CHUNK_END, TRAILER, SIZED_BODY, BODY_TO_EOF, COMPLETE };

struct answer {
    enum phase phase;
    int status;
    bool closes;    /* the server will close the connection */
    long remaining; /* bytes of the HTTP chunk or of the sized body */
    int line;       /* characters on the trailer's current line */
    size_t head_length;
    char head[HEAD_SPACE + 1];
    size_t carried; /* end of what was scanned, in which a stamp or an end mark may have begun */
    char carry[CARRY_SPACE];
    int deltas, expected; /* Responses repeats the text at its end: its stamps beyond these do not count */
    enum form form;
    bool disordered, stopped, done; /* a stamp out of turn; the mark of success; that of the end */
};

/* What came of one answer. A lost delta shows as INCOMPLETE, a stream without its proper end as UNFINISHED.
 */
enum outcome { GOOD, BAD_STATUS, INCOMPLETE, DISORDERED, UNFINISHED, OUTCOMES };

/* Called for each stamp that arrives; `first` for the first of its answer. */
typedef void stamp_seen(void *owner, uint64_t stamped_ns, bool first);

void answer_start(struct answer *answer, enum form form, int expected);
void answer_feed(struct answer *answer, const char *data, size_t length, stamp_seen *seen, void *owner);
/* The connection was closed: true when that is how this answer ends. */
bool answer_ends_with_connection(struct answer *answer);
enum outcome answer_outcome(const struct answer *answer, int deltas, bool streaming);
