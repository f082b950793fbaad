/* Bytes for _relay.c: buffers, templates, JSON literals, records, chunks. Nothing here knows of a stream. */

#define RECORD_HEAD 56 /* see records.py */
#define CHUNK_HEAD 12  /* room for the line that an HTTP chunk begins with */

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

/* Fixed pieces and places between them: a text or a plain word inside of a JSON string, digits or spaces that
   say nothing, and the number of the frame. */
enum { FIXED = -1, TEXT, WORD, DIGITS, SPACES, COUNT };

typedef struct {
    int8_t kind;
    uint16_t at, size;
} Piece;

/* Many streams have three of these each, so they are as small as can be. */
typedef struct {
    size_t pieces;
    Piece *piece;
    char *bytes; /* of all pieces, one after the other, in the same block of memory */
} Template;

/* What a piece of a tuple is; -1 with an exception where it is nothing. */
static int
read_piece(Piece *piece, PyObject *each, size_t at)
{
    Py_ssize_t size = PyBytes_Check(each) ? PyBytes_GET_SIZE(each) : 0;
    long kind = PyBytes_Check(each) ? FIXED : PyLong_AsLong(each);
    if (PyErr_Occurred())
        return -1;
    if (kind < FIXED || kind > COUNT || at + size > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "a piece of a template is of no known kind, or too long");
        return -1;
    }
    *piece = (Piece){(int8_t)kind, (uint16_t)at, (uint16_t)size};
    return 0;
}

/* Take a template from a tuple of bytes and kinds. */
static int
read_template(Template *template, PyObject *tuple)
{
    size_t size = 0, pieces = PyTuple_GET_SIZE(tuple);
    for (size_t i = 0; i < pieces; i++)
        if (PyBytes_Check(PyTuple_GET_ITEM(tuple, i)))
            size += PyBytes_GET_SIZE(PyTuple_GET_ITEM(tuple, i));
    Piece *piece = PyMem_Realloc(template->piece, pieces * sizeof(Piece) + size + 1);
    if (piece == NULL) {
        PyErr_NoMemory();
        return -1;
    }
    *template = (Template){pieces, piece, (char *)(piece + pieces)};
    size = 0;
    for (size_t i = 0; i < pieces; i++) {
        PyObject *each = PyTuple_GET_ITEM(tuple, i);
        if (read_piece(&piece[i], each, size))
            return -1;
        if (piece[i].kind == FIXED)
            memcpy(template->bytes + size, PyBytes_AS_STRING(each), piece[i].size);
        size += piece[i].size;
    }
    return 0;
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

/* A character as Python's json writes it in ASCII. */
static int
put_character(Buffer *into, long value)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    char written[13];
    const char *found = value < 0x80 && value > 0 ? memchr(from, (int)value, sizeof from - 1) : NULL;
    if (found != NULL)
        return put(into, (char[]){'\\', to[found - from]}, 2);
    if (value >= 0x20 && value < 0x7f)
        return put(into, (char[]){(char)value}, 1);
    if (value < 0x10000)
        return put(into, written, snprintf(written, sizeof written, "\\u%04lx", value));
    value -= 0x10000;
    return put(into, written,
               snprintf(written, sizeof written, "\\u%04lx\\u%04lx", 0xd800 + (value >> 10), 0xdc00 + (value & 0x3ff)));
}

/* Write the inside of a JSON string in ASCII; returns where its closing quote is, NULL when there is none
   or something that is not read the same everywhere. */
static const char *
quote_inside(Buffer *into, const char *at, const char *end, uint64_t *characters)
{
    for (;;) {
        const char *start = at;
        at = skip_plain(at, end);
        *characters += at - start;
        if (put(into, start, at - start) || at >= end)
            return NULL;
        if (*at == '"')
            return at;
        long value;
        if (*at == '\\')
            value = escaped(&at, end);
        else if ((unsigned char)*at == 0x7f)
            value = *at++;
        else
            value = unicode(&at, end);
        if (value < 0 || put_character(into, value))
            return NULL;
        *characters += 1;
    }
}

/* One frame as it was recognised: what stands in its places. */
typedef struct {
    const char *text, *word;
    size_t text_size, word_size;
    size_t quoted_at, quoted_size;
} Found;

/* Add what a template makes of a frame: the text in ASCII, from ``quoted``, or as it came where that is NULL. */
static int
compose(Buffer *into, const Template *template, const Found *found, const Buffer *quoted, uint64_t count)
{
    char digits[24];
    for (size_t i = 0; i < template->pieces; i++) {
        const Piece *piece = &template->piece[i];
        int failed;
        if (piece->kind == FIXED)
            failed = put(into, template->bytes + piece->at, piece->size);
        else if (piece->kind == TEXT && quoted == NULL)
            failed = put(into, found->text, found->text_size);
        else if (piece->kind == TEXT)
            failed = put(into, quoted->bytes + found->quoted_at, found->quoted_size);
        else if (piece->kind == WORD)
            failed = put(into, found->word, found->word_size);
        else
            failed = put(into, digits, snprintf(digits, sizeof digits, "%llu", (unsigned long long)count));
        if (failed)
            return -1;
    }
    return 0;
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

/* CRC-32 as in zlib, eight bytes at a time. */
static uint32_t checksums[8][256];

static void
make_checksums(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t sum = i;
        for (int bit = 0; bit < 8; bit++)
            sum = sum & 1 ? 0xedb88320u ^ (sum >> 1) : sum >> 1;
        checksums[0][i] = sum;
    }
    for (int i = 0; i < 256; i++)
        for (int table = 1; table < 8; table++)
            checksums[table][i] = (checksums[table - 1][i] >> 8) ^ checksums[0][checksums[table - 1][i] & 255];
}

static uint32_t
checksum(const unsigned char *at, size_t size)
{
    uint32_t sum = ~0u;
    for (; size >= 8; at += 8, size -= 8) {
        uint32_t first = sum ^ (at[0] | at[1] << 8 | at[2] << 16 | (uint32_t)at[3] << 24);
        sum = checksums[7][first & 255] ^ checksums[6][(first >> 8) & 255] ^ checksums[5][(first >> 16) & 255] ^
              checksums[4][first >> 24] ^ checksums[3][at[4]] ^ checksums[2][at[5]] ^ checksums[1][at[6]] ^
              checksums[0][at[7]];
    }
    while (size--)
        sum = checksums[0][(sum ^ *at++) & 255] ^ (sum >> 8);
    return ~sum;
}

static void
store(char *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        at[i] = (char)(value >> (8 * i));
}

/* Fill in the head of an EVENTS record whose content is there; see records.py for its form. */
static void
finish_record(Buffer *record, const unsigned char *key, uint32_t epoch, uint64_t seq, uint32_t events, uint64_t at_ms)
{
    enum { EVENTS = 2 };
    char *head = record->bytes;
    size_t length = record->size - 8;
    memset(head, 0, RECORD_HEAD);
    head[8] = EVENTS;
    store(head + 12, events, 4);
    memcpy(head + 16, key, 16);
    store(head + 32, epoch, 4);
    store(head + 40, seq, 8);
    store(head + 48, at_ms, 8);
    store(head, length, 4);
    store(head + 4, checksum((const unsigned char *)head + 8, length), 4);
}

/* The payload of the HTTP chunk that begins at ``at``; NULL when it is not whole, or has extensions. */
static const char *
chunk(const char *at, const char *end, const char **stop)
{
    size_t size = 0;
    const char *start = at;
    for (; at < end && at - start < 6; at++) {
        int digit = *at >= '0' && *at <= '9' ? *at - '0' : *at >= 'a' && *at <= 'f' ? *at - 'a' + 10 : -1;
        if (digit < 0)
            break;
        size = size * 16 + digit;
    }
    if (size == 0 || end - at < 4 || at[0] != '\r' || at[1] != '\n' || (size_t)(end - at) < size + 4)
        return NULL;
    at += 2;
    *stop = at + size;
    return (*stop)[0] == '\r' && (*stop)[1] == '\n' ? at : NULL;
}

/* Put the line of an HTTP chunk before frames that end in CR LF; returns where it begins. */
static size_t
chunk_head(Buffer *frames)
{
    char line[CHUNK_HEAD + 1];
    int size = snprintf(line, sizeof line, "%zx\r\n", frames->size - CHUNK_HEAD - 2);
    memcpy(frames->bytes + CHUNK_HEAD - size, line, size);
    return CHUNK_HEAD - size;
}
