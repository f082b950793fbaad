#include "request.h"
#include "forms.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char head_format[] =
    "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
    "Accept: text/event-stream\r\nUser-Agent: bench/1.0\r\nContent-Length: %d\r\n\r\n%s";

struct request build_request(const struct options *options)
{
    struct request request;
    enum form form = form_at(options->path, strlen(options->path));
    if (form == FORMS) {
        fprintf(stderr, "load: the path must end in /chat/completions, /messages or /responses\n");
        exit(2);
    }
    char body[REQUEST_SPACE - 512];
    int length = snprintf(body, sizeof body, question_format(form), options->model, options->whole ? "false" : "true",
                          options->deltas, options->interval_us, options->shape);
    request.length = (size_t)snprintf(request.text, sizeof request.text, head_format, options->path,
                                      options->port, options->key, length, body);
    if ((size_t)length >= sizeof body || request.length >= sizeof request.text) {
        fprintf(stderr, "load: the request is too long; shorten --path, --key or --model\n");
        exit(2);
    }
    return request;
}
