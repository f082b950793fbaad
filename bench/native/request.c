#include "request.h"
#include <stdio.h>
#include <stdlib.h>

/* A prompt of usual length; what the mock upstream shall say stands before it. */
#define FOX "The quick brown fox jumps over the lazy dog. "
#define FILLER FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX FOX

static const char body_format[] =
    "{\"model\":\"%s\",\"stream\":%s,\"max_tokens\":1024,\"temperature\":0.7,\"user\":\"u-42\",\"messages\":["
    "{\"role\":\"system\",\"content\":\"You are a helpful assistant. Answer briefly and precisely.\"},"
    "{\"role\":\"user\",\"content\":\"bench:n=%d,iv=%ld,shape=%s " FILLER "\"}]}";

static const char head_format[] =
    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
    "Accept: text/event-stream\r\nUser-Agent: bench/1.0\r\nContent-Length: %d\r\n\r\n%s";

struct request build_request(const struct options *options)
{
    struct request request;
    char body[REQUEST_SPACE - 512];
    int length = snprintf(body, sizeof body, body_format, options->model, options->whole ? "false" : "true",
                          options->deltas, options->interval_us, options->shape);
    request.length = (size_t)snprintf(request.text, sizeof request.text, head_format, options->path,
                                      options->port, options->key, length, body);
    if ((size_t)length >= sizeof body || request.length >= sizeof request.text) {
        fprintf(stderr, "load: the request is too long; shorten --path, --key or --model\n");
        exit(2);
    }
    return request;
}
