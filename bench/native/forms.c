#define _GNU_SOURCE
#include "forms.h"
#include <stdio.h>
#include <string.h>

/* A prompt of usual length; what the mock upstream shall say stands before it. */
#define FOX "The quick brown fox jumps over the lazy dog. "
#define FILLER FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX
#define PROMPT "bench:n=%d,iv=%ld,shape=%s " FILLER
#define SYSTEM "You are a helpful assistant. Answer briefly and precisely."

static const char *const paths[FORMS] = {"/chat/completions", "/messages", "/responses"};

static const char *const questions[FORMS] = {
    "{\"model\":\"%s\",\"stream\":%s,\"max_tokens\":1024,\"temperature\":0.7,\"user\":\"u-42\",\"messages\":["
    "{\"role\":\"system\",\"content\":\"" SYSTEM "\"},{\"role\":\"user\",\"content\":\"" PROMPT "\"}]}",
    "{\"model\":\"%s\",\"stream\":%s,\"max_tokens\":1024,\"temperature\":0.7,\"system\":\"" SYSTEM "\","
    "\"messages\":[{\"role\":\"user\",\"content\":\"" PROMPT "\"}]}",
    "{\"model\":\"%s\",\"stream\":%s,\"max_output_tokens\":1024,\"temperature\":0.7,\"store\":false,"
    "\"instructions\":\"" SYSTEM "\",\"input\":\"" PROMPT "\"}",
};

static const char *const successes[FORMS] = {"\"stop\"", "\"end_turn\"", "\"completed\""};
static const char *const ends[FORMS] = {"[DONE]", "event: message_stop", "event: response.completed"};

#define MESSAGE                                                                                             \
    "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"mock-model\",\"content\":[],"       \
    "\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":210,\"output_tokens\":1}}"
#define RESPONSE                                                                                           \
    "{\"id\":\"%s\",\"object\":\"response\",\"model\":\"mock-model\",\"status\":\"%s\",\"output\":[],"          \
    "\"error\":null,\"incomplete_details\":null,\"usage\":%s}"
#define ITEM "{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"status\":\"in_progress\",\"content\":[]}"
#define EVENT(name) "event: " name "\ndata: {\"type\":\"" name "\","

enum form form_at(const char *path, size_t length)
{
    for (int form = 0; form < FORMS; form++)
        if (memmem(path, length, paths[form], strlen(paths[form])))
            return (enum form)form;
    return FORMS;
}

const char *question_format(enum form form)
{
    return questions[form];
}

const char *success_mark(enum form form)
{
    return successes[form];
}

const char *end_mark(enum form form)
{
    return ends[form];
}

char *put_opening(char *at, enum form form, const char *id)
{
    if (form == MESSAGES)
        return at + sprintf(at,
                            EVENT("message_start") "\"message\":" MESSAGE "}\n\n" EVENT("content_block_start")
                            "\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n",
                            id);
    return at + sprintf(at,
                        EVENT("response.created") "\"sequence_number\":0,\"response\":" RESPONSE "}\n\n" EVENT(
                            "response.output_item.added") "\"sequence_number\":1,\"output_index\":0,\"item\":" ITEM
                        "}\n\n" EVENT("response.content_part.added") "\"sequence_number\":2,\"item_id\":\"msg_1\","
                        "\"output_index\":0,\"content_index\":0,\"part\":{\"type\":\"output_text\",\"text\":\"\","
                        "\"annotations\":[]}}\n\n",
                        id, "in_progress", "null");
}

char *put_delta(char *at, enum form form, int number, const char *text)
{
    if (form == MESSAGES)
        return at + sprintf(at,
                            EVENT("content_block_delta") "\"index\":0,\"delta\":{\"type\":\"text_delta\","
                            "\"text\":\"%s\"}}\n\n",
                            text);
    return at + sprintf(at,
                        EVENT("response.output_text.delta") "\"sequence_number\":%d,\"item_id\":\"msg_1\","
                        "\"output_index\":0,\"content_index\":0,\"delta\":\"%s\",\"logprobs\":[]}\n\n",
                        number + 3, text);
}

char *put_ending(char *at, enum form form, const char *id, int deltas)
{
    if (form == MESSAGES)
        return at + sprintf(at,
                            EVENT("content_block_stop") "\"index\":0}\n\n" EVENT("message_delta")
                            "\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},"
                            "\"usage\":{\"output_tokens\":%d}}\n\n"
                            "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
                            deltas);
    char usage[128];
    snprintf(usage, sizeof usage, "{\"input_tokens\":210,\"output_tokens\":%d,\"total_tokens\":%d}", deltas,
             210 + deltas);
    return at + sprintf(at, EVENT("response.completed") "\"sequence_number\":%d,\"response\":" RESPONSE "}\n\n",
                        deltas + 3, id, "completed", usage);
}
