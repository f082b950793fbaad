#define _GNU_SOURCE
#include "reply.h"
#include "clock.h"
#include "stamp.h"
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define STREAM_HEAD                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n" \
    "Transfer-Encoding: chunked\r\nx-request-id: req_mock\r\n\r\n"
#define CREATED "\"created\":1760000000,\"model\":\"mock-model\",\"system_fingerprint\":\"fp_44709d6fcb\""
#define END_OF_FRAME "\n\n"

static const char *const shape_names[SHAPES] = {"plain", "vary", "chinese", "reasoning"};
static const char *const chinese_words[] = {"你好", "，今天的天气", "很好，", "我们一起去公园散步吧。",
                                            "流",   "式输出"};
enum { CHINESE_WORDS = sizeof chinese_words / sizeof *chinese_words };

/* No "z", so that random text can never look like a stamp. */
static const char random_letters[] = "abcdefghijklmnopqrstuvwxyABCDEFGHIJKLMNOPQRSTUVWXY0123456789";
enum { RANDOM_LETTERS = sizeof random_letters - 1, RANDOM_LENGTH_LEAST = 3, RANDOM_LENGTH_RANGE = 16 };

static uint32_t next_random(void)
{
    static uint32_t state = 2463534242u; /* Marsaglia's xorshift32 */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

static char *put_random_text(char *at)
{
    for (uint32_t left = RANDOM_LENGTH_LEAST + next_random() % RANDOM_LENGTH_RANGE; left; left--)
        *at++ = random_letters[next_random() % RANDOM_LETTERS];
    return at;
}

enum shape shape_named(const char *name)
{
    for (int shape = 0; shape < SHAPES; shape++) {
        size_t length = strlen(shape_names[shape]);
        if (!strncmp(name, shape_names[shape], length) && !isalpha((unsigned char)name[length]))
            return (enum shape)shape;
    }
    return SHAPES;
}

void reply_start(struct reply *reply, enum form form, enum shape shape, int total, bool with_usage)
{
    static unsigned long answers;
    *reply = (struct reply){.form = form, .shape = shape, .total = total, .with_usage = with_usage};
    snprintf(reply->id, sizeof reply->id, "chatcmpl-%08x%012lx", next_random(), ++answers);
}

/* `payload`..`end` becomes one HTTP chunk at `out`; returns the place after it. */
static char *put_http_chunk(char *out, const char *payload, const char *end)
{
    size_t length = (size_t)(end - payload);
    out += sprintf(out, "%zx\r\n", length);
    out = mempcpy(out, payload, length);
    return stpcpy(out, "\r\n");
}

static char *put_frame_start(char *at, const struct reply *reply)
{
    at = stpcpy(stpcpy(at, "data: {\"id\":\""), reply->id);
    at = stpcpy(at, "\",\"object\":\"chat.completion.chunk\"," CREATED ",");
    return reply->shape == VARY ? stpcpy(at, "\"service_tier\":\"default\",") : at;
}

/* Everything after `choices`, to the end of the frame. */
static char *put_frame_end(char *at, const struct reply *reply)
{
    if (reply->shape == VARY) {
        at = reply->with_usage ? stpcpy(at, ",\"usage\":null") : at;
        at = stpcpy(put_random_text(stpcpy(at, ",\"obfuscation\":\"")), "\"");
    }
    return stpcpy(at, "}" END_OF_FRAME);
}

static char *put_choice_frame(char *out, const struct reply *reply, const char *delta,
                              const char *finish_reason)
{
    char frame[REPLY_SPACE / 2], *at = put_frame_start(frame, reply);
    at = stpcpy(stpcpy(at, "\"choices\":[{\"index\":0,\"delta\":"), delta);
    at = stpcpy(stpcpy(stpcpy(at, ",\"logprobs\":null,\"finish_reason\":"), finish_reason), "}]");
    return put_http_chunk(out, frame, put_frame_end(at, reply));
}

static char *put_usage(char *at, int deltas)
{
    return at + sprintf(at, "\"usage\":{\"prompt_tokens\":210,\"completion_tokens\":%d,\"total_tokens\":%d}",
                        deltas, 210 + deltas);
}

/* The text of one delta, without quotes. */
static char *put_text(char *at, enum shape shape, int number)
{
    if (shape == CHINESE)
        at = stpcpy(at, chinese_words[number % CHINESE_WORDS]);
    at = put_stamp(at, number, now_ns());
    return shape == CHINESE ? stpcpy(at, chinese_words[(number / 2 + 3) % CHINESE_WORDS]) : at;
}

size_t reply_head(const struct reply *reply, char *out)
{
    char frames[REPLY_SPACE / 2], *at = stpcpy(out, STREAM_HEAD);
    if (reply->form != CHAT)
        return (size_t)(put_http_chunk(at, frames, put_opening(frames, reply->form, reply->id)) - out);
    at = put_choice_frame(at, reply, "{\"role\":\"assistant\",\"content\":\"\"}", "null");
    return (size_t)(at - out);
}

size_t reply_delta(struct reply *reply, char *out)
{
    char delta[512], frame[REPLY_SPACE / 2], *at = delta;
    if (reply->form != CHAT) {
        int number = reply->sent++;
        *put_text(delta, reply->shape, number) = 0;
        at = put_delta(frame, reply->form, number, delta);
        return (size_t)(put_http_chunk(out, frame, at) - out);
    }
    bool thinking = reply->shape == REASONING && reply->sent < reply->total / 2;
    at = stpcpy(at, thinking ? "{\"content\":null,\"reasoning_content\":\"" : "{\"content\":\"");
    at = put_text(at, reply->shape, reply->sent++);
    at = stpcpy(at, reply->shape == REASONING && !thinking ? "\",\"reasoning_content\":null}" : "\"}");
    return (size_t)(put_choice_frame(out, reply, delta, "null") - out);
}

size_t reply_end(const struct reply *reply, char *out)
{
    static const char done[] = "data: [DONE]" END_OF_FRAME;
    if (reply->form != CHAT) {
        char frames[REPLY_SPACE / 2], *at = put_ending(frames, reply->form, reply->id, reply->total);
        return (size_t)(stpcpy(put_http_chunk(out, frames, at), "0\r\n\r\n") - out);
    }
    char *place = put_choice_frame(out, reply, "{}", "\"stop\"");
    if (reply->with_usage) {
        char frame[REPLY_SPACE / 2], *at = put_frame_start(frame, reply);
        at = stpcpy(put_usage(stpcpy(at, "\"choices\":[],"), reply->total), "}" END_OF_FRAME);
        place = put_http_chunk(place, frame, at);
    }
    place = stpcpy(put_http_chunk(place, done, done + sizeof done - 1), "0\r\n\r\n");
    return (size_t)(place - out);
}

size_t reply_whole(const struct reply *reply, char *out)
{
    char json[REPLY_SPACE - 512], *at = json;
    at =
        stpcpy(stpcpy(stpcpy(at, "{\"id\":\""), reply->id), "\",\"object\":\"chat.completion\"," CREATED ",");
    at = stpcpy(at, "\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"");
    for (int number = 0; number < reply->total; number++)
        at = put_stamp(at, number, now_ns());
    at = stpcpy(at, "\"},\"logprobs\":null,\"finish_reason\":\"stop\"}],");
    stpcpy(put_usage(at, reply->total), "}");
    return response(out, "200 OK", json);
}

size_t response(char *out, const char *status, const char *json)
{
    int length = snprintf(out, REPLY_SPACE,
                          "HTTP/1.1 %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                          status, strlen(json), json);
    return (size_t)length;
}
