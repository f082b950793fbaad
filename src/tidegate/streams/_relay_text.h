/* Buffers, and the insides of JSON strings: read once, written in ASCII and in UTF-8. */

typedef struct {
    char *bytes;
    size_t size, room;
} Buffer;

static int
reserve(Buffer *buffer, size_t more)
{
    if (buffer->size + more <= buffer->room)
        return 0;
    size_t room = (buffer->size + more) * 2;
    char *bytes = PyMem_Realloc(buffer->bytes, room);
    if (bytes == NULL)
        return -1;
    buffer->bytes = bytes;
    buffer->room = room;
    return 0;
}

static int
put(Buffer *buffer, const char *bytes, size_t size)
{
    if (reserve(buffer, size))
        return -1;
    if (size) /* a pointer to nothing may be NULL */
        memcpy(buffer->bytes + buffer->size, bytes, size);
    buffer->size += size;
    return 0;
}

static void
release(Buffer *buffer)
{
    PyMem_Free(buffer->bytes);
    *buffer = (Buffer){NULL, 0, 0};
}

static const char *
bytes_of(const Buffer *buffer)
{
    return buffer->bytes == NULL ? "" : buffer->bytes;
}

/* Up to the end of what a JSON string can hold as it is, in ASCII. */
static const char *
skip_plain(const char *at, const char *end)
{
    while (at < end && (unsigned char)*at >= 0x20 && (unsigned char)*at < 0x7f && *at != '"' && *at != '\\')
        at++;
    return at;
}

/* Four hexadecimal digits, or -1. */
static long
hexadecimal(const char *at, const char *end)
{
    long value = 0;
    if (end - at < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        char digit = at[i];
        if (digit >= '0' && digit <= '9')
            value = value * 16 + digit - '0';
        else if ((digit | 32) >= 'a' && (digit | 32) <= 'f')
            value = value * 16 + (digit | 32) - 'a' + 10;
        else
            return -1;
    }
    return value;
}

/* The character that an escape stands for, and where it ends; -1 for none, and for half of a pair. */
static long
escaped(const char **place, const char *end)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *at = *place + 1;
    if (at >= end)
        return -1;
    if (*at != 'u') {
        const char *found = memchr(from, *at, sizeof from - 1);
        *place = at + 1;
        return found == NULL ? -1 : to[found - from];
    }
    long value = hexadecimal(at + 1, end);
    at += 5;
    if (value >= 0xd800 && value < 0xdc00) {
        if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
            return -1;
        long low = hexadecimal(at + 2, end);
        if (low < 0xdc00 || low > 0xdfff)
            return -1;
        value = 0x10000 + ((value - 0xd800) << 10) + (low - 0xdc00);
        at += 6;
    } else if (value >= 0xdc00 && value <= 0xdfff)
        return -1;
    *place = at;
    return value;
}

/* The character of two to four bytes in UTF-8 (RFC 3629), and where it ends; -1 for none. */
static long
unicode(const char **place, const char *end)
{
    static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
    const unsigned char *at = (const unsigned char *)*place;
    int size = *at >= 0xf0 && *at < 0xf5 ? 4 : *at >= 0xe0 && *at < 0xf0 ? 3 : *at >= 0xc2 && *at < 0xe0 ? 2 : 0;
    if (size == 0 || end - *place < size)
        return -1;
    long value = *at & (0x7f >> size);
    for (int i = 1; i < size; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return -1;
        value = (value << 6) | (at[i] & 0x3f);
    }
    if (value < least[size] || value > 0x10ffff || (value >= 0xd800 && value <= 0xdfff))
        return -1;
    *place += size;
    return value;
}

/* The letter that JSON escapes a character with, 0 where it has none. */
static char
letter(long value)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *found = value > 0 && value < 0x80 ? memchr(from, (int)value, sizeof from - 1) : NULL;
    return found == NULL ? 0 : to[found - from];
}

/* A character as Python's json writes it in ASCII. */
static int
put_character(Buffer *into, long value)
{
    char written[13];
    if (letter(value))
        return put(into, (char[]){'\\', letter(value)}, 2);
    if (value >= 0x20 && value < 0x7f)
        return put(into, (char[]){(char)value}, 1);
    if (value < 0x10000)
        return put(into, written, snprintf(written, sizeof written, "\\u%04lx", value));
    value -= 0x10000;
    return put(into, written,
               snprintf(written, sizeof written, "\\u%04lx\\u%04lx", 0xd800 + (value >> 10), 0xdc00 + (value & 0x3ff)));
}

/* A character as msgspec writes it: in UTF-8, but for what JSON does not allow. */
static int
put_in_utf8(Buffer *into, long value)
{
    char written[4];
    int size = value < 0x80 ? 1 : value < 0x800 ? 2 : value < 0x10000 ? 3 : 4;
    if (value < 0x20 || letter(value))
        return put_character(into, value);
    if (size == 1)
        return put(into, (char[]){(char)value}, 1);
    for (int i = size - 1; i > 0; i--, value >>= 6)
        written[i] = (char)(0x80 | (value & 0x3f));
    written[0] = (char)((0xf00 >> size) | value);
    return put(into, written, size);
}

/* Write the inside of a JSON string in ASCII, and into ``kept`` in UTF-8 where that is not how it came; returns
   where its closing quote is, NULL when there is none or something that is not read the same everywhere. */
static const char *
quote_inside(Buffer *into, Buffer *kept, const char *at, const char *end, uint64_t *characters)
{
    const char *begin = at;
    into->size = kept->size = 0;
    for (int escapes = 0;;) {
        const char *start = at;
        at = skip_plain(at, end);
        *characters += at - start;
        if (put(into, start, at - start) || (escapes && put(kept, start, at - start)) || at >= end)
            return NULL;
        if (*at == '"')
            return at;
        long value;
        start = at;
        int escape = *at == '\\';
        if (escape)
            value = escaped(&at, end);
        else if ((unsigned char)*at == 0x7f)
            value = *at++;
        else
            value = unicode(&at, end);
        if (value < 0 || put_character(into, value))
            return NULL;
        if (escape && !escapes++ && put(kept, begin, start - begin))
            return NULL;
        if (escapes && put_in_utf8(kept, value))
            return NULL;
        *characters += 1;
    }
}

static int
contains_data(const char *at, size_t size)
{
    static const char data[] = "data: ";
    for (const char *end = at + size; (size_t)(end - at) >= sizeof data - 1; at++) {
        if ((at = memchr(at, 'd', end - at)) == NULL)
            return 0;
        if ((size_t)(end - at) >= sizeof data - 1 && memcmp(at, data, sizeof data - 1) == 0)
            return 1;
    }
    return 0;
}
