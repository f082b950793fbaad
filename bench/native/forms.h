/* The wire formats beside OpenAI Chat: where each is asked for, how a question is put, how an answer ends. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum form { CHAT, MESSAGES, RESPONSES, FORMS };

/* The form that is asked for at a path; FORMS when there is none. */
enum form form_at(const char *path, size_t length);

/* The body of a question, with places for: model, "true" or "false", deltas, interval and shape. */
const char *question_format(enum form form);

/* What a proper end has in it: the mark of success, and that of the stream's end. */
const char *success_mark(enum form form);
const char *end_mark(enum form form);

/* The frames of an answer, without HTTP's framing, NUL-terminated; each returns the place after it. */
char *put_opening(char *at, enum form form, const char *id);
char *put_delta(char *at, enum form form, int number, const char *text);
char *put_ending(char *at, enum form form, const char *id, int deltas);
