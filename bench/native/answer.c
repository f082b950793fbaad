#define _GNU_SOURCE
#include "answer.h"
#include "stamp.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void answer_start(struct answer *answer, enum form form, int expected)
{
    memset(answer, 0, offsetof(struct answer, head));
    memset(&answer->carried, 0, sizeof *answer - offsetof(struct answer, carried));
    answer->form = form;
    answer->expected = expected;
}

static bool holds(const char *from, const char *to, const char *mark)
{
    return memmem(from, (size_t)(to - from), mark, strlen(mark)) != NULL;
}

/* Scans body text for stamps and, after the last stamp, for the marks of a proper end. */
static void scan(struct answer *answer, const char *data, size_t length, stamp_seen *seen, void *owner)
{
    static char text[CARRY_SPACE + READ_SPACE];
    memcpy(text, answer->carry, answer->carried);
    memcpy(text + answer->carried, data, length);
    const char *at = text, *after = text, *end = text + answer->carried + length, *found;
    while ((found = memmem(at, (size_t)(end - at), "zQ", 2)) && end - found >= STAMP_LENGTH) {
        if (!is_stamp(found) || (answer->form == RESPONSES && answer->deltas == answer->expected)) {
            at = found + 2;
            continue;
        }
        if (get_decimal(found + STAMP_NUMBER_AT, STAMP_NUMBER_WIDTH) != (uint64_t)answer->deltas)
            answer->disordered = true;
        seen(owner, get_decimal(found + STAMP_CLOCK_AT, STAMP_CLOCK_WIDTH), answer->deltas++ == 0);
        answer->done = answer->stopped = false; /* an end before the last delta is none */
        at = after = found + STAMP_LENGTH;
    }
    answer->done = answer->done || holds(after, end, end_mark(answer->form));
    answer->stopped = answer->stopped || holds(after, end, success_mark(answer->form));
    answer->carried = end - at > CARRY_SPACE ? CARRY_SPACE : (size_t)(end - at);
    memcpy(answer->carry, end - answer->carried, answer->carried);
}

static void read_headers(struct answer *answer)
{
    const char *length = strcasestr(answer->head, "\ncontent-length:");
    answer->status = atoi(answer->head + strlen("HTTP/1.1 "));
    answer->closes = strcasestr(answer->head, "\nconnection: close") != NULL;
    answer->remaining = length ? atol(length + 16) : 0;
    if (answer->status == 100) {
        answer->head_length = 0;
        return;
    }
    if (strcasestr(answer->head, "\ntransfer-encoding: chunked"))
        answer->phase = CHUNK_SIZE;
    else if (!length)
        answer->phase = BODY_TO_EOF;
    else
        answer->phase = answer->remaining ? SIZED_BODY : COMPLETE;
    if (answer->phase == CHUNK_SIZE)
        answer->remaining = 0;
}

/* Takes the part of `data` that belongs to the head; returns its length. */
static size_t feed_head(struct answer *answer, const char *data, size_t length)
{
    size_t before = answer->head_length, room = HEAD_SPACE - before;
    size_t taken = length < room ? length : room;
    memcpy(answer->head + before, data, taken);
    answer->head_length += taken;
    answer->head[answer->head_length] = 0;
    char *end = strstr(answer->head, "\r\n\r\n");
    if (!end) {
        answer->phase =
            answer->head_length == HEAD_SPACE ? COMPLETE : HEAD; /* status stays 0: a bad answer */
        return taken;
    }
    end[2] = 0;
    taken = (size_t)(end + 4 - answer->head) - before;
    read_headers(answer);
    return taken;
}

/* One character of what surrounds the data in chunked coding. */
static void feed_framing(struct answer *answer, char character)
{
    if (answer->phase == CHUNK_SIZE && isxdigit((unsigned char)character)) {
        int digit = isdigit((unsigned char)character) ? character - '0' : (character | 32) - 'a' + 10;
        answer->remaining = answer->remaining * 16 + digit;
    } else if (answer->phase == TRAILER && character != '\n' && character != '\r') {
        answer->line++;
    } else if (character == '\n') {
        if (answer->phase == TRAILER)
            answer->phase = answer->line ? TRAILER : COMPLETE;
        else if (answer->phase == CHUNK_SIZE)
            answer->phase = answer->remaining ? CHUNK_DATA : TRAILER;
        else
            answer->phase = CHUNK_SIZE;
        answer->line = 0;
    }
}

void answer_feed(struct answer *answer, const char *data, size_t length, stamp_seen *seen, void *owner)
{
    while (length && answer->phase != COMPLETE) {
        size_t taken = 1;
        if (answer->phase == HEAD) {
            taken = feed_head(answer, data, length);
        } else if (answer->phase == BODY_TO_EOF) {
            taken = length;
            scan(answer, data, taken, seen, owner);
        } else if (answer->phase == CHUNK_DATA || answer->phase == SIZED_BODY) {
            taken = length < (size_t)answer->remaining ? length : (size_t)answer->remaining;
            scan(answer, data, taken, seen, owner);
            answer->remaining -= (long)taken;
            if (!answer->remaining)
                answer->phase = answer->phase == SIZED_BODY ? COMPLETE : CHUNK_END;
        } else {
            feed_framing(answer, *data);
        }
        data += taken;
        length -= taken;
    }
}

bool answer_ends_with_connection(struct answer *answer)
{
    return answer->phase == BODY_TO_EOF;
}

enum outcome answer_outcome(const struct answer *answer, int deltas, bool streaming)
{
    if (answer->status != 200)
        return BAD_STATUS;
    if (answer->deltas != deltas)
        return INCOMPLETE;
    if (answer->disordered)
        return DISORDERED;
    /* a plain answer may name its finish_reason anywhere, also before the text, where it is not looked for */
    return !streaming || (answer->stopped && answer->done) ? GOOD : UNFINISHED;
}
