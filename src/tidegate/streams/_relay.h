/* Frames and records for _relay.c: templates, what is recognised by them and made of them. Nothing here knows of
   a stream. */

#include "_relay_text.h"

#define RECORD_HEAD 56 /* see records.py */
#define CHUNK_HEAD 12  /* room for the line that an HTTP chunk begins with */

/* Fixed pieces and places between them: a text or a plain word inside of a JSON string, digits or spaces that
   say nothing, and the number of the frame. */
enum { FIXED = -1, TEXT, WORD, DIGITS, SPACES, COUNT };

typedef struct {
    int8_t kind;
    uint16_t at, size;
} Piece;

/* Every stream has three of these, so they are as small as can be. */
typedef struct {
    size_t pieces;
    Piece *piece;
    char *bytes; /* of all pieces, one after the other, in the same block of memory */
} Template;

/* What a piece of a tuple is; -1 and an exception where it is nothing. */
static int
read_piece(Piece *piece, PyObject *each, size_t at)
{
    size_t size = PyBytes_Check(each) ? PyBytes_GET_SIZE(each) : 0;
    long kind = PyBytes_Check(each) ? FIXED : PyLong_AsLong(each);
    if (kind == -1 && PyErr_Occurred())
        return -1;
    if (!PyBytes_Check(each) && (kind < TEXT || kind > COUNT)) {
        PyErr_SetString(PyExc_ValueError, "a place of a template is of no known kind");
        return -1;
    }
    if (at + size > UINT16_MAX) {
        PyErr_SetString(PyExc_ValueError, "a template has at most 64 KiB");
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
        if (piece[i].size)
            memcpy(template->bytes + size, PyBytes_AS_STRING(each), piece[i].size);
        size += piece[i].size;
    }
    return 0;
}

/* Refuse a template that has another number of places of a kind than from ``least`` to ``most``. */
static int
check_places(const Template *template, int kind, int least, int most)
{
    int places = 0;
    for (size_t i = 0; i < template->pieces; i++)
        places += template->piece[i].kind == kind;
    if (places >= least && places <= most)
        return places;
    PyErr_Format(PyExc_ValueError, "a template has %d places of kind %d where %d to %d can be", places, kind, least, most);
    return -1;
}

/* Refuse a pattern that does not tell where each of its strings ends, or has not one text. */
static int
check_pattern(const Template *pattern)
{
    for (size_t i = 0; i < pattern->pieces; i++) {
        const Piece *next = &pattern->piece[i + 1];
        if (pattern->piece[i].kind != TEXT && pattern->piece[i].kind != WORD)
            continue;
        if (i + 1 == pattern->pieces || next->kind != FIXED || !next->size || pattern->bytes[next->at] != '"') {
            PyErr_SetString(PyExc_ValueError, "a text or a word ends at a quote");
            return -1;
        }
    }
    return check_places(pattern, TEXT, 1, 1) < 0 || check_places(pattern, COUNT, 0, 0) ? -1
                                                                                         : check_places(pattern, WORD, 0, 1);
}

/* Refuse a template of which a recognised frame does not say what stands in its places. */
static int
check_made(const Template *made, int words, int counts)
{
    return check_places(made, TEXT, 1, 1) < 0 || check_places(made, WORD, 0, words) < 0 ||
                   check_places(made, COUNT, 0, counts) < 0 || check_places(made, DIGITS, 0, 0) ||
                   check_places(made, SPACES, 0, 0)
               ? -1
               : 0;
}

/* The text of the frame at hand, in ASCII, and in UTF-8 where it did not come as that. */
static Buffer quoted, unescaped;

/* One frame as it was recognised: what stands in its places. */
typedef struct {
    const char *text, *word;
    size_t text_size, word_size;
} Found;

/* Recognise one frame at ``at`` by a pattern; returns where it ends, NULL when it is another. */
static const char *
recognise(const Template *pattern, const char *at, const char *end, Found *found, uint64_t *characters)
{
    found->word = "";
    found->word_size = 0;
    for (size_t i = 0; i < pattern->pieces; i++) {
        const Piece *piece = &pattern->piece[i];
        const char *start = at;
        switch (piece->kind) {
        case FIXED:
            if ((size_t)(end - at) < piece->size || memcmp(at, pattern->bytes + piece->at, piece->size) != 0)
                return NULL;
            at += piece->size;
            break;
        case TEXT:
            at = quote_inside(&quoted, &unescaped, at, end, characters);
            if (at == NULL || at == start)
                return NULL;
            found->text = unescaped.size ? unescaped.bytes : start;
            found->text_size = unescaped.size ? unescaped.size : (size_t)(at - start);
            break;
        case WORD:
            at = skip_plain(at, end);
            found->word = start;
            found->word_size = at - start;
            break;
        case DIGITS:
            while (at < end && *at >= '0' && *at <= '9')
                at++;
            if (at == start)
                return NULL;
            break;
        case SPACES:
            while (at < end && *at == ' ')
                at++;
            break;
        default:
            return NULL;
        }
    }
    return at;
}

/* Add what a template makes of a frame, its text in ASCII if ``ascii``. */
static int
compose(Buffer *into, const Template *template, const Found *found, int ascii, uint64_t count)
{
    char digits[24];
    for (size_t i = 0; i < template->pieces; i++) {
        const Piece *piece = &template->piece[i];
        int failed;
        if (piece->kind == FIXED)
            failed = put(into, template->bytes + piece->at, piece->size);
        else if (piece->kind == TEXT && ascii)
            failed = put(into, quoted.bytes, quoted.size);
        else if (piece->kind == TEXT)
            failed = put(into, found->text, found->text_size);
        else if (piece->kind == WORD)
            failed = put(into, found->word, found->word_size);
        else
            failed = put(into, digits, snprintf(digits, sizeof digits, "%llu", (unsigned long long)count));
        if (failed)
            return -1;
    }
    return 0;
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

/* Put the line of an HTTP chunk before frames that end in CR LF; returns where it begins. */
static size_t
chunk_head(Buffer *frames)
{
    char line[CHUNK_HEAD + 1];
    int size = snprintf(line, sizeof line, "%zx\r\n", frames->size - CHUNK_HEAD - 2);
    memcpy(frames->bytes + CHUNK_HEAD - size, line, size);
    return CHUNK_HEAD - size;
}
